"""How often drafted tokens are accepted: the drafters' own estimates, calibrated by what the target decided.

An edge of a tree is *tried* when its parent was accepted: then, and only then, the target's token after the parent was
compared with it. Edges below a rejected node say nothing about themselves; counted as failures they would make deep
nodes look hopeless, and the tree would never grow to where they pay.
"""

from __future__ import annotations

from bisect import bisect_right

from specmemo_chat.speculation.tree import DraftTree, Verdict

# Upper limits of the buckets of an estimate, finer where most of a tree's edges are.
_LIMITS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9)
_BINS = len(_LIMITS) + 1
# Depths from this on share one cell.
DEPTHS = 8
# What the belief of the wider group is worth (the estimate itself for a bucket, the bucket for its depths): so many
# trials, and for rare edges so many acceptances.
_PRIOR_TRIALS, _PRIOR_ACCEPTED = 4.0, 0.5
# Older trials fade: a conversation changes its subject. The memory is about 1 / (1 - _FADE) trials of a cell.
_FADE = 0.98


class _Cell:
    """Faded counts of one group of edges: accepted ones, and the sum of the drafter's estimates of those tried."""

    __slots__ = ("accepted", "estimated")

    def __init__(self) -> None:
        self.accepted = 0.0
        self.estimated = 0.0

    def add(self, estimate: float, accepted: bool) -> None:
        self.accepted = self.accepted * _FADE + accepted
        self.estimated = self.estimated * _FADE + estimate


class AcceptanceCurve:
    """P(edge accepted | its parent was) for the edges of one drafter, by (estimate, depth)."""

    def __init__(self) -> None:
        self._bins = [_Cell() for _ in range(_BINS)]
        self._cells = [[_Cell() for _ in range(DEPTHS)] for _ in range(_BINS)]

    def edge(self, estimate: float, depth: int) -> float:
        """The calibrated probability of an edge with the drafter's `estimate` into a node at `depth` (from 1 on)."""
        if estimate <= 0.0:
            return 0.0
        place = bisect_right(_LIMITS, estimate)
        bucket, cell = self._bins[place], self._cells[place][depth - 1 if depth < DEPTHS else DEPTHS - 1]
        # The bucket corrects the estimate, and its cell what the bucket says of this depth, where edges were believed
        # to be `belief / estimate` of their estimates: within a cell they keep their proportions. Written out, because
        # a step asks for every edge of its trees.
        prior = _PRIOR_TRIALS * estimate + _PRIOR_ACCEPTED
        belief = min(1.0, estimate * (bucket.accepted + prior) / (bucket.estimated + prior))
        prior = _PRIOR_TRIALS * belief + _PRIOR_ACCEPTED
        return min(1.0, belief * (cell.accepted + prior) / (cell.estimated * belief / estimate + prior))

    def reaches(self, tree: DraftTree) -> list[float]:
        """The calibrated probability of the path to each node, the root's 1 first."""
        reach = [1.0]
        for parent, estimate, depth in zip(tree.parents[1:], tree.probabilities[1:], tree.depths[1:], strict=True):
            reach.append(reach[parent] * self.edge(estimate, depth))
        return reach

    def observe(self, tree: DraftTree, verdict: Verdict) -> None:
        """Count the edges below every accepted node."""
        accepted = set(verdict.path)
        depths = tree.depths
        for node in range(1, len(tree)):
            if tree.parents[node] in accepted:
                estimate = tree.probabilities[node]
                place = bisect_right(_LIMITS, estimate)
                taken = node in accepted
                self._bins[place].add(estimate, taken)
                self._cells[place][min(depths[node], DEPTHS) - 1].add(estimate, taken)


class DepthRates:
    """Of the steps that came to a depth and had candidates below it, the share in which one of those was accepted."""

    def __init__(self) -> None:
        self.tried = [0] * DEPTHS
        self.accepted = [0] * DEPTHS
        self._recent = [(1.0, 1.0)] * DEPTHS

    def observe(self, tree: DraftTree, verdict: Verdict) -> None:
        """Count each depth that the accepted path came to, candidates below its last node included."""
        last = verdict.path[-1]
        reached = len(verdict.path) - 1
        tried = reached + (last in tree.parents)
        for depth in range(min(tried, DEPTHS)):
            taken = depth < reached
            self.tried[depth] += 1
            self.accepted[depth] += taken
            accepted, count = self._recent[depth]
            self._recent[depth] = accepted * _FADE + taken, count * _FADE + 1

    def follows(self, depth: int) -> float:
        """The share for depth `depth` (from 1 on) in recent steps; depths not tried yet do as the deepest one that
        was, and before anything was tried 1."""
        at = min(depth, DEPTHS) - 1
        while at and not self.tried[at]:
            at -= 1
        accepted, count = self._recent[at]
        return min(1.0, accepted / count)
