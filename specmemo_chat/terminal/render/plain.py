"""Text without Markdown that arrives in pieces, as rows behind a bar: a model's reasoning."""

from __future__ import annotations

from specmemo_chat.fences import indent_of
from specmemo_chat.terminal.render.paragraph import LEAST_CELLS, Paragraph
from specmemo_chat.terminal.render.style import DIM, Piece, Row
from specmemo_chat.terminal.render.wrap import joins

BAR = (Piece("│ ", DIM),)


class PlainStream:
    """The same interface as MarkdownStream; every line is final when it is complete, or `limit` characters long."""

    def __init__(self, width: int, *, limit: int = 1000) -> None:
        self.resize(width, limit)
        self._rows: list[Row] = []
        self._text = ""
        self._at = 0
        self._blank = False
        self._paragraph = self._fresh()

    def resize(self, width: int, limit: int) -> None:
        self._width = max(width, LEAST_CELLS)
        self._limit = max(limit, 4 * self._width, 200)

    def feed(self, text: str) -> None:
        *lines, rest = text.split("\n")
        for line in lines:
            self._text += line
            self._take_long()
            self._end_line()
        self._text += rest
        self._take_long()

    def take(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows

    def finish(self) -> None:
        self._end_line()

    def preview(self) -> list[Row]:
        twin = object.__new__(PlainStream)
        twin.__dict__.update(self.__dict__)
        twin._rows, twin._paragraph = [], self._paragraph.copy()
        twin.finish()
        return twin._rows

    def _fresh(self) -> Paragraph:
        return Paragraph(BAR, BAR, styled=False, style=DIM)

    def _take_long(self) -> None:
        while len(self._text) > self._limit + 1:
            place = self._text.rfind(" ", 0, self._limit) + 1 or self._limit
            while place > self._limit // 2 and joins(self._text[place - 1], self._text[place]):
                place -= 1
            self._add(self._text[:place])
            self._put(partial=True)
            self._text = self._text[place:]

    def _end_line(self) -> None:
        if self._text.strip() or self._paragraph.rest:
            self._add(self._text)
            self._put(partial=False)
        elif self._rows or self._at:
            self._blank = True
        self._text = ""
        self._at += 1
        self._paragraph = self._fresh()

    def _add(self, text: str) -> None:
        # Tabs at the beginning are indentation.
        body = text.lstrip(" \t")
        indent = indent_of(text)
        at = self._at + len(text) - len(body) - indent
        self._paragraph.lines.append((" " * indent + body.replace("\t", " "), at))
        self._at += len(text)

    def _put(self, *, partial: bool) -> None:
        rows = [Row(tuple(row)) for row in self._paragraph.settle(self._width, last=not partial, partial=partial)]
        if rows and self._blank:
            self._rows.append(Row(BAR))
        if rows:
            self._blank = False
        self._rows += rows
