"""Shows one reply while it is made: its text on stdout, notes and progress on stderr, Ctrl-C as an interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import FrameType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from specmemo_chat.events import Event, Note, Progress, ReplyEnd, Text
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.reasoning import ReasoningSplitter, split_reasoning
from specmemo_chat.terminal.reply_view import LiveReply, RenderedReply, ReplySink, reply_sink
from specmemo_chat.terminal.suspension import around_suspension

STAGES = {"download": "downloading", "load": "loading the model", "prefill": "reading", "rehearsal": "rehearsing"}
# A stage that is over sooner gets no bar: it would only flicker.
BAR_AFTER_S = 0.4


@contextlib.contextmanager
def interrupts(interrupt: Callable[[], None], patience: Callable[[], float] | None = None) -> Iterator[None]:
    """While inside, the first Ctrl-C calls `interrupt`; the second one raises KeyboardInterrupt, and so do `patience()`
    seconds after the first. Does nothing where whoever started this process had it ignore Ctrl-C."""
    timer: threading.Timer | None = None
    pressed = False
    main = threading.main_thread().ident or 0

    def handle(_signum: int, _frame: FrameType | None) -> None:
        nonlocal pressed, timer
        seconds = patience() if patience is not None else None
        if pressed or seconds == 0:
            raise KeyboardInterrupt
        pressed = True
        # Not in the handler itself: it may have interrupted a send that holds the link's lock.
        threading.Thread(target=interrupt, daemon=True).start()
        if seconds is not None:
            timer = threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT))
            timer.daemon = True
            timer.start()

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()
        # The end of the program may have begun: then nothing disturbs it.
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, before)


def suspension(sink: ReplySink) -> AbstractContextManager[None]:
    """While inside, Ctrl-Z leaves the shell a terminal in order, and the reply goes on below when it comes back."""
    if isinstance(sink, LiveReply):
        return around_suspension(sink.suspend, sink.resume)
    return contextlib.nullcontext()


class ReplyView:
    """Consumes a reply's events. `show_accepted` colours the text that came from accepted draft tokens.

    `reasoning_open` is asked when the first text comes: whether the prompt opened a reasoning block, so that the reply
    begins inside it (`Ready.reasoning_open`). `before`: the text of the reply so far, where it goes on.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        show_accepted: bool = False,
        show_text: bool = True,
        reasoning_open: Callable[[], bool] = lambda: False,
        before: str = "",
    ) -> None:
        self._screen = screen
        self._show_accepted = show_accepted
        self._show_text = show_text
        self._reasoning_open = reasoning_open
        self._before = before
        self._splitter: ReasoningSplitter | None = None
        self._answered = self._reasoned = False
        # Of the reply, reasoning included: what came so far.
        self.text = before
        self._bar: ProgressBar | None = None
        self._stage = ""
        self._stage_began = 0.0

    def run(
        self, events: Iterator[Event], interrupt: Callable[[], None], patience: Callable[[], float] | None = None
    ) -> ReplyEnd:
        """Show everything and return the end. Raises what the events raise, and KeyboardInterrupt as `interrupts` says;
        the terminal is left in order."""
        end: ReplyEnd | None = None
        before = split_reasoning(self._before, opened=self._reasoning_open())[1] if self._before else ""
        sink = reply_sink(self._screen, show_text=self._show_text, show_accepted=self._show_accepted, before=before)
        with interrupts(interrupt, patience):
            try:
                with suspension(sink):
                    for event in events:
                        if isinstance(event, Progress):
                            self._progress(event)
                            continue
                        self._close_bar()
                        if isinstance(event, Text):
                            self.text += event.text
                            self._text(sink, self._split(event.text), event.from_draft)
                        elif isinstance(event, Note):
                            sink.note(event.text)
                        elif isinstance(event, ReplyEnd):
                            end = event
                    if self._splitter is not None:
                        self._text(sink, self._splitter.flush(), False)
            finally:
                self._close_bar()
                sink.close()
        if end is None:
            raise AssertionError("a reply always ends with ReplyEnd")
        if self._reasoned and not self._answered:
            self._screen.note("the reply ended inside the model's reasoning: there is no answer yet")
        return end

    def _split(self, text: str) -> list[tuple[str, bool]]:
        """The pieces of answer and reasoning that are certain with this text."""
        if self._splitter is None:
            self._splitter = ReasoningSplitter(opened=self._reasoning_open())
            if self._before:
                self._splitter.feed(self._before)
        return self._splitter.feed(text)

    def _text(self, sink: ReplySink, pieces: Iterable[tuple[str, bool]], accepted: bool) -> None:
        for text, reasoning in pieces:
            self._reasoned |= reasoning
            self._answered |= not reasoning
            sink.text(text, accepted=accepted, reasoning=reasoning)

    def _progress(self, event: Progress) -> None:
        """A bar on stderr, only in a terminal and only for a stage that takes a while."""
        if self._screen.quiet or not self._screen.err.is_terminal or self._answered or self._reasoned:
            return
        now = time.monotonic()
        if event.stage != self._stage:
            self._stage, self._stage_began = event.stage, now
        if self._bar is None and now - self._stage_began < BAR_AFTER_S:
            return
        name = STAGES.get(event.stage, event.stage)
        if self._bar is None:
            self._bar = ProgressBar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TimeRemainingColumn(),
                console=self._screen.err,
                transient=True,
            )
            self._bar.start()
            self._bar.add_task(name, total=event.total or None)
        self._bar.update(self._bar.tasks[0].id, description=name, completed=event.done, total=event.total or None)

    def _close_bar(self) -> None:
        self._stage = ""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def print_markdown(screen: Screen, text: str, *, reasoning_open: bool = False) -> None:
    """A complete text that was a reply once, as replies are shown on this screen, without its reasoning."""
    answer = split_reasoning(text, opened=reasoning_open)[1]
    sink: ReplySink
    if screen.markdown and (screen.moves_cursor or screen.color):
        sink = RenderedReply(screen)
    else:
        sink = reply_sink(screen, show_text=True, show_accepted=False)
    sink.text(answer, accepted=False, reasoning=False)
    sink.close()
