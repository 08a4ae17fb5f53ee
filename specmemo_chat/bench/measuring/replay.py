"""Replayed acceptance: what a trained head would have had accepted, for weights that nobody trained.

With random weights no draft is ever right, so the text is *scripted*: the target's forward runs whole, then the script
decides which token it says (`steer`). The replay drafter knows the script. It runs the real head for its cost,
throws its guesses away, and proposes the tree that a head of the given acceptance would: the script's next token stands
in it as often, as deep and as far down among its siblings as those probabilities say. Verification is untouched.
Everything that rests on this is called replayed wherever it is shown.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Iterable
from collections.abc import Sequence as Rows
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from specmemo_chat.drafters.base import DraftBudget, DraftRow, FeatureDrafter, FeatureRow
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.speculation.sampling import uniform
from specmemo_chat.speculation.tree import DraftTree, Verdict

# Added to the scripted token's logit: whatever the sampling, it wins. fp16 holds it.
CERTAIN = 3e4
# The outcomes of each depth are drawn from numbers of their own.
_DEPTH_SEED = 1_000_003


class Script:
    """The token at every position of every text, drawn from `vocab` ids with `seed`."""

    def __init__(self, vocab: int, length: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocab = vocab
        self._tensor = torch.randint(0, vocab, (length,), generator=generator)
        self._tokens: list[int] = self._tensor.tolist()

    def token(self, position: int) -> int:
        """The token at `position`."""
        return self._tokens[position % len(self._tokens)]

    def tokens(self, positions: torch.Tensor) -> torch.Tensor:
        """The tokens at `positions`, of any shape, on their device."""
        self._tensor = self._tensor.to(positions.device)
        return self._tensor[positions % len(self._tokens)]


def steer(model: Any, script: Script) -> None:
    """Make `model` (a causal LM) say the script in every forward that gets position_ids. Its forward is the real one;
    of the logits [.., n, vocab] that it returns, those of the last n tokens, the scripted token's is the highest."""

    def say(_module: Any, _args: Any, named: dict[str, Any], out: Any) -> None:
        positions = named.get("position_ids")
        if positions is not None:
            said = script.tokens(positions[:, -out.logits.shape[1] :] + 1)
            out.logits.scatter_(-1, said[..., None], CERTAIN)

    model.register_forward_hook(say, with_kwargs=True)


class ReplayDrafter(FeatureDrafter):
    """Implements FeatureDrafter. `head` is the real head's drafter, None where its cost is not wanted.

    `acceptance[d]`: the probability that the first child of a node at depth d is right where the node is (the last
    value goes on for deeper levels); the k-th child is right with p · (1 - p)^(k - 1), as in `memory.acceptance`.
    """

    def __init__(
        self, head: FeatureDrafter | None, script: Script, acceptance: tuple[float, ...], seed: int = 0
    ) -> None:
        self.head = head
        self.name = f"{head.name if head is not None else 'draft'} (replayed)"
        self.feature_layers: tuple[int, ...] = head.feature_layers if head is not None else ()
        self._script = script
        self._acceptance = acceptance
        self._seed = seed

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row: the best `budget.nodes` of a head that is right so often, as deep as the budget's pace
        lets that head go."""
        pace = _ReplayPace(self.name, self._acceptance, budget)
        if self.head is not None:
            self.head.propose(rows, replace(budget, pace=pace))
        elif pace.begin(self.name, len(rows)):
            depth = 1
            while depth < budget.depth and pace.deeper(depth, [[]] * len(rows), [], budget.depth - depth):
                depth += 1
        shape = best_tree(self._acceptance, budget.nodes, pace.levels, budget.width)
        return [self._tree(row, shape) for row in rows]

    def _tree(self, row: DraftRow, shape: tuple[Node, ...]) -> DraftTree:
        position = len(row.tokens) - 1
        tokens, parents, edges, right = [row.tokens[-1]], [-1], [1.0], [True]
        ranks: dict[int, int] = {}
        for node in shape:
            level = node.level
            if level not in ranks:
                ranks[level] = self._rank(position + level, level)
            said = self._script.token(position + level)
            chosen = right[node.parent] and node.rank == ranks[level]
            # Ranks stay below the vocabulary: siblings differ, and no other than the chosen one is right.
            tokens.append(said if chosen else (said + node.rank) % self._script.vocab)
            parents.append(node.parent)
            edges.append(node.edge)
            right.append(chosen)
        return DraftTree(tuple(tokens), tuple(parents), tuple(edges), self.name)

    def _rank(self, position: int, level: int) -> int:
        """Which child of a right parent is right, 1 the first: always the same one for a position and a level."""
        p = _edge(self._acceptance, level)
        if p >= 1.0:
            return 1
        number = uniform(self._seed + level * _DEPTH_SEED, position)
        return 1 + int(math.log1p(-number) / math.log1p(-p)) if p > 0.0 else 1 << 30

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        if self.head is not None:
            self.head.observe(rows, verdicts)

    def known(self, row: int) -> int:
        return self.head.known(row) if self.head is not None else 0

    def extend(self, rows: Rows[FeatureRow]) -> None:
        if self.head is not None:
            self.head.extend(rows)

    def truncate(self, row: int, length: int) -> None:
        if self.head is not None:
            self.head.truncate(row, length)

    def arenas(self) -> Iterable[KVArena]:
        return self.head.arenas() if self.head is not None else ()

    def graph_problem(self) -> str:
        return self.head.graph_problem() if self.head is not None else ""


class Node(NamedTuple):
    """A node below a root: `parent` is an index with the root 0, `rank` its place among its siblings from 1 on, `edge`
    and `path` the probabilities that it is right where its parent is, and at all."""

    parent: int
    level: int
    rank: int
    edge: float
    path: float


@functools.cache
def best_tree(acceptance: tuple[float, ...], nodes: int, depth: int, width: int) -> tuple[Node, ...]:
    """The likeliest `nodes` - 1 nodes below a root, the likeliest first: parents come before their children."""
    if depth < 1 or nodes < 2:
        return ()
    chosen: list[Node] = []

    def entry(path: float, parent: int, level: int, rank: int) -> tuple[float, int, Node]:
        p = _edge(acceptance, level)
        edge = p * (1 - p) ** (rank - 1)
        return (-path * edge, parent, Node(parent, level, rank, edge, path * edge))

    waiting = [entry(1.0, 0, 1, 1)]
    while waiting and len(chosen) < nodes - 1:
        node = heapq.heappop(waiting)[2]
        chosen.append(node)
        above = chosen[node.parent - 1].path if node.parent else 1.0
        if node.rank < width:
            heapq.heappush(waiting, entry(above, node.parent, node.level, node.rank + 1))
        if node.level < depth:
            heapq.heappush(waiting, entry(node.path, len(chosen), node.level + 1, 1))
    return tuple(chosen)


class _ReplayPace:
    """Implements Pace for the head that is run: asks the budget's own pace as the replayed head would, and notes in
    `levels` how deep that one went."""

    def __init__(self, name: str, acceptance: tuple[float, ...], budget: DraftBudget) -> None:
        self.levels = 0
        self._name = name
        self._acceptance = acceptance
        self._budget = budget
        self._deepest = max(
            (node.level for node in best_tree(acceptance, budget.nodes, budget.depth, budget.width)), default=0
        )

    def enough(self, tree: DraftTree, source: str) -> bool:
        """Nothing stands before a head that is replayed."""
        return False

    def begin(self, source: str, rows: int) -> bool:
        """Pace.begin, of the replayed head."""
        pace = self._budget.pace
        starts = self._deepest > 0 and (pace is None or pace.begin(self._name, rows))
        self.levels = int(starts)
        return starts

    def least(self) -> float:
        """The head's own probabilities mean nothing: none is too small."""
        return 0.0

    def skip(self) -> None:
        """Pace.skip."""
        if self._budget.pace is not None:
            self._budget.pace.skip()

    def deeper(self, depth: int, pools: Rows[Rows[float]], frontiers: Rows[Rows[float]], left: int) -> int:
        """Pace.deeper, with the probabilities of the replayed head in place of the given ones."""
        budget = self._budget
        followed = budget.width if depth < self._deepest else 0
        if followed and budget.pace is not None:
            tree = best_tree(self._acceptance, budget.nodes, depth, budget.width)
            pool = [node.path for node in tree]
            front = [node.path for node in tree if node.level == depth][: budget.width]
            followed = budget.pace.deeper(depth, [pool] * len(pools), [front] * len(pools), left)
        self.levels = depth + (followed > 0)
        return followed


def _edge(acceptance: tuple[float, ...], level: int) -> float:
    return acceptance[min(level, len(acceptance)) - 1]
