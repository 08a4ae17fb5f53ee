"""Files, the clipboard and the editor: /read, /copy, /editor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.fences import code_blocks
from specmemo_chat.repl import clipboard, editor
from specmemo_chat.repl.attachments import Attachment, fenced, listed, read_text
from specmemo_chat.repl.commands.registry import Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.reasoning import split_reasoning
from specmemo_chat.terminal.text import safe, safe_line

SUGGESTED_FILES = 200


def files(_repl: Desk, argument: str) -> Iterable[Suggestion]:
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


def _readable(repl: Desk, argument: str) -> Iterable[Suggestion]:
    """Files, and after a dash those that go along."""
    if argument.startswith("- "):
        return matching(argument[2:], [safe_line(each.name) for each in repl.attached])
    return files(repl, argument)


@command("read", "/read [FILE|- [NAME]]", "Send a text file with the next message; - takes it back; alone: list them",
         _readable)  # fmt: skip
def _read(repl: Desk, argument: str) -> None:
    if not argument and repl.attached:
        for attachment in repl.attached:
            repl.say(f"  {safe_line(attachment.name)}: {counted(attachment.tokens, 'token')}")
        repl.say("/read - takes them back, /read - NAME one of them")
    elif not argument:
        repl.say("no file goes along with the next message; /read FILE adds one")
    elif argument in ("-", "none") or argument.startswith("- "):
        _take_back(repl, _unquoted(argument.removeprefix("none").removeprefix("-").strip()))
    else:
        _attach(repl, _unquoted(argument))


def _attach(repl: Desk, file: str) -> None:
    """A file that goes along already is read anew."""
    name, text = read_text(file)
    path = str(Path(file).expanduser().resolve())
    found = Attachment(name, text, repl.client.count(fenced(name, text), safe_line(name)), path)
    others = [each for each in repl.attached if each.path != path]
    if not _fits(repl, found, others):
        return
    anew = ", as it is now" if len(others) < len(repl.attached) else ""
    repl.attached = [*others, found]
    repl.say(f"{safe_line(name)}: {counted(found.tokens, 'token')}; it goes along with the next message{anew}")


def _take_back(repl: Desk, name: str) -> None:
    """The file of this name, or all."""
    path = str(Path(name).expanduser().resolve())
    taken = [
        each for each in repl.attached if not name or name in (each.name, safe_line(each.name)) or path == each.path
    ]
    if name and not taken:
        raise UsageError(
            f"no file {safe_line(name)[:64]!r} goes along with the next message", "/read lists those that do"
        )
    repl.attached = [each for each in repl.attached if each not in taken]
    if taken:
        repl.say(f"taken back: {', '.join(safe_line(each.name) for each in taken)}")
    if not repl.attached:
        repl.say("no file goes along with the next message")


def recount(repl: Desk) -> None:
    """After another model was loaded: its tokenizer counts otherwise, and its context may be smaller."""
    before, repl.attached = repl.attached, []
    for each in before:
        tokens = each.tokens
        try:
            tokens = repl.client.count(each.block, safe_line(each.name))
        except UsageError as error:
            repl.note(f"{error.message}; /read - {safe_line(each.name)} takes it back")
        repl.attached.append(replace(each, tokens=tokens))
    if before != repl.attached:
        repl.note(f"for this model: {listed(repl.attached)}")
    if repl.attached:
        context = repl.report().context
        alone = context.prompt_room
        if sum(each.tokens for each in repl.attached) > alone:
            room = f"the context of {context.context_tokens} holds {alone} beside a reply"
            repl.note(f"what goes along is too long: {room}; /read - takes it back")


def _unquoted(argument: str) -> str:
    if len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\"":
        return argument[1:-1]
    return argument


def _fits(repl: Desk, found: Attachment, others: list[Attachment]) -> bool:
    """Whether the file may go along: it never does where it could not be answered, and only after a question where
    old turns are dropped for it."""
    outlook = repl.report().context
    context, alone = outlook.context_tokens, outlook.prompt_room
    name, tokens = safe_line(found.name), counted(found.tokens, "token")
    attached = found.tokens + sum(each.tokens for each in others)
    if attached > alone:
        before = f" beside what goes along already ({attached - found.tokens})" if others else ""
        raise UsageError(
            f"{name} has {tokens}{before}, and the context of {context} holds {alone} beside a reply",
            "give a shorter file",
            "/read - takes back what goes along" if others else None,
            Flag("--ctx-size", str(context + attached - alone + 256)),
        )
    used = outlook.used_tokens
    over = used + attached - alone
    if over <= 0:
        return True
    return repl.ask(f"{name} has {tokens}, and {max(0, alone - used)} are free: old turns will be dropped. Read it?")


def _answer(repl: Desk) -> str:
    """The last reply as the screen shows it, without the model's reasoning; "" where there is none."""
    if not repl.client.turns:
        return ""
    return safe(split_reasoning(repl.client.turns[-1].reply, opened=repl.client.reasoning_open())[1])


def _blocks(repl: Desk, argument: str) -> Iterator[Suggestion]:
    blocks = code_blocks(_answer(repl))
    first_lines = {str(number): safe_line(code)[:50] for number, code in enumerate(blocks, start=1)}
    yield from matching(argument, first_lines)


@command("copy", "/copy [N]", "Copy the last reply, or its Nth code block", _blocks, needs_model=False)
def _copy(repl: Desk, argument: str) -> None:
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
def _editor(repl: Desk, argument: str) -> None:
    repl.type_next(argument)
    with repl.plain_terminal():
        text, problem = editor.edit(argument)
    repl.type_next(text)
    if problem:
        raise UsageError(problem, "what was written stands at the prompt" if text.strip() else None)
    if not text.strip():
        repl.say("the text is empty: nothing to send")
