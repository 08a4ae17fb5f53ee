"""A stretch of the terminal that grows: finished rows are written once, an unfinished tail below them is redrawn.

Between two frames the cursor is parked, unseen, at the beginning of the tail. A redraw erases from there to the end of
the screen and writes anew; it never has to know how many rows the tail takes, so a terminal that was resized, and may
have wrapped the tail's rows anew or not, is left with nothing torn or doubled. While the tail is drawn the terminal
does not wrap: characters whose width the terminal and this program see differently cannot push the tail down.
"""

from __future__ import annotations

import termios
from collections.abc import Sequence
from typing import IO

from specmemo_chat.terminal.modes import Modes, set_modes, terminal_modes
from specmemo_chat.terminal.render.style import Piece, Row, paint
from specmemo_chat.terminal.render.wrap import anchored, chop, cut, joined

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # a terminal that knows it shows the frame at once; others ignore it
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_ERASE = "\r\x1b[J"


class LiveTail:
    """Writes frames to `stream`, a terminal that can move its cursor."""

    def __init__(self, stream: IO[str], *, color: bool) -> None:
        self._stream = stream
        self._color = color
        self._shown: list[str] = []
        self._drawn_for = (0, 0)
        self._hidden = False

    def frame(self, final: Sequence[Row], tail: Sequence[Row], size: tuple[int, int]) -> None:
        """Write the rows that are final, and under them the end of the tail, as much as fits into `size`, the columns
        and rows of the screen."""
        shown = self._tail_lines(tail, *size)
        if not final and shown == self._shown and size == self._drawn_for:
            return
        parts = [_BEGIN, "" if self._hidden else _HIDE_CURSOR, _ERASE]
        parts += [paint(anchored(row.pieces), color=self._color) + "\n" for row in final]
        if shown:
            parts += [_NO_WRAP, "\n".join(shown), _WRAP, f"\r\x1b[{len(shown) - 1}A" if len(shown) > 1 else "\r"]
        self._write("".join([*parts, _END]))
        self._shown, self._drawn_for, self._hidden = shown, size, True

    def clear(self) -> None:
        """Take the tail away and show the cursor: others may write here until the next frame."""
        if self._hidden:
            self._write(_ERASE + _WRAP + ("\x1b[0m" if self._color else "") + _SHOW_CURSOR)
            self._shown, self._hidden = [], False

    def _tail_lines(self, tail: Sequence[Row], columns: int, rows: int) -> list[str]:
        """The last lines that fit under at least one row of what is final."""
        lines: list[Sequence[Piece]] = []
        room = max(1, rows - 1)
        for row in tail[-room:]:
            parts = chop(joined(row.pieces), columns)
            lines += [cut(row.pieces, *part) for part in parts] if len(parts) > 1 else [row.pieces]
        return [paint(anchored(line), color=self._color) for line in lines[-room:]]

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class KeysUnseen:
    """While on, the terminal shows no keys as they are typed: they would appear in the middle of the reply."""

    def __init__(self) -> None:
        self._before: Modes | None = None

    def on(self) -> None:
        if self._before is not None:
            return
        self._before = terminal_modes()
        self.resume()

    def off(self) -> None:
        before, self._before = self._before, None
        set_modes(before)

    def suspend(self) -> None:
        """`off` until `resume`, which does not trust what another program leaves behind."""
        set_modes(self._before)

    def resume(self) -> None:
        if self._before is not None:
            settings = [*self._before]
            settings[3] = int(self._before[3]) & ~termios.ECHO
            set_modes(settings)
