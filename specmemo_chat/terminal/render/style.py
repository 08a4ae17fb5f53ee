"""Styled text of a reply: pieces with a style of a few bits, and the escape sequences that show them.

Only the sixteen colours of the user's own palette are used, so a reply fits dark and light terminals.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

PLAIN, BOLD, DIM, ITALIC, UNDERLINE, STRIKE, ACCEPTED = 0, 1, 2, 4, 8, 16, 32
_ATTRIBUTES = ((BOLD, "1"), (DIM, "2"), (ITALIC, "3"), (UNDERLINE, "4"), (STRIKE, "9"))
_COLOR_SHIFT = 8

RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = (code << _COLOR_SHIFT for code in range(31, 37))
GRAY = 90 << _COLOR_SHIFT
_COLORS = 0xFF << _COLOR_SHIFT


class Piece(NamedTuple):
    """Text in one style. `at`: the offset in the reply where this text stands literally, -1 where it does not."""

    text: str
    style: int = PLAIN
    at: int = -1


class Row(NamedTuple):
    """One line of output. `wraps`: it may be wider than the screen, where the terminal breaks it (code, so that what
    is copied from the screen is what was written)."""

    pieces: tuple[Piece, ...]
    wraps: bool = False


def with_style(style: int, other: int) -> int:
    """Both styles at once; the second one's colour wins."""
    return (style & ~_COLORS if other & _COLORS else style) | other


@functools.cache
def _codes(style: int) -> str:
    codes = [code for bit, code in _ATTRIBUTES if style & bit]
    color = (GREEN if style & ACCEPTED else style & _COLORS) >> _COLOR_SHIFT
    return ";".join([*codes, str(color)] if color else codes)


def paint(pieces: Iterable[Piece], *, color: bool) -> str:
    """The pieces as a terminal takes them; without colour just their text."""
    if not color:
        return "".join(piece.text for piece in pieces)
    painted = []
    for text, style, _ in pieces:
        codes = _codes(style)
        painted.append(f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text)
    return "".join(painted)
