"""Turns of the conversation: made again, continued, edited, forked, taken back."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable

from specmemo_chat.errors import UsageError
from specmemo_chat.repl import past
from specmemo_chat.repl.attachments import gist
from specmemo_chat.repl.commands.registry import Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.terminal.text import safe_line

# Turns that /history shows without a number.
HISTORY_TURNS = 5


def _turns(repl: Desk, argument: str) -> Iterable[Suggestion]:
    """The numbers of the turns, the newest first, each with its message."""
    if " " in argument:
        return ()
    numbered = list(enumerate(repl.client.turns, start=1))
    return matching(argument, {str(number): gist(turn.user)[:50] for number, turn in reversed(numbered)})


def _turn_number(repl: Desk, text: str, what: str) -> int:
    """1 to the number of turns. Raises UsageError for anything else."""
    count = len(repl.client.turns)
    if not count:
        raise UsageError(f"there is no turn to {what} yet", "send a message first")
    if not text:
        return count
    if not text.isdecimal() or not 1 <= int(text) <= count:
        turns = "there is only turn 1" if count == 1 else f"turns are numbered 1 to {count}"
        shown = text if text.isdecimal() and len(text) < 10 else repr(safe_line(text)[:20])
        # The last turn cannot be forked.
        example = f"/{what} {count - (what == 'fork')}; " if count > 1 or what != "fork" else ""
        raise UsageError(f"there is no turn {shown}: {turns}", f"{example}/context lists them")
    return int(text)


def _number_of_turns(argument: str, name: str, usual: int) -> int:
    if argument and (not argument.isdecimal() or int(argument) < 1):
        raise UsageError(f"{name} takes a number of turns, not {safe_line(argument)[:20]!r}", f"{name} 2")
    return int(argument or usual)


def _counts(repl: Desk, argument: str) -> Iterable[Suggestion]:
    there = len(repl.client.turns)
    return matching(argument, {"1": "the last turn", str(there): "all turns"} if there > 1 else {})


@command("history", "/history [N]", f"Show the last N turns again ({HISTORY_TURNS})", _counts, needs_model=False)
def _history(repl: Desk, argument: str) -> None:
    count = _number_of_turns(argument, "/history", HISTORY_TURNS)
    if not repl.client.turns:
        raise UsageError("there is no turn to show yet", "send a message first")
    past.show_turns(repl.screen, repl.client.turns, count, reasoning_open=repl.client.reasoning_open())


@command("clear", "/clear", "Forget the conversation and start anew; the system prompt stays", needs_model=False)
def _clear(repl: Desk, _argument: str) -> None:
    repl.client.restore([], repl.client.system)
    repl.attached.clear()
    repl.say("conversation cleared")


@command("undo", "/undo [N]", "Take back the last turn, or the last N")
def _undo(repl: Desk, argument: str) -> None:
    count, turns = _number_of_turns(argument, "/undo", 1), len(repl.client.turns)
    if count > turns:
        raise UsageError(
            f"there are no {count} turns to undo, only {turns}" if turns else "there is no turn to undo",
            f"/undo {turns}" if turns else "send a message first",
        )
    for turn in repl.client.undo(count):
        repl.say(f"taken back: {gist(turn.user)[: max(20, repl.width - 14)]}")
    repl.show_last()


def _seeds(_repl: Desk, argument: str) -> Iterable[Suggestion]:
    return matching(argument, {"same": "the seed of the last reply"})


@command("regen", "/regen [same|SEED]", "Answer the last message again: with a new seed, the same, or this one", _seeds)
def _regen(repl: Desk, argument: str) -> None:
    if not repl.client.turns:
        raise UsageError("there is no reply to make again", "send a message first")
    if argument == "same":
        seed = repl.last_end.stats.seed if repl.last_end is not None else repl.settings.seed
    elif argument:
        if not argument.isdecimal():
            raise UsageError(f"a seed is a whole number, not {safe_line(argument)[:20]!r}", "/regen 7, or /regen same")
        seed = int(argument)
    else:
        seed = repl.settings.seed if repl.settings.greedy else secrets.randbits(31)
    if repl.settings.greedy and argument != "same":
        repl.note("temperature 0 makes the same text with every seed: /set temperature 0.8, then /regen, for another")
    repl.reply(repl.client.regenerate(dataclasses.replace(repl.settings, seed=seed)))


@command("continue", "/continue", "Go on with a reply that was cut off")
def _continue(repl: Desk, _argument: str) -> None:
    if not repl.client.turns:
        raise UsageError("there is no reply to continue", "send a message first")
    before = repl.client.turns[-1].reply
    end = repl.reply(repl.client.resume(repl.settings), before)
    if end.text == before and end.finish_reason == "stop":
        repl.note("the model had ended this reply: nothing was added")


@command("edit", "/edit [N [TEXT]]", "Change your message of turn N (the last) and answer it anew", _turns)
def _edit(repl: Desk, argument: str) -> None:
    number, _, text = argument.partition(" ")
    if number and not number.isdecimal():
        raise UsageError(
            f"which message? {safe_line(number)[:20]!r} is no turn's number",
            f"/edit {max(1, len(repl.client.turns))} {safe_line(argument)[:40]}, or /edit alone to change the last one",
        )
    at = _turn_number(repl, number, "edit") - 1
    if text.strip():
        repl.answer_instead(at, text.strip())
    else:
        repl.edit_next(at)


@command("fork", "/fork [N]", "Go on after turn N (the one before the last); the old way stays a branch", _turns)
def _fork(repl: Desk, argument: str) -> None:
    count = len(repl.client.turns)
    number = _turn_number(repl, argument or str(max(1, count - 1)), "fork")
    if number == count:
        raise UsageError(
            f"turn {number} is the last one: the next message goes on after it anyway",
            f"/edit changes your message, /regen its reply{f', /fork {count - 1} goes back further' * (count > 1)}",
        )
    repl.client.undo(count - number)
    turn = repl.client.turns[-1]
    repl.say(f"the chat goes on after turn {number}: {gist(turn.user)[: max(12, repl.width - 32)]}")
    repl.show_last()


@command("system", "/system [TEXT|none]", "Set the system prompt and start anew; alone: show it",
         needs_model=False)  # fmt: skip
def _system(repl: Desk, argument: str) -> None:
    if not argument:
        repl.say(repl.client.system or "no system prompt")
        return
    repl.client.restore([], None if argument == "none" else argument)
    repl.say("system prompt removed" if argument == "none" else "system prompt set; the conversation starts anew")
