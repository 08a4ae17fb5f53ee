"""A packed forward: the new tokens of several rows behind each other, as many of each row as it has.

Linear layers then multiply only tokens that exist, however much the rows' trees differ in size. Only attention sees the
rows beside each other: its queries are padded to the longest row for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch

from specmemo_chat.speculation.tree import DraftTree

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
class Run:
    """A chain of a tree that leaves the tree's first one: tokens [`begin`, `end`) of the forward, in its row number
    `row`, of which `length` tokens are committed.

    In plain decoding the token at depth t stands in slot length + t. Of the `nodes` scratch slots behind `length`,
    those from `first` on are given the keys and values of the nodes `sources`: the run's whole path stands there then.
    """

    row: int
    begin: int
    end: int
    length: int
    depth: int
    nodes: int
    first: int
    sources: slice | torch.Tensor

    @property
    def told(self) -> list[Any]:
        """The run as an order to another worker has it."""
        places = self.sources
        listed = [places.start, places.stop] if isinstance(places, slice) else places.tolist()
        return [self.row, self.begin, self.end, self.length, self.depth, self.nodes, self.first,
                isinstance(places, slice), listed]  # fmt: skip

    @classmethod
    def of(cls, told: Sequence[Any], device: torch.device) -> Run:
        """The run that was `told`."""
        row, begin, end, length, depth, nodes, first, near, listed = told
        sources = slice(*listed) if near else torch.tensor(listed, device=device)
        return cls(row, begin, end, length, depth, nodes, first, sources)

    @property
    def queries(self) -> tuple[int, int]:
        """The tokens that are attended: two at least, because products of one row sum in another order."""
        return min(self.begin, self.end - 2), self.end

    @property
    def reach(self) -> range:
        """The last slot that each of them sees."""
        first = self.length + self.depth - (self.begin - self.queries[0])
        return range(first, first + self.queries[1] - self.queries[0])


def runs_of(tree: DraftTree, row: int, token: int, length: int, device: torch.device) -> list[Run]:
    """The runs of a tree whose root is number `token` of the forward; none where it is a chain."""
    parents, depths, nodes = tree.parents, tree.depths, len(tree)
    starts = [node for node in range(1, nodes) if parents[node] != node - 1]
    standing = list(range(nodes))  # the node in each scratch slot
    runs = []
    for start, end in pairwise([*starts, nodes]):
        path = tree.path(end - 1)
        first = next(depth for depth, node in enumerate(path) if standing[depth] != node)
        standing[first : len(path)] = path[first:]
        # What the last run left behind this one is not seen, and it is no node's place that is still to be read: keys
        # and values are taken from a copy.
        near = end - path[first] == len(path) - first
        sources = slice(path[first], end) if near else torch.tensor(path[first:], device=device)
        runs.append(Run(row, token + start, token + end, length, depths[start], nodes, first, sources))
    return runs


@dataclass(frozen=True)
class Packing:
    """`counts[i]` tokens of row i behind each other, T in all, at most `longest` of one row.

    `padded` [rows · longest] are the packed indices of the padded tokens (padding repeats the row's first), `packed`
    [T] the padded indices of the packed ones; both None where every row has one token, or there is one row. `parts`:
    neighbouring rows of like length, each packed by itself, where there are short and long ones: padding is for the
    like. The last token stands `padding` times more in the forward, where it is computed and stored again to no effect:
    T counts it. `runs`: the chains of trees that leave their first one, which are attended by themselves.
    """

    counts: tuple[int, ...]
    longest: int
    padded: torch.Tensor | None
    packed: torch.Tensor | None
    parts: tuple[Packing, ...] = ()
    padding: int = 0
    runs: tuple[Run, ...] = ()

    @classmethod
    def of(
        cls, counts: Sequence[int], device: torch.device, padding: int = 0, runs: Sequence[Run] = (), least: int = 1
    ) -> Packing:
        """The packing of rows with so many tokens, of which `least` or more are attended together; `padding` only
        where one has more than one."""
        longest = max(*counts, least)
        if (runs and len(counts) == 1) or (longest == 1 and not padding):
            return cls(tuple(counts), longest, None, None, runs=tuple(runs))
        alike = [list(group) for _, group in groupby(counts, lambda count: count > SHORT)]
        parts: tuple[Packing, ...] = ()
        if len(alike) > 1:
            parts = tuple(cls.of(own, device, least=least) for own in alike[:-1])
            parts = (*parts, cls.of(alike[-1], device, padding, least=least))
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
        many = len(padded)
        return cls(tuple(counts), longest, indices[:many], indices[many:], parts, padding, tuple(runs))

    @property
    def stored(self) -> tuple[int, ...]:
        """How many tokens of each of several rows are stored."""
        return (*self.counts[:-1], self.counts[-1] + self.padding) if len(self.counts) > 1 else ()

    def beside(self, values: torch.Tensor) -> torch.Tensor:
        """One value a token [1, T] as [rows, longest]."""
        if self.padded is None:
            return values.view(len(self.counts), -1)
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
