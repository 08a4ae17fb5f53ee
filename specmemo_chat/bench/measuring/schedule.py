"""The order in which methods take their turns: none is always first, and none always follows the same one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def rounds(methods: Sequence[T], seed: int) -> Iterator[tuple[T, ...]]:
    """Endless rounds, each with every method once, in a new random order that `seed` decides.

    Short blocks in random order: what slows the machine down for a while meets all methods alike.
    """
    source = random.Random(seed)
    order = list(methods)
    while True:
        source.shuffle(order)
        yield tuple(order)
