"""Shows one reply while it is made: its text on stdout, notes and progress on stderr, Ctrl-C as an interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from specmemo_chat.cli.console import Screen
from specmemo_chat.cli.text import safe
from specmemo_chat.events import Event, Note, Progress, ReplyEnd, Text

STAGES = {"download": "downloading", "load": "loading the model", "prefill": "reading", "rehearsal": "rehearsing"}


@contextlib.contextmanager
def interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """While inside, the first Ctrl-C calls `interrupt`; the second one raises KeyboardInterrupt."""
    pressed = False

    def handle(_signum: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        # Not in the handler itself: it may have interrupted a send that holds the link's lock.
        threading.Thread(target=interrupt, daemon=True).start()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class ReplyView:
    """Consumes a reply's events. `show_accepted` colours the text that came from accepted draft tokens."""

    def __init__(self, screen: Screen, *, show_accepted: bool = False, show_text: bool = True) -> None:
        self._screen = screen
        self._show_accepted = show_accepted and screen.color
        self._show_text = show_text
        self._bar: ProgressBar | None = None

    def run(self, events: Iterator[Event], interrupt: Callable[[], None]) -> ReplyEnd:
        """Show everything and return the end. Raises what the events raise; the terminal is left in order."""
        end: ReplyEnd | None = None
        column_open = False
        try:
            with interrupts(interrupt):
                for event in events:
                    if isinstance(event, Progress):
                        self._progress(event)
                        continue
                    self._close_bar()
                    if isinstance(event, Text) and self._show_text:
                        column_open = True
                        self._text(event)
                    elif isinstance(event, Note):
                        self._screen.note(event.text)
                    elif isinstance(event, ReplyEnd):
                        end = event
        finally:
            self._close_bar()
            if column_open:
                self._screen.write("\n")
        if end is None:
            raise AssertionError("a reply always ends with ReplyEnd")
        return end

    def _text(self, event: Text) -> None:
        if self._show_accepted and event.from_draft:
            self._screen.out.print(safe(event.text), style="green", end="", markup=False)
        else:
            self._screen.write(event.text)

    def _progress(self, event: Progress) -> None:
        """A bar on stderr, only in a terminal and only where a total is known or the stage is long."""
        if self._screen.quiet or not self._screen.err.is_terminal:
            return
        if self._bar is None:
            self._bar = ProgressBar(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                console=self._screen.err,
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(STAGES.get(event.stage, event.stage), total=event.total or None)
        task = self._bar.tasks[0]
        self._bar.update(
            task.id, description=STAGES.get(event.stage, event.stage), completed=event.done, total=event.total or None
        )

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
