"""A packed forward: the new tokens of several rows behind each other, as many of each row as it has.

Linear layers then multiply only tokens that exist, however much the rows' trees differ in size. Only attention sees the
rows beside each other: its queries are padded to the longest row for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

# Rows with more tokens than this (chunks of a prompt) are attended apart from those with fewer (draft trees).
SHORT = 16
# oneDNN prepares a product for each number of rows, which takes it milliseconds. So a forward's tokens are padded to
# multiples of the second number, up to the first.
_ROUNDED = ((16, 1), (64, 8), (256, 16), (1 << 62, 64))


def rounded(tokens: int, most: int) -> int:
    """How many tokens a forward over so many has where shapes must repeat; not more than `most`."""
    step = next(step for limit, step in _ROUNDED if tokens <= limit)
    return max(tokens, min(-(-tokens // step) * step, most))


@dataclass(frozen=True)
class Packing:
    """`counts[i]` tokens of row i behind each other, T in all, at most `longest` of one row.

    `padded` [rows · longest] are the packed indices of the padded tokens (padding repeats the row's first), `packed`
    [T] the padded indices of the packed ones; both None where every row has one token. `parts`: neighbouring rows of
    like length, each packed by itself, where there are short and long ones: padding is for the like. The last token
    stands `padding` times more in the forward, where it is computed and stored again to no effect: T counts it.
    """

    counts: tuple[int, ...]
    longest: int
    padded: torch.Tensor | None
    packed: torch.Tensor | None
    parts: tuple[Packing, ...] = ()
    padding: int = 0

    @classmethod
    def of(cls, counts: Sequence[int], device: torch.device, padding: int = 0) -> Packing:
        """The packing of rows with so many tokens; `padding` only where one has more than one."""
        longest = max(counts)
        if longest == 1 and not padding:
            return cls(tuple(counts), 1, None, None)
        runs = [list(run) for _, run in groupby(counts, lambda count: count > SHORT)]
        parts: tuple[Packing, ...] = ()
        if len(runs) > 1:
            parts = (*(cls.of(run, device) for run in runs[:-1]), cls.of(runs[-1], device, padding))
        padded: list[int] = []
        packed: list[int] = []
        start = 0
        for row, count in enumerate(counts):
            padded.extend(range(start, start + count))
            padded.extend([start] * (longest - count))
            packed.extend(range(row * longest, row * longest + count))
            start += count
        packed.extend(packed[-1:] * padding)
        indices = torch.tensor(padded + packed, device=device)
        return cls(tuple(counts), longest, indices[: len(padded)], indices[len(padded) :], parts, padding)

    @property
    def stored(self) -> tuple[int, ...]:
        """How many tokens of each row are stored."""
        return (*self.counts[:-1], self.counts[-1] + self.padding)

    def beside(self, values: torch.Tensor) -> torch.Tensor:
        """One value a token [1, T] as [rows, longest]."""
        if self.padded is None:
            return values.view(-1, 1)
        return values[0].index_select(0, self.padded).view(len(self.counts), self.longest)

    def spread(self, query: torch.Tensor, kv_heads: int) -> torch.Tensor:
        """Queries [1, heads, T, d] beside each other with the groups folded: [rows, kv_heads, group · longest, d]."""
        rows, heads, width = len(self.counts), query.shape[1], query.shape[3]
        if self.padded is None:
            return query[0].transpose(0, 1).reshape(rows, kv_heads, heads // kv_heads, width)
        states = query[0].index_select(1, self.padded).view(kv_heads, heads // kv_heads, rows, self.longest, width)
        return states.permute(2, 0, 1, 3, 4).reshape(rows, kv_heads, -1, width)

    def gather(self, out: torch.Tensor, heads: int) -> torch.Tensor:
        """What `spread` laid beside each other, after the attention, packed again: [1, T, heads, d]."""
        rows, kv_heads, _, width = out.shape
        if self.packed is None:
            return out.reshape(1, rows, heads, width)
        states = out.view(rows, kv_heads, heads // kv_heads, self.longest, width).permute(0, 3, 1, 2, 4)
        return states.reshape(rows * self.longest, heads, width).index_select(0, self.packed)[None]
