"""What was said before, shown again: the last exchange in short, or whole turns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from specmemo_chat.host.client import ShownTurn
from specmemo_chat.repl.attachments import shown
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.reasoning import split_reasoning
from specmemo_chat.terminal.stream import print_markdown
from specmemo_chat.terminal.text import safe

INDENT = 2
# Lines of the message, and the part of the window for the reply's; at least this many lines.
MESSAGE_LINES, REPLY_PART, LEAST_LINES = 3, 3, 4
UNANSWERED = "(the reply ended inside the model's reasoning)"


def show_last(screen: Screen, turns: Sequence[ShownTurn], *, reasoning_open: bool) -> None:
    """The last exchange, dim: the beginning of the message and the end of the reply, in a part of the window."""
    if not turns:
        return
    columns, rows = screen.size()
    width = max(8, columns - INDENT)
    answer = split_reasoning(turns[-1].reply, opened=reasoning_open)[1].strip() or UNANSWERED
    height = max(LEAST_LINES, rows // REPLY_PART)
    # Of a long text only what may be shown is broken into lines.
    message = [f"> {line}" for line in _lines(screen, shown(turns[-1].user)[: MESSAGE_LINES * width], width - 2)]
    reply = _lines(screen, answer[-(height + 1) * width :], width)
    cut = len(message) > MESSAGE_LINES or len(reply) > height or len(answer) > (height + 1) * width
    parts = message[:MESSAGE_LINES]
    if len(reply) > height or len(answer) > (height + 1) * width:
        parts.append("…")
    parts += reply[-height:]
    for line in parts:
        screen.out.print(Text(" " * INDENT + line, "dim"), soft_wrap=True)
    if cut:
        screen.out.print(Text(" " * INDENT + "(shortened: /history 1 shows all of it)", "dim"))


def show_turns(screen: Screen, turns: Sequence[ShownTurn], count: int, *, reasoning_open: bool) -> None:
    """The last `count` turns, each message above its reply; replies as they were shown."""
    first = max(0, len(turns) - count)
    if first:
        screen.note(f"{counted(first, 'earlier turn')}: /history {len(turns)} shows all")
    for number, turn in enumerate(turns[first:], start=first + 1):
        screen.out.print(Text(f"turn {number}", "dim"))
        for line in shown(turn.user).split("\n"):
            screen.out.print(Text(f"> {line}", "bold"), soft_wrap=True)
        print_markdown(screen, turn.reply, reasoning_open=reasoning_open)
        screen.out.print()


def _lines(screen: Screen, text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, broken between words where there are some."""
    lines: list[str] = []
    for line in safe(text).expandtabs(4).split("\n"):
        lines += [part.plain for part in Text(line).wrap(screen.out, max(4, width), overflow="fold")] or [""]
    return lines
