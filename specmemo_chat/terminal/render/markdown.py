"""Markdown that arrives in pieces: rows that are final, and a preview of the rest.

Read line by line. What a line means never depends on how the text was cut into pieces, so the final rows are a function
of the text and the width alone, and a row that was given out is never taken back. What can be final before a block is
complete, is: every line of a code block, every item of a list, the lines of a paragraph in which no emphasis is open.
Only a table waits for its end (or `TABLE_ROWS`), and a line that goes on for ever for `limit` characters.

Departures from CommonMark, for chat: a line break in the source is one on the screen, and so are the blanks that a line
begins with, counted from its list item's content, because models write code and YAML without fences; a line that four
of them indent is shown as written; a heading is `# …` only (a line of `===` or `---` is a rule); a list may be indented
by any two blanks or more; lists and quotes have no lazy lines. `fences` says what a code block is.
"""

from __future__ import annotations

import copy
import re
from typing import NamedTuple

from specmemo_chat.fences import ITEM, TAB, Fence, columns, fence, opening, unclosed, unquoted
from specmemo_chat.terminal.render.code_block import RULE_CELLS, CodeBlock, expanded
from specmemo_chat.terminal.render.paragraph import LEAST_CELLS, Paragraph
from specmemo_chat.terminal.render.stream import RowStream
from specmemo_chat.terminal.render.style import BOLD, CYAN, DIM, UNDERLINE, Piece, Row
from specmemo_chat.terminal.render.table import Table, is_delimiter_row
from specmemo_chat.terminal.render.wrap import cells, joined

TABLE_ROWS = 100
# Nesting beyond this is shown as this.
DEEPEST_QUOTE = 4
DEEPEST_LIST = 6

_HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*$")
_RULE = re.compile(r"(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,}|={3,}) *")
_TASK = re.compile(r"\[([ xX])\][ \t]+")


class Item(NamedTuple):
    """An open list item: the columns of its marker and its content in the source, and where its content is shown."""

    marker: int
    content: int
    shown: int


class MarkdownStream(RowStream):
    """Turns the text of a reply into rows.

    `styled` False: the source of emphasis, code spans and headings stays visible, for terminals without colours.
    """

    def __init__(self, width: int, *, limit: int = 1000, styled: bool = True) -> None:
        super().__init__(width, limit)
        self._styled = styled
        self._blank: tuple[Piece, ...] | None = None  # a blank line comes before the next row, with these bars
        self._begun = False
        self._quote = 0
        self._items: list[Item] = []  # outermost first
        self._marker: tuple[Piece, ...] = ()  # of an item of which nothing was shown yet
        self._paragraph: Paragraph | None = None
        self._code: CodeBlock | None = None
        self._table: Table | None = None
        self._header: tuple[str, int, int] | None = None  # a line that may be the head of a table, indent, offset
        self._optimistic = False

    def go_on(self, before: str) -> None:
        """The reply goes on after `before`, which is on the screen already: a block of code that it left open does."""
        left = unclosed(before)
        if left is not None:
            self._quote = left.quote
            self._open_code(left)

    def finish(self) -> None:
        super().finish()
        self._close()
        if self._code is not None:
            self._close_code(self._code)

    def preview(self) -> list[Row]:
        twin = copy.copy(self)
        twin._rows, twin._items, twin._optimistic = [], list(self._items), True
        twin._paragraph = self._paragraph.copy() if self._paragraph is not None else None
        twin._code = self._code.copy() if self._code is not None else None
        twin._table = self._table.copy() if self._table is not None else None
        if twin._code is None:
            # What may become emphasis or a fence does not flash up as text.
            twin._text = twin._text.rstrip("*_~`")
        elif twin._code.fence.may_be_closed_by(twin._text):
            twin._text = ""
        if twin._text or twin._continues:
            twin._line(twin._text, twin._at)
        twin._close()
        return twin._rows

    def _part(self, text: str, at: int) -> None:
        if self._code is not None:
            self._put(self._code.part(text, at, self._width))
            return
        if not self._continues:
            self._begin(text, at, whole=False)
        else:
            self._go_on(text, at)
        self._settle(partial=True)

    def _line(self, text: str, at: int) -> None:
        if not self._continues:
            self._begin(text, at, whole=True)
        elif self._code is not None:
            self._put(self._code.line(text, at, self._width))
        else:
            self._go_on(text, at)
            self._settle(last=True)
            self._paragraph = None

    def _go_on(self, text: str, at: int) -> None:
        """More of a line of which the beginning was taken."""
        if self._paragraph is None:
            self._open_paragraph()
        self._add(text, at)

    def _begin(self, text: str, at: int, *, whole: bool) -> None:
        """A line from its beginning; not `whole`: it goes on, so that it cannot be what only a whole line can be."""
        code = self._code
        if code is not None:
            place = code.fence.inside(text)
            if place >= 0 and not (whole and code.fence.is_closed_by(text[place:])):
                self._put((code.line if whole else code.part)(text[place:], at + place, self._width))
                return
            self._close_code(code)
            if place >= 0:
                return
        depth, place = unquoted(text)
        if depth != self._quote:
            self._close()
            self._items, self._quote = [], depth
        body = text[place:].lstrip(" \t")
        if not body:
            self._close()
            self._blank = self._bars()
            return
        if whole and opening(text) is not None:
            self._close(keep_marker=True)
        indent = columns(text[place : len(text) - len(body)])
        self._block(body.rstrip() if whole else body, indent, at + len(text) - len(body), whole)

    def _open_code(self, found: Fence) -> None:
        self._code = CodeBlock(found, self._bars(), styled=self._styled)
        self._put(self._code.open(self._width))

    def _close_code(self, code: CodeBlock) -> None:
        self._put(code.close(self._width))
        self._code = None

    def _block(self, body: str, indent: int, at: int, whole: bool) -> None:
        """A line that is not empty, without its indentation of `indent` columns."""
        found = fence(body, indent, self._quote) if whole else None
        if found is None and self._in_table(body, at, whole):
            return
        self._outdent(indent)
        deeper = self._deeper(indent)
        if found is not None:
            self._show_marker()
            self._open_code(found)
        elif deeper < 2 and (heading := _HEADING.match(body)) is not None and (whole or heading.group()[-1:] in " \t"):
            self._heading(body, heading, at, whole)
        elif deeper < TAB and whole and _RULE.fullmatch(body):
            self._close(keep_marker=True)
            first, other = self._before()
            size = max(1, min(RULE_CELLS, self._width - cells(joined(other))))
            self._put([Row((*first, Piece("─" * size, DIM)))])
        elif (item := ITEM.match(body)) is not None and (whole or item.group()[-1:] in " \t"):
            self._item(body, item, indent, at, whole)
        elif whole and "|" in body:
            self._header = (body, indent, at)
        else:
            self._text_line(body, indent, at, whole)

    def _in_table(self, body: str, at: int, whole: bool) -> bool:
        """Whether the line belongs to a table, or makes one of itself and the line before."""
        if self._table is not None:
            if whole and "|" in body:
                self._table.add(body, at)
                if len(self._table.rows) >= TABLE_ROWS:
                    self._close()
                return True
            self._close()
        elif self._header is not None:
            header, _, header_at = self._header
            if whole and is_delimiter_row(body, header):
                self._header = None
                self._close(keep_marker=True)
                self._table = Table(header, header_at, body, styled=self._styled)
                return True
            self._flush_header()
        return False

    def _heading(self, body: str, found: re.Match[str], at: int, whole: bool) -> None:
        self._close(keep_marker=True)
        level = len(found.group(1))
        style = BOLD | CYAN | (UNDERLINE if level == 1 else 0) if level < 3 else BOLD
        if self._styled:
            body, at = body[found.end() :], at + found.end()
            if whole:
                body = _HEADING_END.sub("", body)
        self._open_paragraph(style)
        self._add(body, at)
        if whole:
            self._close()

    def _item(self, body: str, found: re.Match[str], indent: int, at: int, whole: bool) -> None:
        self._close()
        content = body[found.end() :]
        at += found.end()
        mark = found.group(1)
        end = columns(" " * indent + found.group())
        gap = end - indent - len(mark)
        inside = indent + len(mark) + (gap if gap <= TAB else 1) if content else indent + len(mark) + 1
        if self._styled and not mark[0].isdigit():
            mark = "•"
        task = _TASK.match(content)
        if task is not None and self._styled:
            mark = "☐" if task.group(1) == " " else "☑"
            content, at = content[task.end() :], at + task.end()
        shown = self._shown() + self._deeper(indent)
        self._marker = (*self._bars(), *self._blanks(shown), Piece(mark, CYAN), Piece(" "))
        nested = len(self._items) < DEEPEST_LIST
        if nested:
            self._items.append(Item(indent, inside, shown + len(mark) + 1))
        inner = content.lstrip(" \t")
        at += len(content) - len(inner)
        if inner and task is None and (nested or (whole and opening(inner) is not None)):
            self._block(inner, end, at, whole)
        elif inner:
            self._text_line(inner, end, at, whole)

    def _outdent(self, indent: int) -> None:
        """Leave the list items that a line at this column does not belong to."""
        if self._items and indent < self._items[-1].marker + 2:
            self._close()
            while self._items and indent < self._items[-1].marker + 2:
                self._items.pop()

    def _deeper(self, indent: int) -> int:
        """The blanks of a line at this column beyond its item's content."""
        return max(0, indent - (self._items[-1].content if self._items else 0)) if not self._marker else 0

    def _text_line(self, body: str, indent: int, at: int, whole: bool) -> None:
        deeper = self._deeper(indent)
        if whole and deeper >= TAB:
            self._settle(last=True)
            self._paragraph = None
            pieces = (*self._before()[1], Piece(" " * deeper), *expanded([Piece(body, 0, at)]))
            self._put([Row(pieces, wraps=True)])
            return
        if self._paragraph is None:
            self._open_paragraph()
        self._add(" " * deeper + body, at - deeper)
        if whole:
            self._settle()

    def _open_paragraph(self, style: int = 0) -> None:
        self._paragraph = Paragraph(*self._before(), self._styled, style)

    def _add(self, text: str, at: int) -> None:
        assert self._paragraph is not None
        self._paragraph.lines.append((text.replace("\t", " "), at))

    def _settle(self, *, last: bool = False, partial: bool = False) -> None:
        if self._paragraph is not None:
            rows = self._paragraph.settle(self._width, last=last, partial=partial, optimistic=self._optimistic)
            self._put([Row(tuple(row)) for row in rows])

    def _flush_header(self) -> None:
        if self._header is not None:
            (body, indent, at), self._header = self._header, None
            self._text_line(body, indent, at, True)

    def _close(self, *, keep_marker: bool = False) -> None:
        """End paragraph and table; an item that has only its marker is shown, unless it is about to get more."""
        self._flush_header()
        self._settle(last=True)
        self._paragraph = None
        if self._table is not None:
            before, other = self._before()
            for line in self._table.render(max(LEAST_CELLS, self._width - cells(joined(other)))):
                self._put([Row((*before, *line))])
                before = other
            self._table = None
        if not keep_marker:
            self._show_marker()

    def _show_marker(self) -> None:
        marker, self._marker = self._marker, ()
        if marker:
            self._put([Row(marker[:-1])])

    def _before(self) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
        """What stands before the next row, which is an item's marker where that was not shown, and before others."""
        other = (*self._bars(), *self._blanks(self._shown()))
        first, self._marker = self._marker or other, ()
        return first, other

    def _bars(self) -> tuple[Piece, ...]:
        return (Piece("▎ ", DIM),) * min(self._quote, DEEPEST_QUOTE)

    def _shown(self) -> int:
        """The column where the content of the innermost item is shown."""
        return self._items[-1].shown if self._items else 0

    def _blanks(self, size: int) -> tuple[Piece, ...]:
        return (Piece(" " * min(size, self._width // 2)),) if size else ()

    def _put(self, rows: list[Row]) -> None:
        if rows and self._blank is not None and self._begun:
            self._rows.append(Row(min(self._blank, self._bars(), key=len)))
        if rows:
            self._blank, self._begun = None, True
            self._rows += rows
