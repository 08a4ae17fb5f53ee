"""What CommonMark makes of a text, as rows like the terminal's: markdown-it-py's tokens decide text and structure."""

from __future__ import annotations

import itertools

from markdown_it import MarkdownIt
from markdown_it.token import Token

from specmemo_chat.terminal.render.style import BOLD, CYAN, DIM, ITALIC, STRIKE, UNDERLINE, Piece, with_style
from specmemo_chat.terminal.render.wrap import cells, cut, joined

RULE = "─" * 32
_MARKS = {"strong": BOLD, "em": ITALIC, "s": STRIKE}
_LINK = UNDERLINE | 34 << 8

Runs = list[tuple[str, int]]


class _Parser(MarkdownIt):
    """Addresses are as written, and any is one: the terminal shows them, and follows none."""

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link

    def validateLink(self, url: str) -> bool:
        return True


def commonmark_rows(text: str) -> list[Runs]:
    """The rows of a text, each as runs of one style; blank rows are left out."""
    parser = _Parser("commonmark").enable(["table", "strikethrough"])
    return runs(_Rows(parser.parse(text)).rows)


def runs(rows: list[list[Piece]]) -> list[Runs]:
    """Rows as runs of one style, where blanks have the style of what is before them; blank rows are left out."""
    found = []
    for row in rows:
        styled: list[tuple[str, int]] = []
        for text, style, _ in cut(row, 0, len(joined(row).rstrip())):
            for char in text:
                before = styled[-1][1] if styled else 0
                styled.append((char, before if char == " " else style))
        if joined(row).strip("▎ "):
            groups = itertools.groupby(styled, key=lambda pair: pair[1])
            found.append([("".join(char for char, _ in group), style) for style, group in groups])
    return found


class _Rows:
    def __init__(self, tokens: list[Token]) -> None:
        self.rows: list[list[Piece]] = []
        self._prefix: list[Piece] = []  # before each row
        self._marker: list[Piece] = []  # before the next one
        self._style = 0
        self._table: list[list[list[Piece]]] = []
        for token in tokens:
            self._token(token)

    def _token(self, token: Token) -> None:
        match token.type:
            case "blockquote_open":
                self._flush()
                self._prefix.append(Piece("▎ ", DIM))
            case "list_item_open":
                self._flush()
                mark = token.info + token.markup if token.info else "•"
                self._marker = [Piece(mark, CYAN), Piece(" ")]
                self._prefix.append(Piece(" " * (len(mark) + 1)))
            case "blockquote_close" | "list_item_close":
                self._flush()
                self._prefix.pop()
            case "heading_open":
                level = int(token.tag[1])
                self._style = BOLD if level > 2 else BOLD | CYAN | (UNDERLINE if level == 1 else 0)
            case "heading_close":
                self._style = 0
            case "hr":
                self._row([Piece(RULE, DIM)])
            case "fence" | "code_block":
                language = (token.info.split() or [""])[0]
                title = f"── {language} " if language else ""
                self._row([Piece(title + RULE[len(title) :], DIM)])
                for line in token.content.splitlines():
                    self._row([Piece(line.expandtabs(4))])
                self._row([Piece(RULE, DIM)])
            case "html_block":
                for line in token.content.splitlines():
                    self._row([Piece(line)])
            case "tr_open":
                self._table.append([])
            case "table_close":
                self._show_table()
            case "inline" if self._table:
                self._table[-1] += _inline(token, 0)
            case "inline":
                for pieces in _inline(token, self._style):
                    self._row(pieces)

    def _row(self, pieces: list[Piece]) -> None:
        before = self._prefix[:-1] + self._marker if self._marker else self._prefix
        self.rows.append([*before, *pieces])
        self._marker = []

    def _flush(self) -> None:
        """An item that has only its marker."""
        if self._marker:
            self._row([])

    def _show_table(self) -> None:
        widths = [max(1, *(cells(joined(row[index])) for row in self._table)) for index in range(len(self._table[0]))]
        for number, row in enumerate(self._table):
            line: list[Piece] = []
            for cell, size in zip(row, widths, strict=True):
                style = 0 if number else BOLD
                line += [piece._replace(style=with_style(piece.style, style)) for piece in cell]
                line.append(Piece(" " * (size - cells(joined(cell)) + 2)))
            self._row(line)
            if not number:
                self._row([Piece("  ".join("─" * size for size in widths), DIM)])
        self._table = []


def _inline(token: Token, style: int) -> list[list[Piece]]:
    """The lines of inline text. A link shows its address where that is not its text; an image is its description."""
    lines: list[list[Piece]] = [[]]
    links: list[tuple[str, int]] = []
    outer: list[int] = []
    for child in token.children or []:
        name = child.type.removesuffix("_open").removesuffix("_close")
        if name in _MARKS:
            if child.nesting > 0:
                outer.append(style)
                style |= _MARKS[name]
            else:
                style = outer.pop()
        elif child.type == "link_open":
            links.append((str(child.attrs["href"]), style))
            label = len(joined(lines[-1]))
            style = with_style(style, _LINK)
        elif child.type == "link_close":
            href, style = links.pop()
            shown = joined(lines[-1])[label:]
            if shown not in (href, href.removeprefix("mailto:")) and href:
                lines[-1].append(Piece(f"{' ' * bool(shown)}({href})", with_style(style, DIM)))
        elif child.type in ("softbreak", "hardbreak"):
            lines.append([])
        elif child.type == "image":
            described = "".join(part.content for part in child.children or [])
            lines[-1].append(Piece(described, with_style(style, ITALIC)))
            lines[-1].append(Piece(f"{' ' * bool(described)}({child.attrs['src']})", with_style(style, DIM)))
        else:
            lines[-1].append(Piece(child.content, with_style(style, CYAN if child.type == "code_inline" else 0)))
    return lines
