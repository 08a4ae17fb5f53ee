"""Text that arrives in pieces, given out as rows that are final: what Markdown and plain text have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from specmemo_chat.fences import TAB
from specmemo_chat.terminal.render.paragraph import LEAST_CELLS
from specmemo_chat.terminal.render.style import Row
from specmemo_chat.terminal.render.wrap import joins


class RowStream(ABC):
    """Reads a text line by line into rows of at most `width` cells; how it was cut into pieces changes none of them.

    `limit`: characters of an unfinished line that a preview may hold. A longer line is read in parts.
    """

    def __init__(self, width: int, limit: int) -> None:
        self.resize(width, limit)
        self._rows: list[Row] = []
        self._text = ""  # the line that has no end yet
        self._at = 0  # its offset in the text
        self._continues = False  # the beginning of this line was taken already

    def resize(self, width: int, limit: int) -> None:
        """What is not final yet gets another width."""
        self._width = max(width, LEAST_CELLS)
        self._limit = max(limit, 4 * self._width, 200)

    def feed(self, text: str) -> None:
        """More of the text, already without control characters."""
        *lines, rest = text.split("\n")
        for line in lines:
            self._text += line
            self._take_long()
            self._end_line()
            self._at += 1
        self._text += rest
        self._take_long()

    def take(self) -> list[Row]:
        """The rows that became final since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def finish(self) -> None:
        """The text is complete: everything is final."""
        if self._text or self._continues:
            self._end_line()

    @abstractmethod
    def preview(self) -> list[Row]:
        """The rows of what is not final, as they would be if the text went on as one hopes. Changes nothing."""

    @abstractmethod
    def _part(self, text: str, at: int) -> None:
        """The beginning or, where it `_continues`, the middle of a long line."""

    @abstractmethod
    def _line(self, text: str, at: int) -> None:
        """The next line, or the end of a long one."""

    def _end_line(self) -> None:
        self._line(self._text, self._at)
        self._at += len(self._text)
        self._text, self._continues = "", False

    def _take_long(self) -> None:
        """Take the beginning of a line that is too long to wait for its end, cut at a place that its text decides."""
        while len(self._text) > self._limit + TAB:
            place = self._text.rfind(" ", 0, self._limit) + 1
            if not self._text[:place].strip():
                place = self._limit
                while place > self._limit // 2 and joins(self._text[place - 1], self._text[place]):
                    place -= 1
            self._part(self._text[:place], self._at)
            self._text = self._text[place:]
            self._at += place
            self._continues = True
