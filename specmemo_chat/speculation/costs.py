"""How long a verify step takes, by rows, nodes and context, and a drafter's levels: measured, refined, never guessed
twice.

A machine that is busy with something else makes every step slower at once. So a time is kept as the product of the
step's own time and one common *drift*: what one size shows about the machine holds for all sizes, and sizes that were
not seen for long stay comparable.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

# A step's own time is the median of its last measurements: one with another program on the processor counts nothing.
_WINDOW = 31
# What is taken over from an earlier run counts as at most so many measurements.
_RESTORED = 9
# How fast the drift follows, and by which factor one measurement may differ from what was expected.
_DRIFT_RATE, _OUTLIER = 0.2, 1.25
# Before anything is measured: a step is bound by reading the weights, so more nodes cost little.
_GUESS_PER_NODE = 0.04


def group(value: int) -> int:
    """The power of two that `value` counts as: contexts and row counts are compared on a logarithmic scale."""
    return 1 << max(0, value - 1).bit_length()


class _Time:
    """The time of one size without drift, in seconds."""

    __slots__ = ("_last", "count", "seconds")

    def __init__(self, samples: Sequence[float], count: int | None = None) -> None:
        self.count = count or len(samples)
        self._last = deque(samples, maxlen=_WINDOW)
        self.seconds = statistics.median(samples)

    def doubt(self) -> None:
        """Let the older half of the measurements go."""
        for _ in range(len(self._last) // 2):
            self._last.popleft()

    def refine(self, seconds: float) -> None:
        self.count += 1
        self._last.append(seconds)
        self.seconds = statistics.median(self._last)


class StepCosts:
    """Seconds of a verify step of `rows` rows with `nodes` nodes each on average.

    Sizes that were not measured are read off their neighbours: fewer and more nodes, else the nearest context and row
    count.
    """

    def __init__(self) -> None:
        self.drift = 1.0
        self._curves: dict[tuple[int, int], dict[float, _Time]] = {}
        self._ages: dict[tuple[int, float, int], int] = {}
        # How many observations there were.
        self.observed = 0

    def seconds(self, rows: int, nodes: float, context: int) -> float:
        """The expected time of a step now; 0 before anything was measured."""
        curve = self._curve(rows, context)
        return self.drift * _read(curve, nodes) if curve else 0.0

    def plain(self, rows: int, context: int) -> float:
        """The time of a plain step without drift; 0 before anything was measured."""
        curve = self._curve(rows, context)
        return _read(curve, 1) if curve else 0.0

    def relatives(self, rows: int, sizes: Sequence[float], context: int) -> list[float]:
        """For each of `sizes` (ascending, first 1) its time as a multiple of a plain step's with the same rows and
        context."""
        curve = self._curve(rows, context)
        if not curve:
            return [_guess(nodes) / _guess(1) for nodes in sizes]
        times = [_read(curve, nodes) for nodes in sizes]
        # A step with fewer nodes takes no longer: where it seems to, it is the one whose measurement is older.
        for place in range(len(times) - 1, 0, -1):
            times[place - 1] = min(times[place - 1], times[place])
        return [seconds / times[0] for seconds in times]

    def known(self, rows: int, nodes: float, context: int) -> bool:
        """Whether this very size was measured."""
        return nodes in self._curves.get((group(rows), group(context)), {})

    def age(self, rows: int, nodes: float, context: int) -> int:
        """How many observations ago this size was seen last (all of them where it never was)."""
        return self.observed - self._ages.get((group(rows), nodes, group(context)), 0)

    def learn(self, rows: int, nodes: float, context: int, samples: Sequence[float]) -> None:
        """Measurements of one size made on purpose, one after the other: their median is its time."""
        curve = self._curves.setdefault((group(rows), group(context)), {})
        curve[nodes] = _Time([seconds / self.drift for seconds in samples])

    def observe(self, rows: int, nodes: float, context: int, seconds: float) -> None:
        """Fold in the time of one step."""
        if seconds <= 0.0:
            return
        self.observed += 1
        self._ages[group(rows), nodes, group(context)] = self.observed
        curve = self._curves.setdefault((group(rows), group(context)), {})
        known = curve.get(nodes)
        if known is None:
            curve[nodes] = _Time([seconds / self.drift])
            return
        if known.count > 1:
            change = max(1 / _OUTLIER, min(_OUTLIER, seconds / (known.seconds * self.drift)))
            self.drift *= change**_DRIFT_RATE
        known.refine(seconds / self.drift)

    def doubt(self, rows: int, nodes: float, context: int) -> None:
        """A measurement differed much from what is known of this size: believe the next ones sooner."""
        known = self._curves.get((group(rows), group(context)), {}).get(nodes)
        if known is not None:
            known.doubt()

    def entries(self) -> list[tuple[int, float, int, float, int]]:
        """(rows, nodes, context, seconds, measurements) of everything known, without drift."""
        return [
            (rows, nodes, context, time.seconds, time.count)
            for (rows, context), curve in sorted(self._curves.items())
            for nodes, time in sorted(curve.items())
        ]

    def restore(self, entries: Iterable[tuple[int, float, int, float, int]]) -> None:
        """Take over what `entries` gave. Raises ValueError for numbers that no measurement gives."""
        curves: dict[tuple[int, int], dict[float, _Time]] = {}
        for rows, nodes, context, seconds, count in entries:
            whole = all(isinstance(number, int) and number > 0 for number in (rows, context, count))
            if not whole or not _positive(nodes) or nodes < 1 or not _positive(seconds):
                raise ValueError(f"no measurement: {(rows, nodes, context, seconds, count)}")
            curves.setdefault((rows, context), {})[nodes] = _Time([seconds] * min(count, _RESTORED), count)
        self._curves = curves

    def _curve(self, rows: int, context: int) -> dict[float, _Time]:
        """The times by nodes for these rows and this context; those of the nearest ones where too little is known."""
        wanted = (group(rows), group(context))
        own = self._curves.get(wanted, {})
        if len(own) >= 2:
            return own
        others = [(key, curve) for key, curve in self._curves.items() if key != wanted and len(curve) >= 2]
        if not others:
            return own
        # Another row count changes a step more than another context does.
        _, nearest = min(
            others,
            key=lambda item: (
                2 * abs(math.log2(item[0][0] / wanted[0])) + abs(math.log2(item[0][1] / wanted[1])),
                item[0],
            ),
        )
        if not own:
            return nearest
        ((nodes, time),) = own.items()
        scale = time.seconds / _read(nearest, nodes)
        return {size: _Time([scale * other.seconds]) for size, other in nearest.items()}


def _read(curve: dict[float, _Time], nodes: float) -> float:
    """The time for `nodes` on a curve with one point or more: exact, between its neighbours, or beyond the last."""
    exact = curve.get(nodes)
    if exact is not None:
        return exact.seconds
    below = max((size for size in curve if size < nodes), default=0.0)
    above = min((size for size in curve if size > nodes), default=0.0)
    if below and above:
        share = (nodes - below) / (above - below)
        return curve[below].seconds + share * (curve[above].seconds - curve[below].seconds)
    nearest = below or above
    return curve[nearest].seconds * _guess(nodes) / _guess(nearest)


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
        found = [
            (abs(math.log2(key[1] / group(size))), time.seconds)
            for key, time in self._times.items()
            if key[0] == source and key[2] == part
        ]
        return min(found)[1] if found else 0.0
