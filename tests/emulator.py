"""An emulated terminal: pyte's, with what real terminals do and it does not."""

from __future__ import annotations

import unicodedata

import pyte
from pyte.modes import DECAWM, DECTCEM
from pyte.screens import Char
from wcwidth import wcwidth


class EmulatedScreen(pyte.Screen):
    """A screen with scrollback. Shrinking it scrolls, and the cursor stays at its text; text beyond the right edge is
    kept unseen, as by terminals that neither cut nor wrap anew."""

    def __init__(self, columns: int, lines: int) -> None:
        self.scrolled: list[str] = []
        self._cells: dict[Char, dict[str, Char]] = {}
        super().__init__(columns, lines)

    def draw(self, data: str) -> None:
        """pyte drops what follows a character without width that is no combining mark (a joiner, a selector)."""
        if not data.isascii():
            super().draw("".join(char for char in data if wcwidth(char) > 0 or unicodedata.combining(char)))
            return
        # The same as pyte's for narrow characters, without a new tuple for each of them.
        cells = self._cells.setdefault(self.cursor.attrs, {})
        for char in data:
            if self.cursor.x == self.columns:
                if DECAWM in self.mode:
                    self.carriage_return()
                    self.linefeed()
                else:
                    self.cursor.x -= 1
            cell = cells.get(char)
            if cell is None:
                cell = cells[char] = self.cursor.attrs._replace(data=char)
            self.buffer[self.cursor.y][self.cursor.x] = cell
            self.cursor.x += 1

    def index(self) -> None:
        """A line feed; at the bottom the first line scrolls away."""
        if self.cursor.y == self.lines - 1:
            self.scrolled.append(self._line(0))
        super().index()

    def _line(self, y: int) -> str:
        row = self.buffer[y]
        return "".join(row[x].data for x in range(max(row, default=-1) + 1)).rstrip()

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Lines below the cursor go first, then those at the top, into the scrollback; pyte moves the cursor."""
        if lines is not None and lines < self.lines:
            above = max(0, self.cursor.y - lines + 1)
            for _ in range(above):
                self.scrolled.append(self._line(0))
                for y in range(self.lines - 1):
                    self.buffer[y] = self.buffer[y + 1]
                self.buffer.pop(self.lines - 1, None)
            for y in range(lines, self.lines):
                self.buffer.pop(y, None)
            self.cursor.y -= above
        self.lines, self.columns = lines or self.lines, columns or self.columns
        self.cursor.x = min(self.cursor.x, self.columns - 1)
        self.set_margins()

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        super().erase_in_line(how, private)
        if how != 1:
            row = self.buffer[self.cursor.y]
            for x in [x for x in row if x >= self.columns]:
                del row[x]

    @property
    def transcript(self) -> list[str]:
        """Every line from the first one that scrolled away to the last one with text."""
        lines = self.scrolled + [self._line(y) for y in range(self.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def problems(self) -> list[str]:
        """What is not as a program must leave a terminal: at the beginning of a line, cursor shown, no style left."""
        attributes = self.cursor.attrs
        left = attributes.fg != "default" or attributes.bg != "default" or attributes.bold or attributes.reverse
        found = {
            "the cursor is hidden": DECTCEM not in self.mode or self.cursor.hidden,
            "lines do not wrap": DECAWM not in self.mode,
            "a style is left": left or attributes.underscore or attributes.italics or attributes.strikethrough,
            f"the cursor stands in column {self.cursor.x}": self.cursor.x != 0,
            f"the title is {self.title!r}": bool(self.title),
        }
        return [name for name, is_so in found.items() if is_so]
