"""The controller: how much to speculate at this step, so that speculation is never slower than plain decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specmemo_chat.speculation.stats import AcceptanceCurve, StepTimes
from specmemo_chat.speculation.tree import DraftTree, Verdict

# While plain decoding wins, one step in this many still tries the draft: the text may have changed.
PROBE_EVERY = 32
_SMOOTHING = 0.1


class Controller:
    """Chooses a node bucket for every step and cuts the draft trees down to it.

    The expected tokens of a cut tree are the sum of its nodes' path probabilities, calibrated by what was accepted;
    the bucket with the most expected tokens per second wins. `adaptive` False takes the largest bucket always.
    """

    def __init__(self, buckets: Sequence[int], *, adaptive: bool = True) -> None:
        self.buckets = tuple(buckets)
        self.curve = AcceptanceCurve()
        self.times = StepTimes(self.buckets)
        self._adaptive = adaptive
        self._largest = self.buckets[-1]
        self._draft_seconds = 0.0
        self._plain_run = 0
        self._chosen: dict[int, int] = dict.fromkeys(self.buckets, 0)

    def bucket(self, nodes: int) -> int:
        """The smallest bucket that holds `nodes`."""
        return next(bucket for bucket in self.buckets if bucket >= nodes)

    def drafted(self, seconds: float) -> None:
        """The drafter took `seconds` for the trees of one step."""
        self._draft_seconds += _SMOOTHING * (seconds - self._draft_seconds)

    def suspend(self) -> None:
        """Speculate no more: the device has no memory for a tree."""
        self._largest = self.buckets[0]

    def choose(self, trees: Sequence[DraftTree]) -> list[DraftTree]:
        """The trees cut to the bucket that promises the most tokens per second."""
        most = max(len(tree) for tree in trees)
        if most == 1:
            return list(trees)
        orders = [self._best_nodes(tree) for tree in trees]
        allowed = [bucket for bucket in self.buckets if bucket <= self._largest]
        sizes = [bucket for bucket in allowed if bucket < most] + [bucket for bucket in allowed if bucket >= most][:1]
        if not self._adaptive:
            return [_cut(tree, order, sizes[-1]) for tree, order in zip(trees, orders, strict=True)]
        best = max(sizes, key=lambda bucket: self._rate(orders, bucket))
        if best == 1 and len(sizes) > 1:
            self._plain_run += 1
            if self._plain_run >= PROBE_EVERY:
                best = max(sizes[1:], key=lambda bucket: self._rate(orders, bucket))
        if best > 1:
            self._plain_run = 0
        return [_cut(tree, order, best) for tree, order in zip(trees, orders, strict=True)]

    def observe(self, trees: Sequence[DraftTree], verdicts: Sequence[Verdict], seconds: float) -> None:
        """What one verify step took and accepted."""
        bucket = self.bucket(max(len(tree) for tree in trees))
        self.times.observe(bucket, seconds)
        self._chosen[bucket] += 1
        for tree, verdict in zip(trees, verdicts, strict=True):
            self.curve.observe(tree, verdict)

    def report(self) -> dict[str, Any]:
        """Steps and measured seconds per bucket, for `/stats`."""
        return {
            "steps": {str(bucket): count for bucket, count in self._chosen.items() if count},
            "seconds": {
                str(bucket): round(self.times.seconds(bucket), 6)
                for bucket in self.buckets
                if self.times.measured(bucket)
            },
            "draft_seconds": round(self._draft_seconds, 6),
        }

    def _best_nodes(self, tree: DraftTree) -> list[tuple[float, int]]:
        """(path probability, node) from the likeliest on; a parent always comes before its child."""
        reach = [1.0]
        depths = tree.depths
        for node in range(1, len(tree)):
            reach.append(reach[tree.parents[node]] * self.curve.edge(tree.probabilities[node], depths[node]))
        return sorted(((reach[node], node) for node in range(len(tree))), key=lambda pair: (-pair[0], pair[1]))

    def _rate(self, orders: Sequence[list[tuple[float, int]]], bucket: int) -> float:
        """Expected tokens per second of a step with `bucket` nodes a row."""
        expected = sum(sum(reach for reach, _ in order[:bucket]) for order in orders)
        seconds = self.times.seconds(bucket)
        if seconds == 0.0:
            return expected
        # The trees are drafted before this choice, so their time is spent whichever bucket wins.
        return expected / (seconds + self._draft_seconds)


def _cut(tree: DraftTree, order: list[tuple[float, int]], nodes: int) -> DraftTree:
    """The `nodes` likeliest nodes of `tree`, in their old order."""
    if len(tree) <= nodes:
        return tree
    kept = sorted(node for _, node in order[:nodes])
    place = {node: index for index, node in enumerate(kept)}
    return DraftTree(
        tuple(tree.tokens[node] for node in kept),
        tuple(place[tree.parents[node]] if node else -1 for node in kept),
        tuple(tree.probabilities[node] for node in kept),
        tree.source,
    )
