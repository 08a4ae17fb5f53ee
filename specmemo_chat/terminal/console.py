"""Where output goes: the answer to stdout, everything else to stderr; with colour only where it is wanted."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from specmemo_chat.errors import SpecmemoError
from specmemo_chat.events import Progress
from specmemo_chat.terminal.text import escaped_json, safe

ColorChoice = Literal["auto", "always", "never"]


def color_wanted(choice: ColorChoice, stream_is_terminal: bool) -> bool:
    """`--color` first, then NO_COLOR and TERM=dumb, then whether the stream is a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream_is_terminal


class _Console(Console):
    """Whatever is printed through it (text, tables, progress bars) is safe: only rich's own styles are sequences."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(safe(segment.text), segment.style)


class Screen:
    """The two streams. `quiet` drops notes, never errors or the answer. `markdown`: replies are rendered on a terminal.

    `terminal`: stdout is one; `moves_cursor`: one that can redraw; `color`: stdout gets colours.
    """

    def __init__(
        self, color: ColorChoice = "auto", *, quiet: bool = False, verbose: bool = False, markdown: bool = True
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            # A stream that is not UTF-8, or half a character from a file's name, must not end the program.
            if isinstance(stream, io.TextIOWrapper):
                with contextlib.suppress(OSError):
                    stream.reconfigure(errors="replace")
        # In which words: a chat puts its own in.
        self.remedy_of: Callable[[SpecmemoError], str | None] = lambda error: error.remedy
        self.quiet = quiet
        self.verbose = verbose
        self.markdown = markdown
        self.terminal = sys.stdout.isatty()
        self.moves_cursor = self.terminal and os.environ.get("TERM", "dumb") != "dumb"
        self.color = color_wanted(color, self.terminal)
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

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal on stdout; where it is none, COLUMNS or 80, and 24."""
        columns = rows = 0
        with contextlib.suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
        if not columns:
            width = os.environ.get("COLUMNS", "")
            columns = int(width) if width.isdecimal() and int(width) else 80
        return columns, rows or 24

    def note(self, text: str) -> None:
        """A sentence for the user on stderr."""
        if not self.quiet:
            self._sentence(text, "dim")

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Callable[[Progress], None]]:
        """A bar on stderr, where that is a terminal, that is gone afterwards."""
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TimeRemainingColumn(),
        )
        shown = self.err.is_terminal and not self.quiet
        with progress.Progress(*columns, console=self.err, disable=not shown, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda event: bar.update(task, completed=event.done, total=event.total or None)

    def error(self, error: SpecmemoError) -> None:
        """An error, its remedies and what was added to it, on stderr."""
        self._sentence(f"error: {error.message}", "bold red")
        remedy = self.remedy_of(error)
        if remedy:
            self._sentence(f"  fix: {remedy}", "")
        for note in getattr(error, "__notes__", ()):
            self._sentence(f"  {note}", "dim")

    def _sentence(self, text: str, style: str) -> None:
        """On a terminal broken between words, in a file one line."""
        self.err.print(text, style=style, markup=False, soft_wrap=not self.err.is_terminal)

    def write(self, text: str) -> None:
        """Text to stdout, at once: exact where it goes to a program, safe where it goes to a terminal."""
        self._put(safe(text) if self.terminal or self.color else text)

    def line(self, text: str | Text) -> None:
        """One line of a table or a report to stdout: with its styles where there is colour, broken between words where
        a terminal is too narrow for it."""
        if not self.terminal and not self.color:
            self.write(f"{text}\n")
        elif self.terminal and isinstance(text, str) and len(text) > self.out.width:
            indent = " " * (len(text) - len(text.lstrip()) + 2)
            self.out.print("\n".join(textwrap.wrap(text, self.out.width, subsequent_indent=indent)), markup=False)
        else:
            self.out.print(text, markup=False, soft_wrap=not self.terminal)

    def write_styled(self, text: str) -> None:
        """Text to stdout that is safe already, with our own escape sequences."""
        self._put(text)

    def print_json(self, values: dict[str, Any]) -> None:
        """One JSON object as a line on stdout."""
        self._put(escaped_json(json.dumps(values, ensure_ascii=False)) + "\n")

    @staticmethod
    def _put(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
