"""Dynamic draft trees, grown level by level by cumulative confidence (EAGLE-2, Li et al. 2024, arXiv 2406.16858).

From the root the most likely `width` tokens; from each of them again `width`; of these width², at most `width` with the
highest product of probabilities along their path are expanded next: as many as pay. In the end the whole pool is ranked
by that product and the best `nodes` stay. Shared by all drafters that run a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch

from specmemo_chat.drafters.base import DraftBudget
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.models.masks import chunk_mask
from specmemo_chat.speculation.tree import DraftTree


class Expand(Protocol):
    """Runs one level of the draft."""

    def __call__(self, tokens: torch.Tensor, picked: torch.Tensor) -> torch.Tensor:
        """Logits [R, k, vocab] after the nodes `tokens` [R, k], which follow the nodes `picked` [R, k] of the level
        before (of the first level: the root, 0)."""
        ...


def grow(
    roots: Sequence[int],
    logits: torch.Tensor,
    expand: Expand,
    budget: DraftBudget,
    source: str,
    target_ids: torch.Tensor | None = None,
) -> list[DraftTree]:
    """One tree for each of R rows; `logits` [R, vocab] are the draft's after the roots.

    `target_ids` [vocab] are the target's tokens for the draft's (None: the same). Every tree has at most
    `budget.nodes` nodes, `budget.depth` levels and `budget.width` children of one node. `expand` is called for at most
    depth - 1 levels with k <= min(width, nodes - 1): while the budget's pace finds that another one pays, and for as
    many nodes.
    """
    limit = budget.nodes - 1
    width = min(budget.width, limit, logits.shape[-1])
    if width < 1 or budget.depth < 1:
        return [DraftTree.root_only(root) for root in roots]
    pools = [_Pool(limit, width) for _ in roots]
    for pool, tokens, shares in zip(pools, *_likeliest(logits[:, None], width, target_ids), strict=True):
        pool.add(tokens, shares)
    for depth in range(1, budget.depth):
        followed = _followed(pools, depth, budget)
        if not followed:
            break
        # One transfer to the device, and one back: the nodes of a level are few, and lists cost less than tensors.
        given = torch.tensor([pool.follow(followed) for pool in pools], device=logits.device)
        found = _likeliest(expand(given[:, 0], given[:, 1]), width, target_ids)
        for pool, tokens, shares in zip(pools, *found, strict=True):
            pool.add(tokens, shares)
    return [pool.tree(root, source) for pool, root in zip(pools, roots, strict=True)]


def _likeliest(
    logits: torch.Tensor, width: int, target_ids: torch.Tensor | None
) -> tuple[list[list[list[int]]], list[list[list[float]]]]:
    """The `width` likeliest tokens and their log-probabilities, both [R, k, width], for logits [R, k, vocab]."""
    best, tokens = logits.float().log_softmax(-1).topk(width)
    return (tokens if target_ids is None else target_ids[tokens]).tolist(), best.tolist()


class _Pool:
    """The nodes that one row's draft has seen, in the order in which they came: a parent stands before its children.

    `totals` are the logarithms of the path probabilities, `frontier` the nodes that the next level can follow, the
    likeliest first.
    """

    def __init__(self, limit: int, width: int) -> None:
        self.tokens: list[int] = []
        self.totals: list[float] = []
        self.frontier: list[int] = []
        self._limit = limit
        self._width = width
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
        new = sorted(range(first, len(self.tokens)), key=lambda node: -self.totals[node])
        self.frontier = new[: self._width]

    def follow(self, count: int) -> tuple[list[int], list[int]]:
        """The first `count` nodes of the frontier run now: their tokens, and the places of their parents in the level
        before."""
        self._running = self.frontier[:count]
        return [self.tokens[node] for node in self._running], [self._columns[node] for node in self._running]

    def best(self) -> list[float]:
        """The path probabilities of the nodes that a tree made now would have, the likeliest first."""
        return [math.exp(total) for total in sorted(self.totals, reverse=True)[: self._limit]]

    def ahead(self) -> list[float]:
        """Those of the frontier."""
        return [math.exp(self.totals[node]) for node in self.frontier]

    def settled(self) -> bool:
        """Whether nothing below the frontier can enter the best nodes."""
        if len(self.totals) < self._limit:
            return False
        least = sorted(self.totals, reverse=True)[self._limit - 1]
        return self.totals[self.frontier[0]] <= least

    def tree(self, root: int, source: str) -> DraftTree:
        """The best nodes."""
        # Stable: of equals the earlier wins, so that no node stays without its parent.
        kept = sorted(sorted(range(len(self.tokens)), key=lambda node: -self.totals[node])[: self._limit])
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
    `width` is the most nodes that a level has.
    """

    def __init__(self, arena: KVArena, rows: Sequence[int], levels: int, width: int, device: torch.device) -> None:
        longest = max(arena.lengths[row] for row in rows)
        arena.reserve(longest + levels * width)
        self.view = min(arena.view_length(rows, levels * width), arena.capacity)
        starts = torch.tensor([arena.lengths[row] for row in rows], device=device)[:, None]
        self._positions = starts.expand(-1, width)
        self._slots = starts + torch.arange(width, device=device)
        committed = torch.arange(self.view, device=device) < starts
        self._mask = committed[:, None].expand(-1, width, -1)
        self._levels = self._taken = 0

    def level(self, picked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Positions [R, k], slots [R, k] and mask [R, 1, k, view] of the next level, whose nodes follow the nodes
        `picked` [R, k] of the last."""
        count = picked.shape[1]
        positions, slots = self._positions[:, :count] + self._levels, self._slots[:, :count] + self._taken
        # A node sees what its parent saw, and itself.
        self._mask = self._mask.gather(1, picked[..., None].expand(-1, -1, self.view))
        self._mask.scatter_(2, slots[..., None], True)
        self._levels += 1
        self._taken += count
        return positions, slots, self._mask[:, None]


class Appended:
    """Where the next tokens of several rows stand: `counts[i]` of them behind the committed ones of row i.

    The last tokens stand beside each other in the last column; shorter rows are padded in front, into one slot of their
    scratch that they see alone.
    """

    def __init__(self, arena: KVArena, rows: Sequence[int], counts: Sequence[int], device: torch.device) -> None:
        self.columns = max(counts)
        lengths = [arena.lengths[row] for row in rows]
        ends = [length + count for length, count in zip(lengths, counts, strict=True)]
        arena.reserve(max(ends) + 1)
        self.view = min(arena.view_length(rows, max(ends) + 1 - max(lengths)), arena.capacity)
        if len(rows) == 1:
            self.slots = self.positions = torch.arange(lengths[0], ends[0], device=device)[None]
            self.mask = chunk_mask(lengths[0], self.columns, self.view, device)
            return
        starts = torch.tensor(lengths, device=device)[:, None]
        beyond = torch.tensor(ends, device=device)[:, None]
        own = torch.arange(self.columns, device=device) + beyond - self.columns
        padding = own < starts
        self.slots = torch.where(padding, beyond, own)
        self.positions = torch.where(padding, 0, own)
        seen = torch.arange(self.view, device=device)
        causal = seen <= self.slots[..., None]
        alone = seen == self.slots[..., None]
        self.mask = torch.where(padding[..., None], alone, causal)[:, None]

    def padded(self, texts: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
        """The rows' tokens [R, columns], padded in front."""
        return torch.tensor([[0] * (self.columns - len(text)) + list(text) for text in texts], device=device)
