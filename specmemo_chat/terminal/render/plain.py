"""Text without Markdown that arrives in pieces, as rows behind a bar: a model's reasoning."""

from __future__ import annotations

import copy

from specmemo_chat.fences import indent_of
from specmemo_chat.terminal.render.paragraph import Paragraph
from specmemo_chat.terminal.render.stream import RowStream
from specmemo_chat.terminal.render.style import DIM, Piece, Row

BAR = (Piece("│ ", DIM),)


class PlainStream(RowStream):
    """Every line is final when it is complete, or `limit` characters long."""

    def __init__(self, width: int, *, limit: int = 1000) -> None:
        super().__init__(width, limit)
        self._blank = False
        self._paragraph = Paragraph(BAR, BAR, styled=False, style=DIM)

    def preview(self) -> list[Row]:
        twin = copy.copy(self)
        twin._rows, twin._paragraph = [], self._paragraph.copy()
        twin.finish()
        return twin._rows

    def _line(self, text: str, at: int) -> None:
        if text.strip() or self._continues:
            self._add(text, at, partial=False)
        elif at:
            self._blank = True
        self._paragraph = Paragraph(BAR, BAR, styled=False, style=DIM)

    def _part(self, text: str, at: int) -> None:
        self._add(text, at, partial=True)

    def _add(self, text: str, at: int, *, partial: bool) -> None:
        # Tabs at the beginning are indentation.
        body, indent = text.lstrip(" \t"), indent_of(text)
        self._paragraph.lines.append((" " * indent + body.replace("\t", " "), at + len(text) - len(body) - indent))
        rows = [Row(tuple(row)) for row in self._paragraph.settle(self._width, last=not partial, partial=partial)]
        if rows and self._blank:
            self._rows.append(Row(BAR))
            self._blank = False
        self._rows += rows
