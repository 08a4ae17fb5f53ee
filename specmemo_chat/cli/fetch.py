"""Downloading a model with a progress bar on stderr."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from specmemo_chat.catalog.download import download
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.cli.console import Screen
from specmemo_chat.events import Progress


def fetch(source: ModelSource, screen: Screen, *, code: bool, tokenizer: bool = True) -> Path:
    """Download what is missing of `source` and return its folder. `code`: with the Python files that come with it."""
    screen.note(f"downloading {source.hub_id}; Ctrl-C stops it, and the next start goes on from there")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
    shown = screen.err.is_terminal and not screen.quiet
    with ProgressBar(*columns, console=screen.err, disable=not shown, transient=True) as bar:
        task = bar.add_task("downloading", total=None)

        def report(event: Progress) -> None:
            bar.update(task, completed=event.done, total=event.total or None)

        return download(source, report, code=code, tokenizer=tokenizer)
