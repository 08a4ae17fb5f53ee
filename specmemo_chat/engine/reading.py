"""In which pieces a row's text was read: what is read again is read in the same ones.

A token's keys and values depend, in their last bits, on how many tokens were read with it. So the pieces are decided by
the text alone, never by other rows, and what a reply generated is read again as steps compute it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# What steps computed is read again so many tokens at a time: as many as a step may have.
_STEP_TOKENS = 16


@dataclass
class Reading:
    """The pieces of one row's text, of at most `chunk` tokens, in their order; between them stands what steps computed.
    Of a text that lost its row, `stood` tokens are read again."""

    chunk: int
    pieces: list[range] = field(default_factory=list)
    stood: int = 0

    def resume(self, common: int, stands: int) -> int:
        """A text begins that has the first `common` tokens with the last one, of which the keys and values of `stands`
        may be kept. Returns how many are: the last token of a whole prompt is read again with its piece."""
        last = next((piece for piece in self.pieces if piece.start < stands < piece.stop <= common), None)
        if last is not None:
            stands = last.start
        kept = (range(piece.start, min(piece.stop, stands)) for piece in self.pieces)
        self.pieces, self.stood = [piece for piece in kept if piece], 0
        return stands

    def next(self, at: int, goal: int) -> tuple[int, bool]:
        """How many tokens are read from `at` on, towards `goal`, and whether steps had computed these."""
        if at < self.stood:
            piece = next((piece for piece in self.pieces if piece.stop > at), range(self.stood, self.stood))
            return (piece.stop - at, False) if piece.start <= at else (min(_STEP_TOKENS, piece.start - at), True)
        count = min(self.chunk, goal - at)
        self.pieces.append(range(at, at + count))
        return count, False
