"""Where output goes: the answer to stdout, everything else to stderr; with colour only where it is wanted."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Literal, NoReturn

from rich.console import Console

from specmemo_chat.cli.text import safe
from specmemo_chat.errors import SpecmemoError

ColorChoice = Literal["auto", "always", "never"]


def color_wanted(choice: ColorChoice, stream_is_terminal: bool) -> bool:
    """`--color` first, then NO_COLOR and TERM=dumb, then whether the stream is a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream_is_terminal


def reader_gone() -> NoReturn:
    """End well: whoever read our output has seen enough (`specmemo plan … | head`)."""
    # What is left in the buffer goes nowhere, else the interpreter would fail on it once more when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        reader_gone()


class Screen:
    """The two streams. `quiet` drops notes, never errors or the answer."""

    def __init__(self, color: ColorChoice = "auto", *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.color = color_wanted(color, sys.stdout.isatty())
        self.out = self._console(sys.stdout.isatty(), color, stderr=False)
        self.err = self._console(sys.stderr.isatty(), color, stderr=True)

    @staticmethod
    def _console(terminal: bool, color: ColorChoice, *, stderr: bool) -> Console:
        colored = color_wanted(color, terminal)
        return _Console(
            stderr=stderr,
            no_color=not colored,
            force_terminal=True if color == "always" else None,
            color_system="auto" if colored else None,
            highlight=False,
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        """A sentence for the user on stderr."""
        if not self.quiet:
            self.err.print(safe(text), style="dim", markup=False)

    def error(self, error: SpecmemoError) -> None:
        """An error and its remedy on stderr."""
        self.err.print(f"error: {safe(error.message)}", style="bold red", markup=False)
        if error.remedy:
            self.err.print(f"  fix: {safe(error.remedy)}", markup=False)

    def write(self, text: str) -> None:
        """Raw text of the answer to stdout, at once."""
        self._put(safe(text))

    def print_json(self, values: dict[str, Any]) -> None:
        """One JSON object as a line on stdout."""
        self._put(json.dumps(values, ensure_ascii=False) + "\n")

    @staticmethod
    def _put(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            reader_gone()
