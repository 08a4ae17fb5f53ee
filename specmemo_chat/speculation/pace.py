"""Level by level: whether a drafter that runs a network is asked at all, and for which nodes of another level.

A drafter's level costs as much as several nodes of the verify step, so a tree is not grown first and cut afterwards.
Values are counted in tokens of one row; times in plain steps; `price` is what a plain step's time is worth: the running
tokens per plain step, 1 or more. Another level is drafted while it is expected to bring more than its time is worth,
and it follows the nodes whose children are expected to be worth their part of the verify step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate

from specmemo_chat.speculation.acceptance import AcceptanceCurve, DepthRates
from specmemo_chat.speculation.costs import DraftCosts, StepCosts, group
from specmemo_chat.speculation.tree import DraftTree

# While plain decoding wins, one step in this many still tries the draft: the text may have changed. At first one in
# _PROBE_FIRST, and half as often after every one that did not pay.
PROBE_EVERY, _PROBE_FIRST = 32, 8
# How fast the mean advantage of drafting follows, and how many trees it needs before it is believed. Trees differ by
# several tokens: a mean of few of them would often be below zero where drafting pays.
_OUTLOOK_RATE, _OUTLOOK_FIRST = 0.06, 8
# Of the trees that seem to promise less than a network's, one in so many is taken all the same.
_DECLINED_EVERY = 16
# How many levels may pay together where the next one alone does not.
_LOOKAHEAD = 3
# A node that promises less than this part of what it costs is not worth the sorting either. Estimates are calibrated
# later, and some are too low.
_HOPELESS = 0.25


class Prober:
    """When a draft is tried that is not expected to pay. One that paid is followed by another at once: it cost nothing,
    and the text has changed."""

    def __init__(self) -> None:
        self._waited = 0
        self._interval = self._patience = _PROBE_FIRST

    def due(self) -> bool:
        """Count one plain step; True where it should be a probe instead."""
        self._waited += 1
        if self._waited < self._interval:
            return False
        self._waited = 0
        return True

    def result(self, paid: bool) -> None:
        """Whether what the probe's draft brought was worth its time."""
        if not paid:
            self._patience = min(2 * self._patience, PROBE_EVERY)
        self._interval = 1 if paid else self._patience

    def reset(self) -> None:
        """Drafting pays again."""
        self._waited, self._interval, self._patience = 0, _PROBE_FIRST, _PROBE_FIRST


# Nodes per row (roots included) that several rows may have on average: packed together, they need no buckets.
_MEANS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)


def sizes(rows: int, buckets: Sequence[int]) -> list[float]:
    """The sizes of a step in nodes per row: the buckets for one row, finer ones for several (no row exceeds the
    largest bucket)."""
    if rows == 1:
        return [float(bucket) for bucket in buckets]
    return [mean for mean in _MEANS if mean <= buckets[-1]]


def worths(
    gains: Sequence[float], rows: int, offered: Sequence[float], relatives: Sequence[float], price: float
) -> list[float]:
    """For each size its tokens of a row beyond what its time is worth.

    `gains` are the path probabilities of all rows' nodes from the likeliest on, without the roots; `relatives` the
    times of the sizes `offered` (nodes per row, ascending) in plain steps. Sizes beyond the first that holds all nodes
    are left out.
    """
    found = []
    expected = list(accumulate(gains, initial=float(rows)))
    for size, relative in zip(offered, relatives, strict=True):
        extra = int(rows * (size - 1))
        found.append(expected[min(extra, len(gains))] / rows - price * relative)
        if extra >= len(gains):
            break
    return found


def best_size(
    gains: Sequence[float], rows: int, offered: Sequence[float], relatives: Sequence[float], price: float
) -> tuple[float, int]:
    """The largest of `worths`, and its place in `offered`."""
    found = worths(gains, rows, offered, relatives, price)
    best = max(found)
    return best, found.index(best)


class LevelPace:
    """The pace of one step's drafting. The controller says with `aim` what the step is like; the drafter asks `begin`
    and `deeper`; `end` closes the measurement of the last level."""

    def __init__(
        self,
        buckets: Sequence[int],
        costs: StepCosts,
        drafts: DraftCosts,
        rates: Callable[[str], DepthRates],
        curves: Callable[[str], AcceptanceCurve],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._buckets = tuple(buckets)
        self._costs = costs
        self._drafts = drafts
        self._rates = rates
        self._curves = curves
        self._clock = clock
        self._outlooks: dict[str, tuple[float, int]] = {}
        self._prober = Prober()
        self._declined = 0
        self._rows, self._context, self._price, self._largest = 1, 1, 1.0, buckets[-1]
        # The sizes of this step and their times, and a plain step's seconds, once they are asked for.
        self._offered: tuple[list[float], list[float]] | None = None
        self._plain_s: float | None = None
        self._source = ""
        # What the running part's time depends on: rows where it begins, nodes in a level.
        self._count = 0
        self._mark = 0.0
        self._part = ""
        # Whether this step's draft is a probe: its tree is verified even if it does not promise to pay.
        self.probing = False

    def aim(self, rows: int, context: int, price: float, largest: int) -> None:
        """A step of `rows` rows and at most `largest` nodes begins."""
        self._rows, self._context, self._price, self._largest = rows, context, price, largest
        self._source, self._part, self.probing = "", "", False
        self._offered = self._plain_s = None

    @property
    def source(self) -> str:
        """The drafter that was told to begin in this step; empty where none was."""
        return self._source

    def enough(self, tree: DraftTree, source: str) -> bool:
        """`Pace.enough`. Now and then a tree is taken that is not: else it could never turn out better than thought."""
        usual, count = self._outlooks.get(source, (0.0, 0))
        if count < _OUTLOOK_FIRST or usual <= 0.0 or self._largest == 1 or not self._costs.plain(1, self._context):
            return True
        gains = sorted(self._curves(tree.source).reaches(tree)[1:], reverse=True)
        # As if all rows had one like it.
        value, _ = best_size(gains, 1, *self.sizes(), self._price)
        if value - (1.0 - self._price) >= usual:
            return True
        self._declined += 1
        return self._declined % _DECLINED_EVERY == 0

    def begin(self, source: str, rows: int) -> bool:
        """Whether `source` should draft for `rows` rows in this step."""
        if self._largest == 1:
            return False
        advantage, count = self._outlooks.get(source, (0.0, 0))
        if count >= _OUTLOOK_FIRST and advantage <= 0.0:
            if not self._prober.due():
                return False
            self.probing = True
        self._source, self._count = source, rows
        self._mark, self._part = self._clock(), "begin"
        return True

    def least(self) -> float:
        """`Pace.least`: a part of what a node costs the verify step on the average of all sizes."""
        offered, relatives = self.sizes()
        if len(offered) < 2:
            return 0.0
        return _HOPELESS * self._price * (relatives[-1] - relatives[0]) / (offered[-1] - offered[0])

    def deeper(
        self, depth: int, pools: Sequence[Sequence[float]], frontiers: Sequence[Sequence[float]], left: int
    ) -> int:
        """`Pace.deeper`: how many of each row's frontier to follow by a level below `depth`; 0: none."""
        self._measure()
        rows = len(frontiers)
        followed = max(map(len, frontiers), default=1)
        if self._plain_s is None:
            self._plain_s = self._costs.plain(self._rows, self._context)
        plain = self._plain_s
        if plain and self._drafts.level(self._source, rows * followed):
            followed = self._worthwhile(depth, pools, frontiers, left, plain)
        self._count, self._mark, self._part = rows * followed, self._clock(), "level" if followed else ""
        return followed

    def skip(self) -> None:
        """`Pace.skip`."""
        self._part = ""

    def end(self) -> None:
        """The drafter has returned its trees."""
        self._measure()
        self._part = ""

    def settle(self, advantage: float) -> None:
        """What this step's draft was expected to bring beyond its cost, seen when its trees were known."""
        if not self._source:
            return
        mean, count = self._outlooks.get(self._source, (0.0, 0))
        rate = max(_OUTLOOK_RATE, 1 / (count + 1))
        mean += rate * (advantage - mean)
        self._outlooks[self._source] = (mean, count + 1)
        if mean > 0.0:
            self._prober.reset()

    def probed(self, paid: bool) -> None:
        """What became of a probe: whether it was worth its time."""
        self._prober.result(paid)

    def _measure(self) -> None:
        if self._part:
            self._drafts.observe(
                self._source, self._count, self._part, (self._clock() - self._mark) / self._costs.drift
            )

    def sizes(self) -> tuple[list[float], list[float]]:
        """The sizes that this step may take (nodes per row), and their times in plain steps."""
        if self._offered is None:
            found = sizes(self._rows, [bucket for bucket in self._buckets if bucket <= self._largest])
            self._offered = found, self._costs.relatives(self._rows, found, self._context)
        return self._offered

    def _worthwhile(
        self,
        depth: int,
        pools: Sequence[Sequence[float]],
        frontiers: Sequence[Sequence[float]],
        left: int,
        plain: float,
    ) -> int:
        """How many nodes of each row the next level should follow, `plain` being a plain step's time; 0 where none of
        the next levels would pay for itself and those before it."""
        # As if the drafting rows were all: the time of a step per row is much the same.
        rows = len(pools)
        offered, relatives = self.sizes()
        rates = self._rates(self._source)
        grown = sorted((reach for pool in pools for reach in pool), reverse=True)
        stay, place = best_size(grown, rows, offered, relatives, self._price)
        # A node's children must promise what another node costs the verify step.
        least = self._price * _slope(offered, relatives, place) / max(rates.follows(depth + 1), 1e-9)
        wanted = sum(reach >= least for frontier in frontiers for reach in frontier)
        # All rows follow as many; powers of two, because their times repeat.
        followed = min(group(max(1, -(-wanted // rows))), max(map(len, frontiers)))
        level = self._drafts.level(self._source, rows * followed) / plain
        ahead = [reach for frontier in frontiers for reach in frontier[:followed]]
        for further in range(1, min(left, _LOOKAHEAD) + 1):
            # Nothing is known yet of the next level's candidates: each node is followed as often as it was of late.
            follows = rates.follows(depth + further)
            ahead = [reach * follows for reach in ahead]
            grown = sorted(grown + ahead, reverse=True)
            go, _ = best_size(grown, rows, offered, relatives, self._price)
            if go - self._price * level * further > stay:
                return followed
        return 0


def _slope(offered: Sequence[float], relatives: Sequence[float], place: int) -> float:
    """Plain steps that another node of a row costs a step of the size at `place`."""
    if len(offered) < 2:
        return 0.0
    above = min(place + 1, len(offered) - 1)
    return (relatives[above] - relatives[above - 1]) / (offered[above] - offered[above - 1])
