"""How two methods are compared on a noisy machine: pairs, the median of their ratios, a bootstrap interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Ratio:
    """The median of `pairs` ratios, and the bounds between which it lies with 95 % confidence."""

    median: float
    low: float
    high: float
    pairs: int

    def as_json(self) -> dict[str, Any]:
        return {
            "median": round(self.median, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "pairs": self.pairs,
        }


def median_ratio(
    ratios: Sequence[float], groups: Sequence[Hashable] | None = None, *, resamples: int = RESAMPLES
) -> Ratio | None:
    """The median of `ratios` with its percentile bootstrap interval (Efron 1979); None where there are none.

    `groups[i]` says which conversation pair i belongs to: whole conversations are drawn, because the replies of one, or
    the same one run twice, are alike, and drawing them singly would make the interval too narrow.
    """
    if not ratios:
        return None
    values = numpy.asarray(ratios, dtype=float)
    if groups is None:
        members = [numpy.array([index]) for index in range(len(values))]
    else:
        places: dict[Hashable, list[int]] = {}
        for index, group in enumerate(groups):
            places.setdefault(group, []).append(index)
        members = [numpy.array(indices) for indices in places.values()]
    source = numpy.random.default_rng(0)
    medians = numpy.empty(resamples)
    for number in range(resamples):
        drawn = source.integers(0, len(members), len(members))
        medians[number] = numpy.median(values[numpy.concatenate([members[index] for index in drawn])])
    tail = (1 - LEVEL) / 2
    low, high = numpy.quantile(medians, [tail, 1 - tail])
    return Ratio(float(numpy.median(values)), float(low), float(high), len(values))
