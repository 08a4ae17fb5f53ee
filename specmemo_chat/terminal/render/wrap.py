"""Breaking styled text into rows of cells: wide characters, combining marks and joined emoji stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, get_character_cell_size

from specmemo_chat.terminal.render.style import Piece

_WORD_OR_BLANKS = re.compile(" +|[^ ]+")
_ZERO_WIDTH_JOINER = "\u200d"
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")
# Closing punctuation of wide scripts never begins a row.
_NEVER_FIRST = frozenset("、。，．！？：；）」』】》〉〕’”…々ー")


def cells(text: str) -> int:
    """The cells that `text` takes on a terminal."""
    return len(text) if text.isascii() else cell_len(text)


def joins(before: str, after: str) -> bool:
    """Whether the character `after` belongs to the same cell as the character `before`."""
    return (
        before == _ZERO_WIDTH_JOINER or _SKIN_TONES[0] <= after <= _SKIN_TONES[1] or get_character_cell_size(after) == 0
    )


def clusters(text: str) -> Iterator[str]:
    """The text cut where a terminal may break it: each part is what is shown in one place."""
    if text.isascii():
        yield from text
        return
    start = 0
    for index in range(1, len(text)):
        if not joins(text[index - 1], text[index]):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def _parts(word: str) -> Iterator[str]:
    """The unbreakable parts of a word: between wide characters a row may end."""
    if word.isascii() or cell_len(word) == len(word):
        yield word
        return
    part, was_wide = "", False
    for cluster in clusters(word):
        wide = cell_len(cluster) > 1
        if part and (wide or was_wide) and cluster not in _NEVER_FIRST:
            yield part
            part = ""
        part += cluster
        was_wide = wide
    yield part


def wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Where the rows of `text` (without newlines) begin and end, each at most `width` cells.

    Greedy: a row that is followed by another one stays the same whatever text comes later. Blanks at the end of a row
    belong to no row; only those at the end of the last one do.
    """
    if len(text) <= width and text.isascii():
        return [(0, len(text))]
    rows: list[tuple[int, int]] = []
    start = end = used = 0
    for match in _WORD_OR_BLANKS.finditer(text):
        token, at = match.group(), match.start()
        if token[0] == " ":
            used += len(token)
            continue
        for part in _parts(token):
            size = cells(part)
            if used + size > width and used:
                if end > start:
                    rows.append((start, end))
                start, used = at, 0
            if size > width:
                # A word that fits no row is cut where a row is full.
                for cluster in clusters(part):
                    size = cells(cluster)
                    if used + size > width and used:
                        rows.append((start, at))
                        start, used = at, 0
                    used += size
                    at += len(cluster)
            else:
                used += size
                at += len(part)
            end = at
    return [*rows, (start, len(text))]


def chop(text: str, width: int) -> list[tuple[int, int]]:
    """Like `wrap`, but rows end wherever they are full, as a terminal breaks lines itself."""
    if len(text) <= width and text.isascii():
        return [(0, len(text))]
    rows, start, at, used = [], 0, 0, 0
    for cluster in clusters(text):
        size = cells(cluster)
        if used + size > width and used:
            rows.append((start, at))
            start, used = at, 0
        used += size
        at += len(cluster)
    return [*rows, (start, at)]


def cut(pieces: Sequence[Piece], start: int, end: int) -> list[Piece]:
    """The part [start, end) of the pieces' joined text."""
    found, at = [], 0
    for text, style, origin in pieces:
        low, high = max(start - at, 0), min(end - at, len(text))
        if low < high:
            found.append(Piece(text[low:high], style, origin + low if origin >= 0 else -1))
        at += len(text)
        if at >= end:
            break
    return found


def anchored(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """A whole row for the screen: a mark that has nothing before it gets a blank to stand on, because a terminal would
    set it on the end of the row above."""
    first = next((piece.text[0] for piece in pieces if piece.text), " ")
    return pieces if first.isascii() or get_character_cell_size(first) else (Piece(" "), *pieces)


def joined(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)
