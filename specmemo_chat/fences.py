"""Which lines of a Markdown text are code. The screen, /copy and exports share this, so that they mean the same blocks.

Departures from CommonMark, for chat: a fence may be indented by any blanks; lines of code are those between fences
only, because indented text in a reply is as often a part of something else; quotes have no lazy lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

TAB = 4
# In characters. A longer line neither opens nor closes a block: a screen cannot wait for the end of every line.
LONGEST_FENCE = 200

ITEM = re.compile(r"([-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_QUOTE = re.compile(r" {0,3}> ?")
_FENCE = re.compile(r"(`{3,})([^`]*)|(~{3,})(.*)")


@dataclass(frozen=True)
class Fence:
    """What opened a block of code: its `mark` (a run of "`" or "~"), the column where that stands, and how deep in
    quotes."""

    mark: str
    language: str
    indent: int
    quote: int

    def inside(self, line: str) -> int:
        """Where `line` goes on after the quote's marks; -1 where the quote has ended, and the code with it."""
        depth, place = unquoted(line, self.quote)
        return place if depth == self.quote else -1

    def is_closed_by(self, line: str) -> bool:
        """Whether `line`, without the quote's marks, is the closing fence."""
        return len(line) <= LONGEST_FENCE and self.may_be_closed_by(line) and len(line.strip()) >= len(self.mark)

    def may_be_closed_by(self, line: str) -> bool:
        """Whether `line`, which is not complete, may be the beginning of the closing fence."""
        text = line.strip(" \t")
        return bool(text) and not text.strip(self.mark[0]) and indent_of(line) < self.indent + TAB

    def indentation(self, line: str) -> tuple[int, int]:
        """Characters at the beginning of `line` that are the fence's own indentation, and the blanks that are code of
        a tab that reaches beyond it."""
        column = place = 0
        while column < self.indent and line[place : place + 1] in (" ", "\t"):
            column += TAB - column % TAB if line[place] == "\t" else 1
            place += 1
        return place, max(0, column - self.indent)

    def closing(self) -> str:
        """A line that closes the block."""
        return "> " * self.quote + " " * self.indent + self.mark


def unquoted(line: str, most: int | None = None) -> tuple[int, int]:
    """How deep in quotes (at most `most`) the line stands, and where it goes on after their marks."""
    depth = place = 0
    while (most is None or depth < most) and (found := _QUOTE.match(line, place)) is not None:
        depth, place = depth + 1, found.end()
    return depth, place


def columns(text: str) -> int:
    """The columns that ASCII text from the beginning of a line takes, tabs reaching to the next stop."""
    return len(text.expandtabs(TAB))


def indent_of(line: str) -> int:
    """The columns of the blanks at the beginning of `line`."""
    return columns(line[: len(line) - len(line.lstrip(" \t"))])


def fence(body: str, indent: int, quote: int) -> Fence | None:
    """The fence that `body` is, a line without the indentation of `indent` columns and without list markers."""
    found = _FENCE.fullmatch(body) if len(body) <= LONGEST_FENCE else None
    if found is None:
        return None
    mark, info = found.group(1) or found.group(3), found.group(2) or found.group(4) or ""
    return Fence(mark, (info.split() or [""])[0], indent, quote)


def opening(line: str) -> Fence | None:
    """The fence that a whole line opens, in quotes and after list markers too."""
    if len(line) > LONGEST_FENCE:
        return None
    depth, start = unquoted(line)
    place = len(line) - len(line[start:].lstrip(" \t"))
    while (item := ITEM.match(line, place)) is not None and item.end() < len(line):
        place = item.end()
    return fence(line[place:].rstrip(), columns(line[start:place]), depth)


class Kind(Enum):
    """What a line is."""

    TEXT = "text"
    OPENS = "opens"
    CODE = "code"
    CLOSES = "closes"


class Fences:
    """Follows a text line by line; `open` is the block in which the next line stands."""

    def __init__(self) -> None:
        self.open: Fence | None = None

    def line(self, line: str) -> tuple[Kind, str]:
        """What the next line is, and its code where it is code."""
        if self.open is not None:
            place = self.open.inside(line)
            if place >= 0 and self.open.is_closed_by(line[place:]):
                self.open = None
                return Kind.CLOSES, ""
            if place >= 0:
                skipped, blanks = self.open.indentation(line[place:])
                return Kind.CODE, " " * blanks + line[place + skipped :]
        self.open = opening(line)
        return (Kind.OPENS if self.open is not None else Kind.TEXT), ""


def lines_of(text: str) -> Iterator[str]:
    """The lines; a newline at the end begins none."""
    lines = text.split("\n")
    yield from lines if lines[-1] else lines[:-1]


def code_blocks(text: str) -> list[str]:
    """The code of each block, without the last newline; a block that is not closed reaches to the end."""
    blocks: list[list[str]] = []
    fences = Fences()
    for line in lines_of(text):
        kind, code = fences.line(line)
        if kind is Kind.OPENS:
            blocks.append([])
        elif kind is Kind.CODE:
            blocks[-1].append(code)
    return ["\n".join(block) for block in blocks]


def unclosed(text: str) -> Fence | None:
    """The block that is open at the end of `text`."""
    fences = Fences()
    for line in lines_of(text):
        fences.line(line)
    return fences.open
