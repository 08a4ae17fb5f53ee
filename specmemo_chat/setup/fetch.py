"""Downloading a model, seen by whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from specmemo_chat.catalog.download import download
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.events import Progress


class Listener(Protocol):
    """Hears what is decided and downloaded."""

    def note(self, text: str) -> None:
        """A sentence for the user."""
        ...

    def progress(self, title: str) -> AbstractContextManager[Callable[[Progress], None]]:
        """Shows how far something has come while it is entered."""
        ...


def fetch(source: ModelSource, listener: Listener, *, code: bool, tokenizer: bool = True) -> Path:
    """Download what is missing of `source` and return its folder. `code`: with the Python files that come with it."""
    listener.note(f"downloading {source.hub_id}; Ctrl-C stops it, and the next start goes on from there")
    with listener.progress("downloading") as report:
        return download(source, report, code=code, tokenizer=tokenizer)
