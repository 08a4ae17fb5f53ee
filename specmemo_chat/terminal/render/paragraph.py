"""A paragraph that grows: which of its rows can be shown for good before it is complete."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from specmemo_chat.terminal.render.inline import parse
from specmemo_chat.terminal.render.style import Piece, with_style
from specmemo_chat.terminal.render.wrap import cells, cut, joined, wrap

# Emphasis or a code span that is open at the end of a line may be closed on one of the next few.
HELD_LINES = 4
# However deep lists and quotes are nested, and however narrow the screen is, text gets this many cells.
LEAST_CELLS = 8


@dataclass
class Paragraph:
    """Lines of text with what stands before the first and before every other row.

    `lines` are those not shown yet, with their offsets; `rest` is the end of a row whose beginning belongs to a line
    that was too long to wait for its end.
    """

    first: tuple[Piece, ...]
    other: tuple[Piece, ...]
    styled: bool
    style: int = 0
    lines: list[tuple[str, int]] = field(default_factory=list)
    rest: list[Piece] = field(default_factory=list)
    shown: bool = False

    def copy(self) -> Paragraph:
        return Paragraph(self.first, self.other, self.styled, self.style, list(self.lines), list(self.rest), self.shown)

    def settle(self, width: int, *, last: bool, partial: bool = False, optimistic: bool = False) -> list[list[Piece]]:
        """The rows that are final now, which are then forgotten.

        `last`: the paragraph ends here, so what is open stays as it is written. `partial`: the last line goes on, so
        its last row is kept back.
        """
        if not self.lines and not self.rest:
            return []
        text = "\n".join(line for line, _ in self.lines)
        if self.styled:
            pieces, is_open = parse(text, optimistic=optimistic)
            if is_open and not last and not partial and len(self.lines) < HELD_LINES:
                return []
        else:
            pieces = [Piece(text, 0, 0)]
        rows: list[list[Piece]] = []
        lines = self._split(pieces)
        lines[0] = [*self.rest, *lines[0]]
        self.rest = []
        for number, line in enumerate(lines):
            content = joined(line)
            room = max(LEAST_CELLS, width - max(cells(joined(self.first)), cells(joined(self.other))))
            # The blanks that a line begins with stand before all of its rows.
            begins = len(content) - len(content.lstrip(" "))
            blanks = [Piece(" " * min(begins, room - LEAST_CELLS))] if begins and room > LEAST_CELLS else []
            content, line = content[begins:], cut(line, begins, len(content))
            parts = wrap(content, room - len(joined(blanks)))
            if partial and number == len(lines) - 1:
                self.rest = [*blanks, *cut(line, *parts.pop())]
            for start, end in parts:
                shown = cut(line, start, start + len(content[start:end].rstrip(" ")))
                rows.append([*(self.other if self.shown else self.first), *blanks, *shown])
                self.shown = True
        self.lines = []
        return rows

    def _split(self, pieces: Sequence[Piece]) -> list[list[Piece]]:
        """The pieces by line, with offsets in the reply instead of offsets in the joined text."""
        starts = list(itertools.accumulate((len(line) + 1 for line, _ in self.lines), initial=0))
        lines: list[list[Piece]] = [[]]
        for text, style, at in pieces:
            for number, part in enumerate(text.split("\n")):
                if number:
                    lines.append([])
                if part:
                    line = bisect.bisect(starts, at) - 1
                    origin = at - starts[line] + self.lines[line][1] if at >= 0 else -1
                    lines[-1].append(Piece(part, with_style(self.style, style), origin))
                at += len(part) + 1 if at >= 0 else 0
        return lines
