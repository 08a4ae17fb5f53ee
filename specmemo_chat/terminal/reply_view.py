"""Where the text of a reply goes: a terminal with Markdown, a plain terminal, or a pipe."""

from __future__ import annotations

import bisect
import threading
import time
from collections import deque
from collections.abc import Iterable

from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.live import KeysUnseen, LiveTail
from specmemo_chat.terminal.render.markdown import MarkdownStream
from specmemo_chat.terminal.render.plain import PlainStream
from specmemo_chat.terminal.render.stream import RowStream
from specmemo_chat.terminal.render.style import ACCEPTED, DIM, PLAIN, Piece, Row, paint
from specmemo_chat.terminal.render.wrap import anchored
from specmemo_chat.terminal.text import safe

# The shortest and the longest pause between two frames; longer where a frame takes much processor time: the worker on
# the same machine needs it.
FRAME_S, SLOWEST_FRAME_S = 0.05, 0.25
FRAME_SHARE = 0.04
# The window may be resized while no text comes.
LOOK_S = 0.1
# An unfinished line is kept redrawable for about half a screen, within these bounds, in characters.
LEAST_LIMIT, MOST_LIMIT = 200, 1000


class ReplySink:
    """Takes a reply piece by piece; this one shows notes only, because the reply is wanted as JSON."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def text(self, text: str, *, accepted: bool, reasoning: bool) -> None:
        """The next piece."""

    def note(self, text: str) -> None:
        self._screen.note(text)

    def close(self) -> None:
        """Called in every case, also when the reply broke off."""


class PipeReply(ReplySink):
    """The answer as it is, without the reasoning, for another program."""

    _begun = False

    def text(self, text: str, *, accepted: bool, reasoning: bool) -> None:
        if not reasoning:
            self._begun = True
            self._screen.write(text)

    def close(self) -> None:
        if self._begun:
            self._screen.write("\n")


class PlainReply(ReplySink):
    """Text on a terminal as it comes; the terminal breaks its lines."""

    def __init__(self, screen: Screen, *, show_accepted: bool) -> None:
        super().__init__(screen)
        self._show_accepted = show_accepted
        self._open = False
        self._thought = False

    def text(self, text: str, *, accepted: bool, reasoning: bool) -> None:
        if self._thought and not reasoning:
            self._screen.write("\n\n")
        self._thought = reasoning
        text = safe(text)
        style = DIM if reasoning else PLAIN
        if accepted and self._show_accepted:
            style |= ACCEPTED
        self._screen.write_styled(paint([Piece(text, style)], color=self._screen.color))
        self._open = not text.endswith("\n")

    def note(self, text: str) -> None:
        if self._open and self._screen.terminal and self._screen.err.is_terminal:
            self._screen.write("\n")
            self._open = False
        self._screen.note(text)

    def close(self) -> None:
        if self._open:
            self._screen.write("\n")
            self._open = False


class _Origins:
    """Which stretches of the text came from accepted draft tokens."""

    def __init__(self) -> None:
        self._starts = [0]
        self._accepted = [False]
        self._length = 0

    def add(self, length: int, accepted: bool) -> None:
        if accepted != self._accepted[-1]:
            self._starts.append(self._length)
            self._accepted.append(accepted)
        self._length += length

    def mark(self, row: Row) -> Row:
        """The row with the style of accepted text where it is."""
        return row._replace(pieces=tuple(part for piece in row.pieces for part in self._split(piece)))

    def _split(self, piece: Piece) -> Iterable[Piece]:
        text, style, at = piece
        if at < 0:
            yield piece
            return
        end = at + len(text)
        while at < end:
            index = bisect.bisect_right(self._starts, at) - 1
            stop = min(end, self._starts[index + 1]) if index + 1 < len(self._starts) else end
            yield Piece(text[: stop - at], style | (ACCEPTED if self._accepted[index] else 0), at)
            text, at = text[stop - at :], stop


class _Section:
    """Reasoning or answer: its stream of rows, and where its text came from."""

    def __init__(self, stream: RowStream, *, show_accepted: bool) -> None:
        self.stream = stream
        self._origins = _Origins() if show_accepted else None

    def feed(self, text: str, accepted: bool) -> None:
        text = safe(text)
        if self._origins is not None:
            self._origins.add(len(text), accepted)
        self.stream.feed(text)

    def final(self) -> list[Row]:
        return self._marked(self.stream.take())

    def preview(self) -> list[Row]:
        return self._marked(self.stream.preview())

    def _marked(self, rows: list[Row]) -> list[Row]:
        return rows if self._origins is None else [self._origins.mark(row) for row in rows]


class RenderedReply(ReplySink):
    """Markdown rows in their order, for a stream that is never redrawn; the base of LiveReply. `before`: the answer so
    far, where it goes on."""

    def __init__(self, screen: Screen, *, show_accepted: bool = False, before: str = "") -> None:
        super().__init__(screen)
        self._before = before
        self._show_accepted = show_accepted
        self._section: _Section | None = None
        self._reasoning = False
        self._rows: list[Row] = []
        self._size = screen.size()

    def text(self, text: str, *, accepted: bool, reasoning: bool) -> None:
        self._feed(text, accepted, reasoning)
        self._print(self._take())

    def close(self) -> None:
        self._end_section()
        self._print(self._take())

    def _feed(self, text: str, accepted: bool, reasoning: bool) -> None:
        if self._section is not None and reasoning != self._reasoning:
            self._end_section()
            self._rows.append(Row(()))
        if self._section is None:
            columns, limit = self._size[0], self._limit()
            stream: RowStream
            if reasoning:
                stream = PlainStream(columns, limit=limit)
            else:
                stream = MarkdownStream(columns, limit=limit, styled=self._screen.color)
                stream.go_on(safe(self._before))
            self._section = _Section(stream, show_accepted=self._show_accepted)
            self._reasoning = reasoning
        self._section.feed(text, accepted)

    def _limit(self) -> int:
        columns, rows = self._size
        return min(max(columns * rows // 2, LEAST_LIMIT), MOST_LIMIT)

    def _take(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows + (self._section.final() if self._section is not None else [])

    def _end_section(self) -> None:
        if self._section is not None:
            self._section.stream.finish()
            self._rows += self._section.final()
            self._section = None

    def _print(self, rows: list[Row]) -> None:
        if rows:
            lines = [paint(anchored(row.pieces), color=self._screen.color) + "\n" for row in rows]
            self._screen.write_styled("".join(lines))


def frame_pause(processor_s: float) -> float:
    """Seconds until the next frame after one that took `processor_s` seconds of processor time."""
    return min(max(FRAME_S, processor_s / FRAME_SHARE), SLOWEST_FRAME_S)


class LiveReply(RenderedReply):
    """Markdown on a terminal: a thread of its own draws what is new, at once where the last frame was `FRAME_S` seconds
    ago.

    So a token costs its reader one append to a queue, whatever it takes to show it. Whatever goes wrong in the thread
    is raised by the next call.
    """

    def __init__(self, screen: Screen, *, show_accepted: bool = False, before: str = "") -> None:
        super().__init__(screen, show_accepted=show_accepted, before=before)
        self._queue: deque[tuple[str, bool, bool]] = deque()
        self._tail = LiveTail(screen.out.file, color=screen.color)
        self._keys = KeysUnseen()
        # Held while a frame is made. Reentrant: a signal may arrive while the main thread holds it.
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._resized = False

    def text(self, text: str, *, accepted: bool, reasoning: bool) -> None:
        self._queue.append((text, accepted, reasoning))
        if self._thread is None:
            self._keys.on()
            self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
            self._thread.start()
        if not self._news.is_set():
            self._news.set()
        self._raise_error()

    def note(self, text: str) -> None:
        with self._lock:
            self._draw(preview=False)
            self._tail.clear()
            self._screen.note(text)

    def suspend(self) -> None:
        """Leave the terminal to others for a while: no tail, cursor and keys shown."""
        with self._lock:
            self._tail.clear()
            self._keys.suspend()

    def resume(self) -> None:
        """Go on after `suspend`."""
        with self._lock:
            self._keys.resume()
            self._resized = True  # the tail is not there any more
            self._draw()

    def close(self) -> None:
        self._closing.set()
        self._news.set()
        try:
            if self._thread is not None:
                self._thread.join()
            if self._error is None:
                with self._lock:
                    self._drain()
                    self._end_section()
                    self._draw(preview=False)
        finally:
            with self._lock:
                self._tail.clear()
                self._keys.off()
        self._raise_error()

    def _run(self) -> None:
        due = 0.0
        while not self._closing.is_set():
            self._news.wait(LOOK_S)
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            self._news.clear()
            began = time.thread_time()
            try:
                with self._lock:
                    self._draw()
            except Exception as error:  # noqa: BLE001 - raised in the thread that waits for the reply
                self._error = error
                return
            due = time.monotonic() + frame_pause(time.thread_time() - began)

    def _draw(self, *, preview: bool = True) -> None:
        self._resize()
        if self._drain() or not preview or self._resized:
            tail = self._section.preview() if preview and self._section is not None else []
            self._tail.frame(self._take(), tail, self._size)
            self._resized = False

    def _resize(self) -> None:
        size = self._screen.size()
        if size != self._size:
            self._size, self._resized = size, True
            if self._section is not None:
                self._section.stream.resize(size[0], self._limit())

    def _drain(self) -> bool:
        """Take what the queue holds; whether there was anything."""
        pieces = [self._queue.popleft() for _ in range(len(self._queue))]
        start = 0
        while start < len(pieces):
            # Pieces of the same kind are fed as one.
            end = start
            while end < len(pieces) and pieces[end][1:] == pieces[start][1:]:
                end += 1
            self._feed("".join(text for text, _, _ in pieces[start:end]), *pieces[start][1:])
            start = end
        return bool(pieces)

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


def reply_sink(screen: Screen, *, show_text: bool, show_accepted: bool, before: str = "") -> ReplySink:
    """The sink that suits the screen: a reply that is not shown, a live one, plain text, rendered rows, or a pipe."""
    show_accepted = show_accepted and screen.color
    if not show_text:
        return ReplySink(screen)
    if screen.markdown and screen.moves_cursor:
        return LiveReply(screen, show_accepted=show_accepted, before=before)
    if screen.markdown and screen.color:
        return RenderedReply(screen, show_accepted=show_accepted, before=before)
    if screen.terminal or screen.color:
        return PlainReply(screen, show_accepted=show_accepted)
    return PipeReply(screen)
