"""`specmemo probe`: what this machine has, and which profile fits it. Always exit code 0."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.setup.flags import Color
from specmemo_chat.terminal.console import Screen


def probe(
    json: options.Json = False,
    watch: Annotated[
        float | None, typer.Option("--watch", min=0.1, help="Look again every S seconds, until Ctrl-C.")
    ] = None,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Show devices, memory, and the profile that would be used."""
    from specmemo_chat.reports.probe_table import show_probe

    screen = Screen(color.value)
    try:
        while True:
            show_probe(screen, as_json=json)
            if watch is None:
                return
            time.sleep(watch)
            if not json:
                screen.write("\n")
    except KeyboardInterrupt:
        return
