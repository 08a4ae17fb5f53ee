"""The budget against the expected throughput: the paper's question, which is the smallest budget that keeps its speed.

Every concession is in play that leaves the text as it is: prefill chunk, tree, draft head, drafter. The precision of
the weights stays, because fewer bits are cheaper and faster at once; and so does the context, because a shorter one
costs no speed but the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from specmemo_chat.memory.contract import NODE_BUCKETS
from specmemo_chat.memory.footprint import Shape, total
from specmemo_chat.memory.plan import drafters
from specmemo_chat.memory.request import PlanRequest
from specmemo_chat.memory.throughput import DeviceSpeed, expect
from specmemo_chat.profiles import Profile

# The paper (SpecMemo, arXiv 2506.01986) keeps 96 % of the speculative throughput.
KEPT = 0.96


@dataclass(frozen=True)
class Point:
    """The best that a budget (bytes per worker) buys. `relative` compares with an unlimited budget: the throughput of
    whole turns or that of decoding, whichever falls further behind; `tokens_per_second` is of decoding."""

    budget: int
    shape: Shape
    drafters: tuple[str, ...]
    tokens_per_second: float
    relative: float


@dataclass(frozen=True)
class Frontier:
    """Points of growing budget and growing throughput; none is beaten by a cheaper one."""

    points: tuple[Point, ...]

    @property
    def lower_bound(self) -> Point:
        """The smallest budget whose throughput is at least 96 % of the unlimited one."""
        return next(point for point in self.points if point.relative >= KEPT)


def frontier(aim: Shape, profile: Profile, request: PlanRequest, speed: DeviceSpeed) -> Frontier:
    """All that can be bought below the shape that is aimed at (`request.start`), whatever the cap."""
    rated = []
    for shape in _candidates(aim, profile):
        names = drafters(shape, request) if shape.nodes > 1 else ()
        expected = expect(shape, names, profile.tree_depth, profile.tree_width, speed)
        rated.append((total(shape), expected, shape, names))
    turns = max(rate.turn_throughput for _, rate, *_ in rated)
    decoding = max(rate.tokens_per_second for _, rate, *_ in rated)
    compared = [
        Point(
            budget,
            shape,
            names,
            rate.tokens_per_second,
            min(rate.turn_throughput / turns, rate.tokens_per_second / decoding),
        )
        for budget, rate, shape, names in rated
    ]
    points: list[Point] = []
    for point in sorted(compared, key=lambda point: (point.budget, -point.relative)):
        if not points or point.relative > points[-1].relative:
            points.append(point)
    return Frontier(tuple(points))


def _candidates(aim: Shape, profile: Profile) -> Iterator[Shape]:
    # Graphs change the host's time alone, which no expectation counts.
    whole = replace(aim, allocate_at_load=True, graphs=False)
    heads = [None] if whole.draft is None else [None, whole.draft]
    for nodes in NODE_BUCKETS:
        for head in heads:
            for chunk in _chunks(whole, profile):
                # A head without a tree would take memory for nothing.
                if nodes <= whole.nodes and (head is None or nodes > 1):
                    yield replace(whole, nodes=nodes, draft=head, chunk=chunk)


def _chunks(shape: Shape, profile: Profile) -> list[int]:
    """The chunk sizes that concessions go through."""
    sizes = [shape.chunk]
    while sizes[-1] > min(shape.chunk, profile.prefill_chunk_minimum):
        sizes.append(max(profile.prefill_chunk_minimum, sizes[-1] // 2))
    return sizes
