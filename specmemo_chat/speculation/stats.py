"""What the controller learns: how often draft edges are accepted, and how long a step of each size takes."""

from __future__ import annotations

from collections.abc import Sequence

from specmemo_chat.speculation.tree import DraftTree, Verdict

_BINS = 10
_DEPTHS = 6
# How many observations the drafter's own estimate is worth.
_PRIOR = 4.0
# Older observations fade: a conversation changes its subject.
_FADE = 0.98
_SMOOTHING = 0.15


class AcceptanceCurve:
    """P(edge accepted | its parent was), by the drafter's estimate (ten bins) and depth (one to six)."""

    def __init__(self) -> None:
        self._tried = [[0.0] * _DEPTHS for _ in range(_BINS)]
        self._accepted = [[0.0] * _DEPTHS for _ in range(_BINS)]

    def edge(self, estimate: float, depth: int) -> float:
        """The calibrated probability of an edge with the drafter's `estimate` into a node at `depth`."""
        row, column = _cell(estimate, depth)
        return (self._accepted[row][column] + _PRIOR * estimate) / (self._tried[row][column] + _PRIOR)

    def observe(self, tree: DraftTree, verdict: Verdict) -> None:
        """Count the edges below every accepted node."""
        accepted = set(verdict.path)
        depths = tree.depths
        for node in range(1, len(tree)):
            if tree.parents[node] in accepted:
                row, column = _cell(tree.probabilities[node], depths[node])
                self._tried[row][column] = self._tried[row][column] * _FADE + 1
                self._accepted[row][column] = self._accepted[row][column] * _FADE + (node in accepted)


def _cell(estimate: float, depth: int) -> tuple[int, int]:
    return min(int(estimate * _BINS), _BINS - 1), min(depth, _DEPTHS) - 1


class StepTimes:
    """Seconds of a verify step for each node bucket: measured where one was seen, else read off its neighbours."""

    def __init__(self, buckets: Sequence[int]) -> None:
        self._seconds: dict[int, float | None] = dict.fromkeys(buckets)

    def observe(self, bucket: int, seconds: float) -> None:
        """Fold in one measurement; an outlier (another program had the processor) counts little."""
        known = self._seconds[bucket]
        if known is None:
            self._seconds[bucket] = seconds
        else:
            self._seconds[bucket] = known + _SMOOTHING * (min(seconds, 2 * known) - known)

    def measured(self, bucket: int) -> bool:
        return self._seconds[bucket] is not None

    def seconds(self, bucket: int) -> float:
        """The time of a step with `bucket` nodes, 0 before anything was measured."""
        known = {size: time for size, time in self._seconds.items() if time is not None}
        if bucket in known or not known:
            return known.get(bucket, 0.0)
        below = [size for size in known if size < bucket]
        above = [size for size in known if size > bucket]
        if below and above:
            low, high = max(below), min(above)
            return known[low] + (known[high] - known[low]) * (bucket - low) / (high - low)
        # Beyond what was seen: a decoding step is bound by reading the weights, so more nodes cost little at first.
        nearest = max(below) if below else min(above)
        return known[nearest] * (1 + 0.04 * bucket) / (1 + 0.04 * nearest)
