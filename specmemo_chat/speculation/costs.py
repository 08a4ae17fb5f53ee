"""How long a verify step takes, by rows, nodes and context, and a drafter's levels: measured, refined, never guessed
twice.

A machine that is busy with something else makes every step slower at once. So a time is kept as the product of the
step's own time and one common *drift*: what one size shows about the machine holds for all sizes, and sizes that were
not seen for long stay comparable.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence

# A step's own time is the median of its last measurements: one with another program on the processor counts nothing.
_WINDOW = 31
# What is taken over from an earlier run counts as at most so many measurements.
_RESTORED = 9
# How fast the drift follows, and by which factor one measurement may differ from what was expected.
_DRIFT_RATE, _OUTLIER = 0.2, 1.25
# How often a size must have been measured before its times say something about the machine: till then they say
# something about the size.
_WELL_KNOWN = 8
# A curve is made anew after so many observations, for the proportions in it; the times themselves are always the last.
_FRESH = 16
# Before anything is measured: a step is bound by reading the weights, so more nodes cost little.
_GUESS_PER_NODE = 0.04


def group(value: int) -> int:
    """The power of two that `value` counts as: contexts and row counts are compared on a logarithmic scale."""
    return 1 << max(0, value - 1).bit_length()


class _Time:
    """The time of one size without drift, in seconds."""

    __slots__ = ("_last", "_sorted", "count", "seconds")

    def __init__(self, samples: Sequence[float], count: int | None = None) -> None:
        self.count = count or len(samples)
        self._last = deque(samples, maxlen=_WINDOW)
        # The same in order: a level is measured and asked for within microseconds.
        self._sorted = sorted(self._last)
        self.seconds = self._median()

    def doubt(self) -> None:
        """Let the older half of the measurements go."""
        for _ in range(len(self._last) // 2):
            self._last.popleft()
        self._sorted = sorted(self._last)

    def refine(self, seconds: float) -> None:
        self.count += 1
        if len(self._last) == _WINDOW:
            del self._sorted[bisect_left(self._sorted, self._last[0])]
        self._last.append(seconds)
        insort(self._sorted, seconds)
        self.seconds = self._median()

    def _median(self) -> float:
        half, odd = divmod(len(self._sorted), 2)
        return self._sorted[half] if odd else (self._sorted[half - 1] + self._sorted[half]) / 2


# A curve: by the nodes of a step its time, and by how much more that takes in the steps that the curve is of.
_Curve = dict[float, tuple[_Time, float]]


class StepCosts:
    """Seconds of a verify step of `rows` rows with `nodes` nodes each on average.

    One row's steps are kept by their nodes, those of several, which are packed, by the nodes of all rows together: how
    they are shared out changes little. What was not measured is read off its neighbours: fewer and more nodes, else
    the nearest context, else the other kind of step.
    """

    def __init__(self) -> None:
        self.drift = 1.0
        # By (whether there are several rows, group of the context): by the nodes of all rows.
        self._curves: dict[tuple[bool, int], dict[float, _Time]] = {}
        self._ages: dict[tuple[bool, int, float], int] = {}
        # What `_curve` made of all this, and how many more observations it is good for.
        self._made: dict[tuple[bool, int], _Curve] = {}
        self._fresh = 0
        # How many observations there were.
        self.observed = 0

    def seconds(self, rows: int, nodes: float, context: int) -> float:
        """The expected time of a step now; 0 before anything was measured."""
        return self.drift * self._steady(rows, nodes, context)

    def plain(self, rows: int, context: int) -> float:
        """The time of a plain step without drift; 0 before anything was measured."""
        return self._steady(rows, 1, context)

    def relatives(self, rows: int, sizes: Sequence[float], context: int) -> list[float]:
        """For each of `sizes` (ascending, first 1) its time as a multiple of a plain step's with the same rows and
        context."""
        curve = self._curve(rows, context)
        times = [_read(curve, rows * nodes) if curve else _guess(nodes) for nodes in sizes]
        # A step with fewer nodes takes no longer: where it seems to, it is the one whose measurement is older.
        for place in range(len(times) - 1, 0, -1):
            times[place - 1] = min(times[place - 1], times[place])
        return [seconds / times[0] for seconds in times]

    def count(self, rows: int, nodes: float, context: int | None = None) -> int:
        """How often this very size was measured: in this context, or (None) in the one where it was most often."""
        kinds = [kind for kind in self._curves if kind[0] == (rows > 1)] if context is None else [_kind(rows, context)]
        curves = [self._curves.get(kind, {}) for kind in kinds]
        return max((curve[rows * nodes].count for curve in curves if rows * nodes in curve), default=0)

    def age(self, rows: int, nodes: float, context: int) -> int:
        """How many observations ago this size was seen last (all of them where it never was)."""
        return self.observed - self._ages.get((*_kind(rows, context), rows * nodes), 0)

    def learn(self, rows: int, nodes: float, context: int, samples: Sequence[float]) -> None:
        """Measurements of one size made on purpose, one after the other: their median is its time."""
        curve = self._curves.setdefault(_kind(rows, context), {})
        curve[rows * nodes] = _Time([seconds / self.drift for seconds in samples])
        self._made.clear()

    def observe(self, rows: int, nodes: float, context: int, seconds: float) -> None:
        """Fold in the time of one step."""
        if seconds <= 0.0:
            return
        self.observed += 1
        self._fresh -= 1
        if self._fresh < 0:
            self._made.clear()
            self._fresh = _FRESH
        kind, size = _kind(rows, context), rows * nodes
        self._ages[(*kind, size)] = self.observed
        curve = self._curves.setdefault(kind, {})
        known = curve.get(size)
        if known is None:
            curve[size] = _Time([seconds / self.drift])
            self._made.clear()
            return
        if known.count >= _WELL_KNOWN:
            change = max(1 / _OUTLIER, min(_OUTLIER, seconds / (known.seconds * self.drift)))
            self.drift *= change**_DRIFT_RATE
        known.refine(seconds / self.drift)

    def doubt(self, rows: int, nodes: float, context: int) -> None:
        """A measurement differed much from what is known of this size: believe the next ones sooner."""
        known = self._curves.get(_kind(rows, context), {}).get(rows * nodes)
        if known is not None:
            known.doubt()

    def entries(self) -> list[tuple[bool, float, int, float, int]]:
        """(several rows, nodes of all, context, seconds, measurements) of everything known, without drift."""
        return [
            (several, nodes, context, time.seconds, time.count)
            for (several, context), curve in sorted(self._curves.items())
            for nodes, time in sorted(curve.items())
        ]

    def restore(self, entries: Iterable[tuple[bool, float, int, float, int]]) -> None:
        """Take over what `entries` gave. Raises ValueError for numbers that no measurement gives."""
        curves: dict[tuple[bool, int], dict[float, _Time]] = {}
        for several, nodes, context, seconds, count in entries:
            whole = all(isinstance(number, int) and number > 0 for number in (context, count))
            if not isinstance(several, bool) or not whole or not _positive(nodes) or not _positive(seconds):
                raise ValueError(f"no measurement: {(several, nodes, context, seconds, count)}")
            curves.setdefault((several, context), {})[nodes] = _Time([seconds] * min(count, _RESTORED), count)
        self._curves = curves
        self._made.clear()

    def _steady(self, rows: int, nodes: float, context: int) -> float:
        curve = self._curve(rows, context)
        return _read(curve, rows * nodes) if curve else 0.0

    def _curve(self, rows: int, context: int) -> _Curve:
        """The times by nodes for this kind of step, as far as they were measured; beyond that those of the nearest
        other kinds, in proportion."""
        wanted = _kind(rows, context)
        curve = self._made.get(wanted)
        if curve is None:
            # One row or several changes a step more than another context does.
            kinds = sorted(
                self._curves,
                key=lambda kind: (2 * (kind[0] != wanted[0]) + abs(math.log2(kind[1] / wanted[1])), kind),
            )
            curve = {}
            for kind in kinds:
                curve = _extended(curve, {nodes: (time, 1.0) for nodes, time in self._curves[kind].items()})
            self._made[wanted] = curve
        return curve


def _kind(rows: int, context: int) -> tuple[bool, int]:
    return rows > 1, group(context)


def _extended(curve: _Curve, other: _Curve) -> _Curve:
    """`curve`, and beyond its ends what `other` says, in proportion."""
    if not curve:
        return other
    least, most = min(curve), max(curve)
    if least <= min(other) and max(other) <= most:
        return curve
    below, above = (_at(curve[end]) / _read(other, end) for end in (least, most))
    beyond = {
        nodes: (time, factor * (below if nodes < least else above))
        for nodes, (time, factor) in other.items()
        if not least <= nodes <= most
    }
    return curve | beyond


def _at(point: tuple[_Time, float]) -> float:
    time, factor = point
    return time.seconds * factor


def _read(curve: _Curve, nodes: float) -> float:
    """The time for `nodes` on a curve with one point or more: exact, between its neighbours, or beyond the last."""
    exact = curve.get(nodes)
    if exact is not None:
        return exact[0].seconds * exact[1]
    # Written out: a step reads a dozen times.
    below = above = 0.0
    for size in curve:
        if size < nodes:
            below = max(below, size)
        elif not above or size < above:
            above = size
    if below and above:
        share = (nodes - below) / (above - below)
        return _at(curve[below]) + share * (_at(curve[above]) - _at(curve[below]))
    nearest = below or above
    return _at(curve[nearest]) * _guess(nodes) / _guess(nearest)


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and 0.0 < value < math.inf


def _guess(nodes: float) -> float:
    return 1 + _GUESS_PER_NODE * nodes


class DraftCosts:
    """Seconds that a drafter's network takes: to begin a tree (with what it must catch up on), by row count, and for
    each further level, by the nodes of all rows that it follows. Without the drift of `StepCosts`."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, int, str], _Time] = {}

    def begin(self, source: str, rows: int) -> float:
        """Seconds before the first level's candidates are known; 0 before any was measured."""
        return self._seconds(source, rows, "begin")

    def level(self, source: str, nodes: int) -> float:
        """Seconds of a level after the first that follows so many nodes; 0 before any was measured."""
        return self._seconds(source, nodes, "level")

    def observe(self, source: str, count: int, part: str, seconds: float) -> None:
        """Fold in one measurement of `part`: begin with `count` rows, or level with `count` nodes."""
        if seconds <= 0.0:
            return
        key = (source, group(count), part)
        known = self._times.get(key)
        if known is None:
            self._times[key] = _Time([seconds])
        else:
            known.refine(seconds)

    def entries(self) -> list[tuple[str, int, str, float, int]]:
        """(drafter, rows or nodes, part, seconds, measurements) of everything known."""
        return [(*key, time.seconds, time.count) for key, time in sorted(self._times.items())]

    def restore(self, entries: Iterable[tuple[str, int, str, float, int]]) -> None:
        """Take over what `entries` gave. Raises ValueError for what no measurement gives."""
        times = {}
        for source, size, part, seconds, count in entries:
            whole = all(isinstance(number, int) and number > 0 for number in (size, count))
            if not whole or not isinstance(source, str) or part not in ("begin", "level") or not _positive(seconds):
                raise ValueError(f"no measurement: {(source, size, part, seconds, count)}")
            times[source, size, part] = _Time([seconds] * min(count, _RESTORED), count)
        self._times = times

    def _seconds(self, source: str, size: int, part: str) -> float:
        exact = self._times.get((source, group(size), part))
        if exact is not None:
            return exact.seconds
        found = [
            (abs(math.log2(key[1] / group(size))), time.seconds)
            for key, time in self._times.items()
            if key[0] == source and key[2] == part
        ]
        return min(found)[1] if found else 0.0
