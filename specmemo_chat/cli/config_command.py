"""`specmemo config`: where the configuration is, and which value comes from where."""

from __future__ import annotations

from typing import Any

import typer

from specmemo_chat.cli import options
from specmemo_chat.setup.flags import Color

HELP = "The configuration: where it is, which value comes from where."


def path(json: options.Json = False, debug: options.Debug = False) -> None:
    """Print where config.toml is looked for; with --json all of specmemo's folders."""
    from specmemo_chat.setup.configuration import config_file, folders
    from specmemo_chat.terminal.console import Screen

    screen = Screen()
    if json:
        screen.print_json(
            {"schema": 1, "file": str(config_file()), "exists": config_file().is_file()}
            | {name: str(folder) for name, folder in folders().items()}
        )
    else:
        screen.write(f"{config_file()}\n")


def show(
    context: typer.Context,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Show what `specmemo chat` would use without flags, and where each value comes from."""
    from specmemo_chat.setup.configuration import config_file, read
    from specmemo_chat.setup.flags import KEYS
    from specmemo_chat.setup.origins import resolved
    from specmemo_chat.terminal.console import Screen
    from specmemo_chat.terminal.text import safe_line

    screen = Screen(color.value)
    read(config_file())
    root = context.find_root()
    # As if `specmemo chat` had been typed: the command line's own precedence decides.
    chat = root.command.get_command(root, "chat").make_context("chat", [], parent=root)  # type: ignore[attr-defined]
    rows = resolved(chat.params, options.origins(chat), [name for name in KEYS if name in chat.params])
    if json:
        values: dict[str, Any] = {row.name: {"value": row.value, "source": row.source} for row in rows}
        screen.print_json(
            {"schema": 1, "file": str(config_file()), "exists": config_file().is_file(), "values": values}
        )
        return
    screen.note(f"{config_file()}{'' if config_file().is_file() else ' (not there)'}")
    for row in rows:
        screen.out.print(f"  {row.name:<16} {safe_line(row.shown):<22} {row.source}".rstrip(), markup=False)
