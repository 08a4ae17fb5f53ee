"""Help and leaving."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.commands.registry import ALIASES, COMMANDS, Leave, Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.terminal.text import safe_line

KEYS = (
    ("Enter", "send"),
    ("Alt+Enter, Ctrl+J", "a new line"),
    ('"""', "typed: open and close a block; a paste goes as it is"),
    ("Tab", "complete"),
    ("Up, Ctrl+R", "earlier lines, search in them"),
    ("Ctrl+C", "stop a reply; clear the line; twice: leave"),
    ("Ctrl+D", "leave"),
)


def _names(_repl: Desk, argument: str) -> Iterable[Suggestion]:
    return matching(argument, {entry.name: entry.help for entry in COMMANDS.values()})


@command("help", "/help [COMMAND]", "The commands and keys, or one command", _names, needs_model=False)
def _help(repl: Desk, argument: str) -> None:
    if argument:
        name = argument.removeprefix("/")
        known = COMMANDS.get(ALIASES.get(name, name))
        if known is None:
            raise UsageError(f"there is no command /{safe_line(name)[:40]}", "/help lists the commands")
        repl.say(f"  {known.usage}")
        repl.say(f"    {known.help}")
        return
    rows = [(entry.usage, entry.help) for entry in sorted(COMMANDS.values(), key=lambda entry: entry.name)]
    table(repl, rows)
    repl.say("")
    table(repl, KEYS)


def table(repl: Desk, rows: Iterable[tuple[str, str]]) -> None:
    """Two columns; in a narrow terminal the second one stands below the first."""
    rows = list(rows)
    width = repl.width
    left = max(len(name) for name, _ in rows)
    for name, text in rows:
        if left + 30 <= width:
            first, *rest = textwrap.wrap(text, width - left - 4) or [""]
            repl.say(f"  {name:<{left}}  {first}")
            for line in rest:
                repl.say(f"  {'':<{left}}  {line}")
        else:
            repl.say(f"  {name}")
            for line in textwrap.wrap(text, width - 6):
                repl.say(f"    {line}")


@command("bye", "/bye", "Leave (also /exit, /quit, Ctrl+D)", needs_model=False)
def _bye(_repl: Desk, _argument: str) -> None:
    raise Leave
