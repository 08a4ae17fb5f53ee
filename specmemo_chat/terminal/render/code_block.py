"""A fenced code block that grows: each line is final as soon as it is complete."""

from __future__ import annotations

import copy

from specmemo_chat.fences import TAB, Fence
from specmemo_chat.terminal.render.highlight import Highlighter
from specmemo_chat.terminal.render.style import DIM, PLAIN, Piece, Row
from specmemo_chat.terminal.render.wrap import chop, cut, joined

RULE_CELLS = 32


class CodeBlock:
    """Code between rules, flush left and unbroken, so that copying it from the screen gives the code.

    `bars` stand before each row where it is in a quote.
    """

    def __init__(self, fence: Fence, bars: tuple[Piece, ...], *, styled: bool) -> None:
        self.fence = fence
        self._bars = bars
        self._highlighter = Highlighter(fence.language if styled else "")
        self._rest: list[Piece] = []

    def copy(self) -> CodeBlock:
        other = copy.copy(self)
        other._highlighter = self._highlighter.copy()
        other._rest = list(self._rest)
        return other

    def open(self, width: int) -> list[Row]:
        """The rule above the code, with the language."""
        size = min(RULE_CELLS, width)
        language = self.fence.language[: max(0, size - 6)]
        title = f"── {language} " if language else ""
        return [Row((*self._bars, Piece(title + "─" * (size - len(title)), DIM)))]

    def close(self, width: int) -> list[Row]:
        """What is left of a line without an end, and the rule below."""
        rows = [Row((*self._bars, *self._rest))] if self._rest else []
        self._rest = []
        return [*rows, Row((*self._bars, Piece("─" * min(RULE_CELLS, width), DIM)))]

    def line(self, text: str, at: int, width: int) -> list[Row]:
        """A complete line, or the end of one of which `part` took the beginning."""
        if self._rest:
            rows = self.part(text, at, width)
            rows.append(Row((*self._bars, *self._rest)))
            self._rest = []
            return rows
        skipped, blanks = self.fence.indentation(text)
        pieces, offset = [Piece(" " * blanks)] if blanks else [], at + skipped
        for run, style in self._highlighter.line(text[skipped:]):
            pieces.append(Piece(run, style, offset))
            offset += len(run)
        return [Row((*self._bars, *expanded(pieces)), wraps=True)]

    def part(self, text: str, at: int, width: int) -> list[Row]:
        """The next part of a very long line, without colours: its rows but the last, which may go on."""
        skipped, blanks = (0, 0) if self._rest else self.fence.indentation(text)
        first = [Piece(" " * blanks)] if blanks else []
        pieces = [*self._rest, *first, *expanded([Piece(text[skipped:], PLAIN, at + skipped)])]
        parts = chop(joined(pieces), max(1, width - len(joined(self._bars))))
        rows = [Row((*self._bars, *cut(pieces, *part))) for part in parts[:-1]]
        self._rest = cut(pieces, *parts[-1])
        return rows


def expanded(pieces: list[Piece]) -> list[Piece]:
    """Tabs as blanks up to the next stop: a terminal's own stops would depend on where the code stands."""
    if not any("\t" in piece.text for piece in pieces):
        return pieces
    found: list[Piece] = []
    column = 0
    for text, style, at in pieces:
        for number, part in enumerate(text.split("\t")):
            if number:
                blanks = TAB - column % TAB
                found.append(Piece(" " * blanks, style))
                column += blanks
                at += 1
            if part:
                found.append(Piece(part, style, at))
                column += len(part)
                at += len(part)
    return found
