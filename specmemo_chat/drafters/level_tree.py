"""Dynamic draft trees, grown level by level by cumulative confidence (EAGLE-2, Li et al. 2024, arXiv 2406.16858).

From the root the most likely `width` tokens; from each of them again `width`; of these width², at most `width` with the
highest product of probabilities along their path are expanded next: as many as pay. In the end the whole pool is ranked
by that product and the best `nodes` stay. Shared by all drafters that run a network.
"""

from __future__ import annotations

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
        """Logits [R, k, vocab] after the nodes `tokens` [R, k], on the CPU, which follow the nodes `picked` [R, k] of
        the level before (of the first level: the root, 0). `straight`: these are the first k of them, in their
        order."""
        ...


def grow(
    roots: Sequence[int],
    logits: torch.Tensor,
    expand: Expand,
    budget: DraftBudget,
    source: str,
    target_ids: Sequence[int] | None = None,
    ends: Collection[int] = (),
    few_sizes: bool = False,
) -> list[DraftTree]:
    """One tree for each of R rows; `logits` [R, vocab] are the draft's after the roots.

    `target_ids` are the target's tokens for the draft's (None: the same), `ends` those that nothing follows. Every tree
    has at most `budget.nodes` nodes, `budget.depth` levels and `budget.width` children of one node. `expand` is called
    for at most depth - 1 levels with k <= min(width, nodes - 1): while the budget's pace finds that another one pays,
    and for as many nodes (`few_sizes`: at least, so that levels have few different sizes).
    """
    limit = budget.nodes - 1
    width = min(budget.width, limit, logits.shape[-1])
    if width < 1 or budget.depth < 1:
        return [DraftTree.root_only(root) for root in roots]
    least = budget.pace.least() if budget.pace is not None else 0.0
    pools = [_Pool(limit, width, least, target_ids, ends) for _ in roots]
    for pool, tokens, shares in zip(pools, *_likeliest(logits[:, None], width), strict=True):
        pool.add(tokens, shares)
    for depth in range(1, budget.depth):
        followed = _followed(pools, depth, budget)
        if not followed:
            break
        if few_sizes:
            followed = min(width, 1 << (followed - 1).bit_length())
        # One transfer back from the device: the nodes of a level are few, and lists cost less than tensors.
        following = [pool.follow(followed) for pool in pools]
        tokens, picked = [nodes for nodes, _ in following], [places for _, places in following]
        in_order = list(range(followed))
        straight = all(places == in_order for places in picked)
        found = _likeliest(expand(torch.tensor(tokens), picked, straight), width)
        for pool, tokens, shares in zip(pools, *found, strict=True):
            pool.add(tokens, shares)
    return [pool.tree(root, source) for pool, root in zip(pools, roots, strict=True)]


def _likeliest(logits: torch.Tensor, width: int) -> tuple[list[list[list[int]]], list[list[list[float]]]]:
    """The `width` likeliest tokens, in descending order, and their probabilities, both [R, k, width], for logits [R, k,
    vocab]."""
    best, tokens = logits.float().softmax(-1).topk(width)
    if logits.device.type == "cpu":
        return tokens.tolist(), best.tolist()
    # One transfer, not two: up to 2^24 an integer is exact in fp32.
    shares, numbers = torch.stack((best, tokens.float())).cpu()
    return numbers.long().tolist(), shares.tolist()


class _Pool:
    """The nodes that one row's draft has seen, in the order in which they came: a parent stands before its children.

    `reaches` are the path probabilities, `frontier` the nodes that the next level can follow, the likeliest first. Of
    what is not above `least` nothing is kept: most candidates of a level are hopeless, and lists of them cost time at
    every level.
    """

    def __init__(
        self, limit: int, width: int, least: float, target_ids: Sequence[int] | None, ends: Collection[int]
    ) -> None:
        self.tokens: list[int] = []
        self.reaches: list[float] = []
        self.frontier: list[int] = []
        self._limit = limit
        self._width = width
        self._least = least
        self._target_ids = target_ids
        self._ends = ends
        self._edges: list[float] = []
        self._parents: list[int] = []
        # Of each node the place of its parent in the level that ran it.
        self._columns: list[int] = []
        self._running = [-1]
        # How many nodes that level had, those that only fill it up included.
        self._ran = 1

    def add(self, tokens: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> None:
        """The children of each of the nodes that ran: the draft's tokens and their probabilities, in descending
        order."""
        reaches, ids, least = self.reaches, self._target_ids, self._least
        first = len(reaches)
        for column, parent in enumerate(self._running):
            above = reaches[parent] if parent >= 0 else 1.0
            for token, share in zip(tokens[column], shares[column], strict=True):
                # No child is likelier than its parent, and what is not a number not likely at all.
                reach = above * share if share < 1.0 else above
                if not reach > least:
                    break
                self.tokens.append(token if ids is None else ids[token])
                reaches.append(reach)
                self._edges.append(share)
                self._parents.append(parent)
                self._columns.append(column)
        new = [node for node in range(first, len(reaches)) if self.tokens[node] not in self._ends]
        new.sort(key=reaches.__getitem__, reverse=True)
        self.frontier = new[: self._width]

    def follow(self, count: int) -> tuple[list[int], list[int]]:
        """The first `count` nodes of the frontier run now: their tokens, and the places of their parents in the level
        before. Where there are fewer, any others fill the level up, and nobody reads what comes of them."""
        running = self._running = self.frontier[:count]
        tokens = [self.tokens[node] for node in running]
        places = [self._columns[node] for node in running]
        for place in range(len(running), count):
            tokens.append(0)
            places.append(min(place, self._ran - 1))
        self._ran = count
        return tokens, places

    def best(self) -> list[float]:
        """The path probabilities of the nodes that a tree made now would have, the likeliest first."""
        return sorted(self.reaches, reverse=True)[: self._limit]

    def ahead(self) -> list[float]:
        """Those of the frontier."""
        return [self.reaches[node] for node in self.frontier]

    def tree(self, root: int, source: str) -> DraftTree:
        """The best nodes, the likeliest path first: where it is accepted, its keys and values need not move."""
        # Stable: of equals the earlier wins, so that no node stays without its parent.
        chosen = sorted(range(len(self.tokens)), key=self.reaches.__getitem__, reverse=True)[: self._limit]
        if not chosen:
            return DraftTree.root_only(root)
        below: dict[int, list[int]] = {}
        for node in reversed(chosen):
            below.setdefault(self._parents[node], []).append(node)
        kept, open_nodes = [], below.get(-1, [])
        while open_nodes:
            kept.append(open_nodes.pop())
            open_nodes.extend(below.get(kept[-1], ()))
        places = {node: place for place, node in enumerate(kept, start=1)}
        return DraftTree(
            (root, *[self.tokens[node] for node in kept]),
            (-1, *[places.get(self._parents[node], 0) for node in kept]),
            (1.0, *[self._edges[node] for node in kept]),
            source,
        )


def _followed(pools: Sequence[_Pool], depth: int, budget: DraftBudget) -> int:
    """How many nodes of each frontier another level follows: none where it cannot change a tree or does not pay."""
    best, ahead = [pool.best() for pool in pools], [pool.ahead() for pool in pools]
    limit = budget.nodes - 1
    # Nothing below a frontier can enter the best nodes that is not likelier than the last of these.
    if all(not front or (len(kept) == limit and front[0] <= kept[-1]) for kept, front in zip(best, ahead, strict=True)):
        return 0
    if budget.pace is None:
        return max(map(len, ahead))
    return budget.pace.deeper(depth, best, ahead, budget.depth - depth)


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
        self._arena, self._rows, self._device, self._dtype = arena, tuple(rows), device, dtype
        self._depth, self._slots = levels, levels * width
        self._mask = committed_mask(self._lengths, width, self.view, dtype).numpy()
        self._visible = True if dtype == torch.bool else 0.0
        self._levels = self._taken = 0

    @property
    def positions(self) -> torch.Tensor:
        """Of every level [R, levels]."""
        return self._behind[:, : self._depth]

    @cached_property
    def _behind(self) -> torch.Tensor:
        """All scratch slots [R, levels · width]; a graph is given its own, from the CPU."""
        first = torch.tensor(self._lengths, device=self._device)[:, None]
        return first + torch.arange(self._slots, device=self._device)

    @cached_property
    def _window(self) -> Window:
        return self._arena.window(self._rows, self._behind, self.view, start=self._lengths[0])

    def level(self, picked: Sequence[Sequence[int]], straight: bool) -> Level:
        """The next level, whose nodes follow the nodes `picked` [R, k] of the last; `straight` as in `Expand`."""
        count, number, taken = len(picked[0]), self._levels, self._taken
        self._advance(picked, straight)
        slots = self._behind[:, taken : taken + count]
        return Level(
            self.positions[:, number : number + 1],
            slots,
            torch.from_numpy(self._mask).unsqueeze(1).to(self._device, self._dtype),
            self._window.part(slots, taken),
            number,
        )

    def _advance(self, picked: Sequence[Sequence[int]], straight: bool) -> None:
        """The mask of the next level."""
        count, taken = len(picked[0]), self._taken
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

    def nodes(self, picked: Sequence[Sequence[int]], straight: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """`level` for a graph, on the CPU: positions and slots [2, R, k], and the mask [R, 1, k, view] in fp32."""
        self._advance(picked, straight)
        first = torch.tensor(self._lengths)[:, None]
        count = len(picked[0])
        behind = torch.arange(self._taken - count, self._taken)
        return (
            torch.stack(((first + self._levels - 1).expand(-1, count), first + behind)),
            torch.from_numpy(self._mask).unsqueeze(1),
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
        chunks = [Chunk((0,) * count) for count in self._counts]
        return tree_mask(chunks, self._lengths, self.packing.longest, self.view, self._device)

    def ends_see(self, dtype: torch.dtype) -> torch.Tensor:
        """What each row's last token sees, as what is added to its scores: [R, 1, 1, view]."""
        reach = list(map(sum, zip(self._lengths, self._counts, strict=True)))
        return committed_mask(reach, 1, self.view, dtype)[:, None].to(self._device, dtype)
