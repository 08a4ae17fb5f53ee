"""How many tokens a verify step is expected to yield: acceptance curves fitted to published figures.

A plan is made before a token is drafted, so these stand in for what the running controller measures. The fits:

- n-gram: 1.74 tokens a step (Spec-Bench leaderboard, "PLD", Vicuna-7B, greedy). A chain whose first token is right in
  `_MATCH` of the steps and whose later ones follow with `_FOLLOW`; how the 1.74 divide is our assumption.
- EAGLE: 4.48 tokens a step with a dynamic tree of 60 nodes, depth 7, width 10 (EAGLE-2, MT-Bench, Llama-2-70B-chat);
  EAGLE-3: 6.13 (Llama-3.1-8B). The k-th best child of a node is right with p · (1 - p)^(k - 1).
- a draft model: 2.29 tokens a step (Spec-Bench, "SpS"), as a chain.
"""

from __future__ import annotations

import functools
import heapq

_MATCH, _FOLLOW = 0.25, 0.668
# Fitted to the figures above; tests/unit/test_plan_throughput.py recomputes them.
_EDGE = {"eagle": 0.582, "eagle3": 0.756, "model": 0.566}


def expected_tokens(drafter: str, nodes: int, depth: int, width: int) -> float:
    """Tokens that one verify step yields with a tree of at most `nodes` nodes (the root counted), `depth` levels and
    `width` children a node; the bonus token is counted, so plain decoding yields 1."""
    return 1.0 + sum(probability for probability, _ in _best_nodes(drafter, nodes, depth, width))


def first_choice(drafter: str) -> float:
    """The probability that a head's (or draft model's) first choice is right where its parent is, at every depth."""
    return _EDGE[drafter]


def levels(drafter: str, nodes: int, depth: int, width: int) -> int:
    """Levels of the best tree: how often the drafter's network runs for it."""
    return max((level for _, level in _best_nodes(drafter, nodes, depth, width)), default=0)


@functools.cache
def _best_nodes(drafter: str, nodes: int, depth: int, width: int) -> tuple[tuple[float, int], ...]:
    """(path probability, level) of the likeliest nodes below the root."""
    if drafter == "none" or depth < 1:
        return ()
    if drafter in ("ngram", "model"):
        first, follow = (_MATCH, _FOLLOW) if drafter == "ngram" else (_EDGE["model"], _EDGE["model"])
        return tuple((first * follow**level, level + 1) for level in range(min(nodes - 1, depth)))
    edge = _EDGE[drafter]
    chosen: list[tuple[float, int]] = []
    # Waiting are the first child of every chosen node and the next sibling of every chosen node: (-path probability,
    # level, rank among siblings).
    waiting = [(-edge, 1, 1)]
    while waiting and len(chosen) < nodes - 1:
        negative, level, rank = heapq.heappop(waiting)
        chosen.append((-negative, level))
        if rank < width:
            heapq.heappush(waiting, (negative * (1 - edge), level, rank + 1))
        if level < depth:
            heapq.heappush(waiting, (negative * edge, level + 1, 1))
    return tuple(chosen)
