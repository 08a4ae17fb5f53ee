"""The command line as `--help` knows it, for tests that hold texts against it."""

from __future__ import annotations

from typing import Any

import typer.main

from specmemo_chat.cli import app as cli


def commands() -> dict[str, Any]:
    """Every command by its words ("models ls"), groups too; "" is `specmemo` itself."""
    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        found[name] = command
        for word, inner in getattr(command, "commands", {}).items():
            walk(f"{name} {word}".strip(), inner)

    walk("", typer.main.get_command(cli.app))
    return found


def flags() -> dict[str, set[str]]:
    """The flags that each command's `--help` shows."""
    always = {"--help", "-h"}
    return {
        name: always
        | {
            flag
            for option in command.params
            if not getattr(option, "hidden", False)
            for flag in (*option.opts, *option.secondary_opts)
            if flag.startswith("-")
        }
        for name, command in commands().items()
    }


def command_of(words: list[str], known: dict[str, Any]) -> str:
    """The longest command that the words of a line (after `specmemo`) begin with."""
    names = [" ".join(words[:count]) for count in range(min(2, len(words)), 0, -1)]
    return next((name for name in names if name in known), "")
