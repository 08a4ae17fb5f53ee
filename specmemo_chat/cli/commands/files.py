"""Files, the clipboard and the editor: /read, /copy, /editor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from specmemo_chat.cli import clipboard, editor
from specmemo_chat.cli.attachments import Attachment, fenced, read_text
from specmemo_chat.cli.commands.registry import Suggestion, command, matching
from specmemo_chat.cli.reasoning import split_reasoning
from specmemo_chat.cli.text import safe, safe_line
from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.fences import code_blocks

if TYPE_CHECKING:
    from specmemo_chat.cli.repl import Repl

SUGGESTED_FILES = 200


def files(_repl: Repl, argument: str) -> Iterable[Suggestion]:
    """Names in the folder that the argument's path begins with; folders end with a slash."""
    typed = Path(argument).expanduser()
    ends = argument.endswith(("/", os.sep)) or argument in ("", "~")
    folder, beginning = (typed, "") if ends else (typed.parent, typed.name)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError:
        return
    shown = 0
    for entry in entries:
        name = entry.name
        if not name.startswith(beginning) or (name.startswith(".") and not beginning.startswith(".")):
            continue
        if name != safe_line(name):
            continue  # a name with control characters would be typed into the prompt
        yield Suggestion(name + "/" * entry.is_dir(), len(beginning))
        shown += 1
        if shown == SUGGESTED_FILES:
            return


@command("read", "/read FILE", "Send a text file along with the next message; alone: what goes along", files)
def _read(repl: Repl, argument: str) -> None:
    if not argument:
        for attachment in repl.attached:
            repl.say(f"  {safe_line(attachment.name)}: {attachment.tokens} tokens")
        if not repl.attached:
            repl.say("no file goes along with the next message; /read FILE adds one, /read none takes them back")
        return
    if argument == "none":
        repl.attached.clear()
        repl.say("no file goes along with the next message")
        return
    name, text = read_text(_unquoted(argument))
    tokens = repl.client.count(fenced(name, text))
    if not _fits(repl, safe_line(name), tokens):
        return
    repl.attached.append(Attachment(name, text, tokens))
    repl.say(f"{safe_line(name)}: {tokens} tokens; it goes along with the next message")


def _unquoted(argument: str) -> str:
    if len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\"":
        return argument[1:-1]
    return argument


def _fits(repl: Repl, name: str, tokens: int) -> bool:
    """Whether the file may go along: it never does where it could not be answered, and only after a question where
    old turns are dropped for it."""
    report = repl.client.inspect(repl.settings)
    context, room = report["context_tokens"], report["reply_room"]
    attached = tokens + sum(attachment.tokens for attachment in repl.attached)
    alone = context - room
    if attached > alone:
        before = f" with what goes along already ({attached - tokens})" if attached > tokens else ""
        raise UsageError(
            f"{name} has {tokens} tokens{before}, and the context of {context} holds {alone} beside a reply",
            "give a shorter file",
            Flag("--ctx-size", str(context + attached - alone + 256)),
        )
    used = sum(report["turn_tokens"])
    over = used + attached - alone
    if over <= 0:
        return True
    return repl.ask(
        f"{name} has {tokens} tokens, and {max(0, alone - used)} are free: old turns will be dropped. Read it?"
    )


def _answer(repl: Repl) -> str:
    """The last reply as the screen shows it, without the model's reasoning; "" where there is none."""
    if not repl.client.turns:
        return ""
    return safe(split_reasoning(repl.client.turns[-1].reply, opened=repl.client.reasoning_open())[1])


def _blocks(repl: Repl, argument: str) -> Iterator[Suggestion]:
    blocks = code_blocks(_answer(repl))
    first_lines = {str(number): safe_line(code)[:50] for number, code in enumerate(blocks, start=1)}
    yield from matching(argument, first_lines)


@command("copy", "/copy [N]", "Copy the last reply, or its Nth code block", _blocks, needs_model=False)
def _copy(repl: Repl, argument: str) -> None:
    if not repl.client.turns:
        raise UsageError("there is no reply to copy", "send a message first")
    text, what = _answer(repl), "the reply"
    if argument:
        blocks = code_blocks(text)
        if not argument.isdecimal() or not 1 <= int(argument) <= len(blocks):
            there = {0: "it has none", 1: "it has one"}.get(len(blocks), f"it has {len(blocks)}")
            raise UsageError(
                f"the last reply has no code block {safe_line(argument)[:20]}: {there}",
                "/copy copies the whole reply" if not blocks else f"/copy {len(blocks)}",
            )
        text, what = blocks[int(argument) - 1], f"code block {argument}"
    if not text.strip():
        raise UsageError(f"{what} is empty: there is nothing to copy")
    repl.say(clipboard.copy(text, what))


@command("editor", "/editor [TEXT]", "Write the next message in $VISUAL or $EDITOR; Enter then sends it",
         needs_model=False)  # fmt: skip
def _editor(repl: Repl, argument: str) -> None:
    repl.type_next(argument)
    with repl.plain_terminal():
        text, problem = editor.edit(argument)
    repl.type_next(text)
    if problem:
        raise UsageError(problem, "what was written stands at the prompt" if text.strip() else None)
    if not text.strip():
        repl.say("the text is empty: nothing to send")
