"""Where output goes: the answer to stdout, everything else to stderr; with colour only where it is wanted."""

from __future__ import annotations

import os
import sys
from typing import Literal

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
        return Console(
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
        sys.stdout.write(safe(text))
        sys.stdout.flush()
