"""Markdown tables: columns as wide as they need and the screen allows."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator

from specmemo_chat.terminal.render.inline import parse
from specmemo_chat.terminal.render.style import BOLD, DIM, Piece, with_style
from specmemo_chat.terminal.render.wrap import cells, cut, joined, wrap

GAP = 2
# Below this a column is not read but deciphered: the rows become lists of "header: value".
NARROWEST = 6

_DELIMITERS = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_CELL = re.compile(r"(?:\\.|[^|])*")

Cell = list[Piece]


def split_row(line: str, at: int) -> list[tuple[str, int]]:
    """The cells of a row and their offsets; `\\|` does not end a cell."""
    found: list[tuple[str, int]] = []
    place = len(line) - len(line.lstrip())
    end = len(line.rstrip())
    if line[place:end].startswith("|"):
        place += 1
    if line[place:end].endswith("|") and not line[:end].endswith("\\|"):
        end -= 1
    while True:
        match = _CELL.match(line, place, end)
        text = match.group() if match is not None else ""
        found.append((text.strip().replace("\\|", "|"), at + place + len(text) - len(text.lstrip())))
        place += len(text) + 1
        if place > end:
            return found


def is_delimiter_row(line: str, header: str) -> bool:
    """Whether `line` makes the line before it, `header`, the head of a table."""
    return (
        "|" in line and _DELIMITERS.fullmatch(line) is not None and len(split_row(line, 0)) == len(split_row(header, 0))
    )


class Table:
    """A table that grows row by row. `styled` False: cells show their source."""

    def __init__(self, header: str, at: int, delimiters: str, *, styled: bool) -> None:
        self._styled = styled
        self._alignments = [
            ("center" if cell.startswith(":") else "right") if cell.endswith(":") else "left"
            for cell, _ in split_row(delimiters, 0)
        ]
        self._header = self._cells(header, at)
        self.rows: list[list[Cell]] = []

    def add(self, line: str, at: int) -> None:
        """One more row; cells that are missing are empty, cells without a header make one column more."""
        self.rows.append(self._cells(line, at))

    def copy(self) -> Table:
        other = copy.copy(self)
        other.rows = list(self.rows)
        return other

    def render(self, width: int) -> Iterator[list[Piece]]:
        """The lines of the whole table."""
        columns = max(map(len, [self._header, *self.rows]))
        header, *rows = [row + [[] for _ in range(columns - len(row))] for row in [self._header, *self.rows]]
        natural = [max(1, *(cells(joined(row[index])) for row in [header, *rows])) for index in range(columns)]
        widths = fit(natural, width - GAP * (columns - 1))
        if widths is None:
            yield from self._records(header, rows, width)
            return
        bold = [[piece._replace(style=with_style(piece.style, BOLD)) for piece in cell] for cell in header]
        yield from self._lines(bold, widths)
        yield [Piece((" " * GAP).join("─" * size for size in widths), DIM)]
        for row in rows:
            yield from self._lines(row, widths)

    def _cells(self, line: str, at: int) -> list[Cell]:
        found = []
        for text, offset in split_row(line, at):
            pieces = parse(text)[0] if self._styled else [Piece(text, 0, 0)]
            found.append(
                [
                    Piece(piece.text.replace("\n", " "), piece.style, piece.at + offset if piece.at >= 0 else -1)
                    for piece in pieces
                ]
            )
        return found

    def _lines(self, row: list[Cell], widths: list[int]) -> Iterator[list[Piece]]:
        wrapped = [
            [cut(cell, *part) for part in wrap(joined(cell), size)] for cell, size in zip(row, widths, strict=True)
        ]
        sides = itertools.chain(self._alignments, itertools.repeat("left"))
        columns = list(zip(wrapped, widths, sides, strict=False))
        for line in range(max(map(len, wrapped))):
            pieces: list[Piece] = []
            for parts, size, side in columns:
                content = parts[line] if line < len(parts) else []
                free = max(0, size - cells(joined(content)))
                before = {"left": 0, "right": free, "center": free // 2}[side]
                pieces += [Piece(" " * before), *content, Piece(" " * (free - before + GAP))]
            yield cut(pieces, 0, len(joined(pieces).rstrip(" ")))

    @staticmethod
    def _records(header: list[Cell], rows: list[list[Cell]], width: int) -> Iterator[list[Piece]]:
        """A table that is too wide for its columns: every row a list of its cells."""
        if not rows:
            rows = [[[] for _ in header]]
        for number, row in enumerate(rows):
            if number:
                yield []
            for name, cell in zip(header, row, strict=True):
                label = [piece._replace(style=with_style(piece.style, BOLD)) for piece in name]
                content = [*label, Piece(": "), *cell] if label else cell
                for start, end in wrap(joined(content), width):
                    yield cut(content, start, end)


def fit(natural: list[int], room: int) -> list[int] | None:
    """Widths of at most `room` cells in all, the widest columns cut first; None where they would be unreadable."""
    if sum(natural) <= room:
        return natural
    if room < sum(min(size, NARROWEST) for size in natural):
        return None
    low, high = NARROWEST, max(natural)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(size, middle) for size in natural) <= room:
            low = middle
        else:
            high = middle - 1
    widths = [min(size, low) for size in natural]
    for index, size in enumerate(natural):
        if widths[index] < size and sum(widths) < room:
            widths[index] += 1
    return widths
