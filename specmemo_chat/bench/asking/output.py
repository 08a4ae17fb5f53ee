"""What `bench` shows: tables on stdout, the JSON, the picture."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Any

from specmemo_chat.bench.asking.plot import plot_bench
from specmemo_chat.bench.asking.tables import tables
from specmemo_chat.errors import UsageError
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.plan_plot import check_plot

STDOUT = "-"


def check_outputs(json: str | None, plot: Path | None) -> None:
    """Raise UsageError where nothing could be written: a measurement must not be lost at its end."""
    if plot is not None:
        check_plot(plot)
    if json is None or json == STDOUT:
        return
    path = Path(json).expanduser()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--json {json}: there is no folder {path.parent} to write a file into", "create it first")


def show(result: dict[str, Any], screen: Screen, json: str | None, plot: Path | None) -> None:
    """Write JSON and picture, and print the tables unless the JSON is on stdout. Raises UsageError where a file cannot
    be written after all; the tables are printed before."""
    if json == STDOUT:
        screen.print_json(result)
    else:
        tables(result, screen)
    if json is not None and json != STDOUT:
        path = Path(json).expanduser()
        try:
            path.write_text(encoder.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--json {json} cannot be written: {error.strerror}", "choose another file") from error
        screen.note(f"written: {path}")
    if plot is not None:
        plot_bench(result, plot)
        screen.note(f"written: {plot}")
