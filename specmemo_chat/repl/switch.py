"""From the running chat to another model or draft: planned first, and refused where it would not fit."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any, get_args

from specmemo_chat.errors import Flag, SpecmemoError, UsageError
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.repl.desk import Desk
from specmemo_chat.setup import planning
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.prepare import prepare
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.text import safe_line

PRECISIONS = ("auto", *get_args(Dtype))
# The flags of `specmemo chat` that /model takes, by the field they set.
FLAGS = {
    "--ctx-size": "context in tokens",
    "--max-memory": "the hard cap, like 6GiB",
    "--dtype": "weight precision",
    "--draft": "auto, none, ngram, or a head",
    "--profile": "memory policy",
    "--device": "auto, cpu, cuda, cuda:1 or mps",
    "--gpus": "workers that share the model",
    "--chat-template": "auto, none or a file",
    "--trust-remote-code": "run the model's own Python code",
}


def parse(argument: str, current: ModelChoice) -> ModelChoice:
    """NAME and flags as a choice. What is not named stays as it is, but for what belongs to one model only: a draft
    with weights, a chat template, the trust in its code. Raises UsageError for an unknown flag or value."""
    try:
        words = shlex.split(argument)
    except ValueError as error:
        raise UsageError(f"/model cannot read this: {error}", "close the quotes") from None
    choice = current
    named = words.pop(0) if words and not words[0].startswith("-") else current.model
    if named != current.model:
        choice = replace(
            current,
            model=named,
            draft=current.draft if current.draft in planning.DRAFTS else "auto",
            chat_template="auto",
            trust_remote_code=False,
        )
    while words:
        flag, equals, value = words.pop(0).partition("=")
        flag = "--ctx-size" if flag == "--ctx" else flag
        if flag not in FLAGS:
            raise UsageError(f"/model does not know {safe_line(flag)[:40]!r}", f"its flags are {', '.join(FLAGS)}")
        if flag == "--trust-remote-code":
            choice = replace(choice, trust_remote_code=True)
            continue
        if not equals:
            if not words:
                raise UsageError(f"{flag} needs a value", f"{flag}: {FLAGS[flag]}")
            value = words.pop(0)
        choice = _with(choice, flag, value)
    return choice


def _field(flag: str) -> str:
    """The field of ModelChoice that a flag sets."""
    return flag[2:].replace("-", "_")


def _with(choice: ModelChoice, flag: str, value: str) -> ModelChoice:
    if flag in ("--ctx-size", "--gpus"):
        least = 16 if flag == "--ctx-size" else 1
        if not value.isdecimal() or int(value) < least:
            raise UsageError(f"{flag} needs a number from {least} on, not {safe_line(value)[:20]!r}")
    if flag == "--dtype" and value not in PRECISIONS:
        raise UsageError(f"{safe_line(value)[:20]!r} is no precision", f"known are {', '.join(PRECISIONS)}")
    changed: dict[str, Any] = {_field(flag): int(value) if flag in ("--ctx-size", "--gpus") else value}
    return replace(choice, **changed)


def switch(repl: Desk, choice: ModelChoice) -> None:
    """Plan for `choice` while the chat goes on; only a plan that fits takes its place. Raises what planning, fetching
    and loading raise; the chat then goes on as before."""
    before = repl.prepared
    try:
        prepared = prepare(choice, repl.sampling(), repl.screen, freed=held_bytes(repl))
        repl.move_to(prepared)
    except SpecmemoError as error:
        _refuse(error, choice, before.choice)
        raise
    turns = len(repl.client.turns)
    if turns:
        goes = "goes" if turns == 1 else "go"
        repl.note(f"{counted(turns, 'turn')} {goes} along as text and will be read anew")


def held_bytes(repl: Desk) -> int:
    """What the running worker gives back when it ends, on the device of the plan."""
    if repl.client.ready is None:
        return 0
    plan = repl.plan
    if plan.device == "cpu":
        return repl.client.inspect().rss_bytes
    # A driver tells other processes' memory only to some users: at least the weights lie there.
    return plan.terms.weights


def _refuse(error: SpecmemoError, choice: ModelChoice, before: ModelChoice) -> None:
    """Let the error's flags go with what was asked for, and say that nothing was lost."""
    error.remedies = tuple(
        replace(remedy, beside=_words(choice, before, remedy.name)) if isinstance(remedy, Flag) else remedy
        for remedy in error.remedies
    )
    same = choice.model == before.model
    error.add_note("the chat goes on as before" if same else f"the chat goes on with {before.model}")


def _words(choice: ModelChoice, before: ModelChoice, without: str) -> str:
    """What /model makes `choice` of `before` from, but for the flag `without`."""
    named = shlex.quote(choice.model)
    base = parse(named, before)
    words = [named]
    for flag in FLAGS:
        value = getattr(choice, _field(flag))
        if flag != without and value != getattr(base, _field(flag)):
            words.append(flag if value is True else f"{flag} {shlex.quote(str(value))}")
    return " ".join(words)
