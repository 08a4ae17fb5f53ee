"""The table of slash commands: names, one line of help, completion, and how a typed line finds its function."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.desk import Desk
from specmemo_chat.terminal.text import safe_line


@dataclass(frozen=True)
class Suggestion:
    """A completion: `text` takes the place of the last `replaces` characters before the cursor; `meta` explains it."""

    text: str
    replaces: int = 0
    meta: str = ""


Action = Callable[[Desk, str], None]
Completion = Callable[[Desk, str], Iterable[Suggestion]]


@dataclass(frozen=True)
class Command:
    """One slash command. `complete` suggests for what is typed after the name. `needs_model` False: it is carried out
    while the model still loads."""

    name: str
    usage: str
    help: str
    action: Action
    complete: Completion
    needs_model: bool


class Leave(Exception):
    """Raised by /bye."""


class UnknownCommandError(UsageError):
    """A line that begins with a slash names no command: it may be meant as a message."""


COMMANDS: dict[str, Command] = {}
ALIASES = {"?": "help", "exit": "bye", "quit": "bye"}


def nothing(_repl: Desk, _argument: str) -> Iterable[Suggestion]:
    """Completes no argument."""
    return ()


def command(
    name: str, usage: str, help: str, complete: Completion = nothing, *, needs_model: bool = True
) -> Callable[[Action], Action]:
    """Enter the decorated function into the table; it gets the REPL and what was typed after the name."""

    def register(action: Action) -> Action:
        COMMANDS[name] = Command(name, usage, help, action, complete, needs_model)
        return action

    return register


def find(line: str) -> tuple[Command, str]:
    """The command that `line` (it starts with a slash) names, and its argument. Raises UnknownCommandError where there
    is none."""
    name, _, argument = line[1:].strip().partition(" ")
    head, newline, rest = name.partition("\n")
    if newline:
        name, argument = head, f"{rest} {argument}"
    known = COMMANDS.get(ALIASES.get(name, name))
    if known is not None:
        return known, argument.strip()
    near = " or ".join(f"/{entry}" for entry in _near(name.lower()))
    raise UnknownCommandError(
        f"there is no command /{safe_line(name)[:40]}",
        f"{f'did you mean {near}? ' if near else ''}Enter alone sends the line as a message; /help lists the commands",
    )


def _near(name: str) -> list[str]:
    """The commands that may have been meant; none for a path."""
    names = [*COMMANDS, *ALIASES]
    if name in names:
        return [name]
    if len(name) < 2 or not name.isalpha():
        return []
    begun = [entry for entry in names if entry.startswith(name)]
    return begun or difflib.get_close_matches(name, names, n=2, cutoff=0.75)


def matching(word: str, options: Mapping[str, str] | Iterable[str]) -> Iterator[Suggestion]:
    """The options that begin with `word`; a mapping gives each its explanation."""
    for option in options:
        if option.startswith(word):
            meta = options[option] if isinstance(options, Mapping) else ""
            yield Suggestion(option, len(word), meta)


def suggestions(repl: Desk, text: str) -> Iterable[Suggestion]:
    """Completions for a line up to the cursor: command names, then what the command suggests."""
    if not text.startswith("/") or "\n" in text:
        return
    name, space, argument = text[1:].partition(" ")
    if not space:
        yield from matching(name, {entry.name: entry.help for entry in COMMANDS.values()})
        return
    known = COMMANDS.get(ALIASES.get(name, name))
    if known is not None:
        yield from known.complete(repl, argument.lstrip())
