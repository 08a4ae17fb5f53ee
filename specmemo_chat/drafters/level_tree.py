"""Dynamic draft trees, grown level by level by cumulative confidence (EAGLE-2, Li et al. 2024, arXiv 2406.16858).

From the root the most likely `width` tokens; from each of them again `width`; of these width², at most `width` with the
highest product of probabilities along their path are expanded next: as many as pay. In the end the whole pool is ranked
by that product and the best `nodes` stay. Shared by all drafters that run a network.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import torch

from specmemo_chat.drafters.base import DraftBudget
from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.models.masks import Chunk, chunk_mask, committed_mask, tree_mask
from specmemo_chat.models.packing import Packing, rounded
from specmemo_chat.speculation.tree import DraftTree


class Expand(Protocol):
    """Runs one level of the draft."""

    def __call__(self, tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        """Logits [R, k, vocab] after the nodes `tokens` [R, k], which follow the nodes `picked` [R, k] of the level
        before (of the first level: the root, 0). `straight`: these are the first k of them, in their order."""
        ...


def grow(
    roots: Sequence[int],
    logits: torch.Tensor,
    expand: Expand,
    budget: DraftBudget,
    source: str,
    target_ids: Sequence[int] | None = None,
    ends: Collection[int] = (),
) -> list[DraftTree]:
    """One tree for each of R rows; `logits` [R, vocab] are the draft's after the roots.

    `target_ids` are the target's tokens for the draft's (None: the same), `ends` those that nothing follows. Every tree
    has at most `budget.nodes` nodes, `budget.depth` levels and `budget.width` children of one node. `expand` is called
    for at most depth - 1 levels with k <= min(width, nodes - 1): while the budget's pace finds that another one pays,
    and for as many nodes.
    """
    limit = budget.nodes - 1
    width = min(budget.width, limit, logits.shape[-1])
    if width < 1 or budget.depth < 1:
        return [DraftTree.root_only(root) for root in roots]
    pools = [_Pool(limit, width, ends) for _ in roots]
    for pool, tokens, shares in zip(pools, *_likeliest(logits[:, None], width, target_ids), strict=True):
        pool.add(tokens, shares)
    for depth in range(1, budget.depth):
        followed = _followed(pools, depth, budget)
        if not followed:
            break
        # One transfer to the device, and one back: the nodes of a level are few, and lists cost less than tensors.
        following = [pool.follow(followed) for pool in pools]
        tokens, picked = [nodes for nodes, _ in following], [places for _, places in following]
        straight = all(places == list(range(followed)) for places in picked)
        found = _likeliest(expand(torch.tensor(tokens, device=logits.device), picked, straight), width, target_ids)
        for pool, tokens, shares in zip(pools, *found, strict=True):
            pool.add(tokens, shares)
    return [pool.tree(root, source) for pool, root in zip(pools, roots, strict=True)]


def _likeliest(
    logits: torch.Tensor, width: int, target_ids: Sequence[int] | None
) -> tuple[list[list[list[int]]], list[list[list[float]]]]:
    """The `width` likeliest tokens and their log-probabilities, both [R, k, width], for logits [R, k, vocab]."""
    best, tokens = logits.float().log_softmax(-1).topk(width)
    found = tokens.tolist()
    if target_ids is not None:
        found = [[[target_ids[token] for token in node] for node in row] for row in found]
    return found, best.tolist()


class _Pool:
    """The nodes that one row's draft has seen, in the order in which they came: a parent stands before its children.

    `totals` are the logarithms of the path probabilities, `frontier` the nodes that the next level can follow, the
    likeliest first; behind them those that end the text, which are followed only beside another row's.
    """

    def __init__(self, limit: int, width: int, ends: Collection[int]) -> None:
        self.tokens: list[int] = []
        self.totals: list[float] = []
        self.frontier: list[int] = []
        self._limit = limit
        self._width = width
        self._ends = ends
        self._edges: list[float] = []
        self._parents: list[int] = []
        # Of each node the place of its parent in the level that ran it.
        self._columns: list[int] = []
        self._running = [-1]

    def add(self, tokens: Sequence[Sequence[int]], edges: Sequence[Sequence[float]]) -> None:
        """The children of each of the nodes that ran."""
        first = len(self.tokens)
        for column, parent in enumerate(self._running):
            total = self.totals[parent] if parent >= 0 else 0.0
            for token, edge in zip(tokens[column], edges[column], strict=True):
                # No child is likelier than its parent, and what is not a number not likely at all.
                kept = edge if edge <= 0.0 else -math.inf
                self.tokens.append(token)
                self.totals.append(total + kept)
                self._edges.append(kept)
                self._parents.append(parent)
                self._columns.append(column)
        new = range(first, len(self.tokens))
        self.frontier = sorted(new, key=lambda node: (self.tokens[node] in self._ends, -self.totals[node]))[
            : self._width
        ]

    def follow(self, count: int) -> tuple[list[int], list[int]]:
        """The first `count` nodes of the frontier run now: their tokens, and the places of their parents in the level
        before."""
        self._running = self.frontier[:count]
        return [self.tokens[node] for node in self._running], [self._columns[node] for node in self._running]

    def best(self) -> list[float]:
        """The path probabilities of the nodes that a tree made now would have, the likeliest first."""
        return [math.exp(total) for total in sorted(self.totals, reverse=True)[: self._limit]]

    def ahead(self) -> list[float]:
        """Those of the frontier; 0 for a node that nothing follows."""
        return [0.0 if self.tokens[node] in self._ends else math.exp(self.totals[node]) for node in self.frontier]

    def settled(self) -> bool:
        """Whether nothing below the frontier can enter the best nodes."""
        if self.tokens[self.frontier[0]] in self._ends:
            return True
        if len(self.totals) < self._limit:
            return False
        least = sorted(self.totals, reverse=True)[self._limit - 1]
        return self.totals[self.frontier[0]] <= least

    def tree(self, root: int, source: str) -> DraftTree:
        """The best nodes, the likeliest path first: where it is accepted, its keys and values need not move."""
        # Stable: of equals the earlier wins, so that no node stays without its parent.
        chosen = sorted(range(len(self.tokens)), key=lambda node: -self.totals[node])[: self._limit]
        below: dict[int, list[int]] = {}
        for node in reversed(chosen):
            below.setdefault(self._parents[node], []).append(node)
        kept, open_nodes = [], below.get(-1, [])
        while open_nodes:
            kept.append(open_nodes.pop())
            open_nodes.extend(below.get(kept[-1], ()))
        places = {node: place for place, node in enumerate(kept, start=1)}
        return DraftTree(
            (root, *(self.tokens[node] for node in kept)),
            (-1, *(places.get(self._parents[node], 0) for node in kept)),
            (1.0, *(math.exp(self._edges[node]) for node in kept)),
            source,
        )


def _followed(pools: Sequence[_Pool], depth: int, budget: DraftBudget) -> int:
    """How many nodes of each frontier another level follows: none where it cannot change a tree or does not pay."""
    if all(pool.settled() for pool in pools):
        return 0
    if budget.pace is None:
        return len(pools[0].frontier)
    return budget.pace.deeper(
        depth, [pool.best() for pool in pools], [pool.ahead() for pool in pools], budget.depth - depth
    )


class Scratch:
    """Where a growing tree's nodes stand behind the committed tokens of `rows` in a draft's arena, and what they see.

    The level that runs i-th takes the scratch slots behind those of the level before it, and the position length + i.
    `width` is the most nodes that a level has. Masks are truth values, or in another `dtype` what is added to scores.
    """

    def __init__(
        self,
        arena: KVArena,
        rows: Sequence[int],
        levels: int,
        width: int,
        device: torch.device,
        dtype: torch.dtype = torch.bool,
    ) -> None:
        self._lengths = [arena.lengths[row] for row in rows]
        arena.reserve(max(self._lengths) + levels * width)
        self.view = min(arena.view_length(rows, levels * width), arena.capacity)
        self._arena, self._rows, self._device, self._dtype = arena, rows, device, dtype
        self._behind = torch.tensor(self._lengths, device=device)[:, None] + torch.arange(levels * width, device=device)
        # Of every level [R, levels].
        self.positions = self._behind[:, :levels]
        self._mask = committed_mask(self._lengths, width, self.view, dtype).numpy()
        self._visible = True if dtype == torch.bool else 0.0
        self._levels = self._taken = 0

    def level(self, picked: Sequence[Sequence[int]], straight: bool) -> Level:
        """The next level, whose nodes follow the nodes `picked` [R, k] of the last; `straight` as in `Expand`."""
        count, number, taken = len(picked[0]), self._levels, self._taken
        # A node sees what its parent saw, and itself.
        if straight:
            self._mask = self._mask[:, :count]
        elif len(picked) == 1:
            self._mask = self._mask[:, picked[0]]
        else:
            self._mask = self._mask[[[row] for row in range(len(picked))], picked]
        for row, length in enumerate(self._lengths):
            for node in range(count):
                self._mask[row, node, length + taken + node] = self._visible
        self._levels += 1
        self._taken += count
        slots = self._behind[:, taken : taken + count]
        return Level(
            self.positions[:, number : number + 1],
            slots,
            torch.from_numpy(self._mask).unsqueeze(1).to(self._device, self._dtype),
            self._arena.window(self._rows, slots, self.view, start=self._lengths[0] + taken),
            number,
        )


@dataclass(frozen=True)
class Level:
    """One level of a growing tree: the position of each row [R, 1], slots [R, k], mask [R, 1, k, view], where it writes
    and its `number`."""

    positions: torch.Tensor
    slots: torch.Tensor
    mask: torch.Tensor
    window: Window
    number: int


class Appended:
    """Where the next tokens of several rows stand: `texts[i]` behind the committed ones of row i, of which each has one
    at least.

    Several rows are packed: `tokens`, `positions` and `slots` are [1, T], row i's last token is the `ends[i]`-th; the
    last row's `padding` times more, so that packed forwards of not more than `most` tokens have few lengths.
    """

    def __init__(
        self, arena: KVArena, rows: Sequence[int], texts: Sequence[Sequence[int]], device: torch.device, most: int = 0
    ) -> None:
        self._counts = [len(text) for text in texts]
        self._lengths = [arena.lengths[row] for row in rows]
        self._device = device
        longest = max(map(sum, zip(self._lengths, self._counts, strict=True)))
        arena.reserve(longest)
        self.view = min(arena.view_length(rows, longest - max(self._lengths)), arena.capacity)
        self.ends = [end - 1 for end in accumulate(self._counts)]
        total = sum(self._counts)
        self.padding = rounded(total, most) - total if len(rows) > 1 else 0
        tokens: list[int] = []
        stands: list[int] = []
        for text, length in zip(texts, self._lengths, strict=True):
            tokens.extend(text)
            stands.extend(range(length, length + len(text)))
        given = torch.tensor([tokens + tokens[-1:] * self.padding, stands + stands[-1:] * self.padding], device=device)
        self.tokens, self.positions = given[:1], given[1:]
        # What is committed stands where it is in the text.
        self.slots = self.positions
        stored = [*self._counts[:-1], self._counts[-1] + self.padding] if len(rows) > 1 else ()
        self.window = arena.window(rows, self.slots, self.view, stored, start=self._lengths[0])

    @cached_property
    def packing(self) -> Packing | None:
        """Of several rows."""
        return Packing.of(self._counts, self._device, self.padding) if len(self._counts) > 1 else None

    @cached_property
    def mask(self) -> torch.Tensor:
        """What every token sees: bool [R, 1, longest, view]."""
        if self.packing is None:
            return chunk_mask(self._lengths[0], self._counts[0], self.view, self._device)
        # Which tokens a chunk holds does not matter to what it sees.
        chunks = [Chunk((0,) * count, True) for count in self._counts]
        return tree_mask(chunks, self._lengths, self.packing.longest, self.view, self._device)

    def ends_see(self, dtype: torch.dtype) -> torch.Tensor:
        """What each row's last token sees, as what is added to its scores: [R, 1, 1, view]."""
        reach = list(map(sum, zip(self._lengths, self._counts, strict=True)))
        return committed_mask(reach, 1, self.view, dtype)[:, None].to(self._device, dtype)
