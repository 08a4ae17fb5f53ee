"""Dynamic draft trees, grown level by level by cumulative confidence (EAGLE-2, Li et al. 2024, arXiv 2406.16858).

From the root the most likely `width` tokens; from each of them again `width`; of these width², the `width` with the
highest product of probabilities along their path are expanded next. In the end the whole pool is ranked by that product
and the best `nodes` stay. Shared by all drafters that run a network.
"""

from __future__ import annotations

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
    depth - 1 levels, with k = min(width, nodes - 1), and only while the budget's pace finds that another one pays.
    """
    limit = budget.nodes - 1
    width = min(budget.width, limit, logits.shape[-1])
    if width < 1 or budget.depth < 1:
        return [DraftTree.root_only(root) for root in roots]
    tokens, edges = _likeliest(logits, width, target_ids)
    parents = torch.full_like(tokens, -1)
    pool = [(tokens, edges, edges, parents)]
    totals, picked = edges, torch.zeros_like(tokens)
    places = torch.arange(width, device=tokens.device).expand_as(tokens)
    offset = width
    for depth in range(1, budget.depth):
        if not _goes_on(pool, totals, limit, depth, budget):
            break
        next_tokens, next_edges = _likeliest(expand(tokens, picked), width, target_ids)
        next_totals = (totals[..., None] + next_edges).flatten(1)
        next_tokens, next_edges = next_tokens.flatten(1), next_edges.flatten(1)
        pool.append((next_tokens, next_edges, next_totals, places.repeat_interleave(width, 1)))
        totals, chosen = next_totals.topk(width)
        picked = chosen // width
        tokens = next_tokens.gather(1, chosen)
        places = chosen + offset
        offset += width * width
    return _ranked(roots, pool, limit, source)


def _likeliest(logits: torch.Tensor, width: int, target_ids: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The `width` likeliest tokens [.., width] and their log-probabilities, for logits [.., vocab]."""
    logits = logits.float()
    best, tokens = logits.topk(width)
    # Rounding must not make a child likelier than its parent.
    edges = (best - logits.logsumexp(-1, keepdim=True)).clamp(max=0.0)
    return (tokens if target_ids is None else target_ids[tokens]), edges


_Level = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _goes_on(pool: Sequence[_Level], frontier: torch.Tensor, limit: int, depth: int, budget: DraftBudget) -> bool:
    """Whether another level can change the tree and pays; `frontier` [R, k] are totals, the best first.

    A node is never likelier than its parent: where the whole pool's best `limit` nodes are at least as likely as the
    frontier, nothing below it can enter them.
    """
    totals = torch.cat([level[2] for level in pool], 1)
    size = totals.shape[1]
    if budget.pace is None and size < limit:
        return True
    # One transfer for both questions.
    best = totals.topk(min(size, limit)).values
    shares = torch.cat((best, frontier), 1).exp().tolist()
    pools = [row[: best.shape[1]] for row in shares]
    frontiers = [row[best.shape[1] :] for row in shares]
    if size >= limit and all(front[0] <= row[-1] for front, row in zip(frontiers, pools, strict=True)):
        return False
    return budget.pace is None or budget.pace.deeper(depth, pools, frontiers, budget.depth - depth)


def _ranked(roots: Sequence[int], pool: Sequence[_Level], limit: int, source: str) -> list[DraftTree]:
    """The best `limit` nodes of each row's pool, in the pool's order: a parent stands before its children there."""
    tokens, edges, totals, parents = (torch.cat(parts, 1) for parts in zip(*pool, strict=True))
    # Stable: of equals the earlier wins, so that no node stays without its parent.
    kept = totals.sort(dim=1, descending=True, stable=True).indices[:, :limit].sort(1).values
    above = parents.gather(1, kept)
    node = torch.where(above < 0, 0, torch.searchsorted(kept, above) + 1)
    # One transfer: float32 holds every token below 2^24 exactly.
    packed = torch.stack([tokens.gather(1, kept).float(), node.float(), edges.gather(1, kept).exp()], 1)
    return [
        DraftTree((root, *map(int, row[0])), (-1, *map(int, row[1])), (1.0, *row[2]), source)
        for root, row in zip(roots, packed.tolist(), strict=True)
    ]


class Scratch:
    """Where a growing tree's nodes stand behind the committed tokens of `rows` in a draft's arena, and what they see.

    The level that runs i-th takes the scratch slots [i · k, (i + 1) · k) and the position length + i.
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
        self._width = width
        self._levels = 0

    def level(self, picked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Positions [R, k], slots [R, k] and mask [R, 1, k, view] of the next level, whose nodes follow the nodes
        `picked` [R, k] of the last."""
        positions, slots = self._positions + self._levels, self._slots + self._levels * self._width
        # A node sees what its parent saw, and itself.
        self._mask = self._mask.gather(1, picked[..., None].expand(-1, -1, self.view))
        self._mask.scatter_(2, slots[..., None], True)
        self._levels += 1
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
