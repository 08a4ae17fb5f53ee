"""The footprint turned round: the largest context, tree or prefill chunk that a budget pays for.

Every term grows with each of the three, so a search by halves is exact: one step more would not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from specmemo_chat.memory.contract import NODE_BUCKETS
from specmemo_chat.memory.footprint import Shape, total

SMALLEST_CONTEXT = 16


def largest_context(shape: Shape, cap: int, limit: int) -> int:
    """The most context tokens, at most `limit`, at which `shape` fits `cap` bytes; 0 where not even the smallest
    does."""
    tokens = _largest(lambda context: total(replace(shape, context=context)) <= cap, limit)
    return tokens if tokens >= SMALLEST_CONTEXT else 0


def largest_chunk(shape: Shape, cap: int, limit: int) -> int:
    """The most tokens of a prefill chunk, at most `limit`, at which `shape` fits `cap` bytes; 0 where not even one
    does."""
    return _largest(lambda chunk: total(replace(shape, chunk=chunk)) <= cap, limit)


def largest_tree(shape: Shape, cap: int, limit: int) -> int:
    """The largest node bucket, at most `limit` nodes, at which `shape` fits `cap` bytes; 0 where not even plain
    decoding does."""
    fitting = (nodes for nodes in NODE_BUCKETS if nodes <= limit and total(replace(shape, nodes=nodes)) <= cap)
    return max(fitting, default=0)


def _largest(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number in [1, limit] that fits, 0 where none does; whatever is below one that fits does too."""
    if fits(limit):
        return limit
    low, high = 0, limit  # low fits (or is 0), high does not
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low
