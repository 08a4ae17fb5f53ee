"""The time of one step by the size of its tree, and of a draft's levels."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from specmemo_chat.bench.measuring.schedule import rounds
from specmemo_chat.bench.measuring.statistics import median_ratio
from specmemo_chat.bench.measuring.subject import Report, Subject
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow
from specmemo_chat.engine.calibration import measure as calibrate
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence as Row
from specmemo_chat.memory.contract import NODE_BUCKETS, Plan
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.tree import DraftTree, Verdict

# Rounds, each with every size once.
ROUNDS = 100
# A controller's own measurement takes a second at most, so that a chat can begin; where a plan rests on it, more.
TIMES_S = 30.0


def engine_times(plan: Plan, subject: Subject, report: Report) -> dict[str, Any]:
    """What an engine's controller measures: the entries of its `StepCosts` and `DraftCosts`."""
    report(0, 0, "times of steps")
    engine = Engine(subject.target, subject.drafter(plan), plan)
    calibrate(engine, TIMES_S)
    return {"steps": engine.controller.costs.entries(), "drafts": engine.controller.drafts.entries()}


def step_times(plan: Plan, subject: Subject, prompt: list[int], report: Report, repeat: int = ROUNDS) -> dict[str, Any]:
    """Seconds of one step by node count, from the end of `prompt` on, sizes in turns; `over_plain` is each round's
    ratio to the step of one node. The trees are made of nothing: drafting is not in it."""
    sizes = tuple(size for size in plan.node_buckets if size in NODE_BUCKETS)
    engines = {size: _stepping(plan, subject, size) for size in sizes}
    sequences = {size: _prefilled(engines[size], prompt) for size in sizes}
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    orders = rounds(sizes, 0)
    for number in range(-2, repeat):
        report(max(number, 0), repeat, "steps")
        for size in next(orders):
            if sequences[size].finished is not None:
                engines[size].close(sequences[size])
                sequences[size] = _prefilled(engines[size], prompt)
            started = time.perf_counter()
            engines[size].step([sequences[size]])
            if number >= 0:
                seconds[size].append(time.perf_counter() - started)
    found = {}
    for size in sizes:
        ratio = median_ratio([time / plain for time, plain in zip(seconds[size], seconds[1], strict=True)])
        found[str(size)] = {
            "seconds": round(statistics.median(seconds[size]), 6),
            "over_plain": ratio.as_json() if ratio is not None else None,
        }
    return {"context_tokens": len(prompt), "nodes": found}


class _Bushes(Drafter):
    """A drafter whose trees have exactly `nodes` nodes, two children a node, and hardly ever a right one."""

    name = "bench"
    feature_layers: tuple[int, ...] = ()

    def __init__(self, nodes: int, vocab: int) -> None:
        self._parents = (-1, *((node - 1) // 2 for node in range(1, nodes)))
        self._vocab = vocab

    def propose(self, rows: Sequence[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        trees = []
        for row in rows:
            root, nodes = row.tokens[-1], len(self._parents)
            tokens = tuple((root + node) % self._vocab for node in range(nodes))
            trees.append(DraftTree(tokens, self._parents, (1.0,) + (0.5,) * (nodes - 1), self.name))
        return trees

    def observe(self, rows: Sequence[DraftRow], verdicts: Sequence[Verdict]) -> None:
        """Nothing to learn."""

    def truncate(self, row: int, length: int) -> None:
        """Nothing is kept."""


def _stepping(plan: Plan, subject: Subject, nodes: int) -> Engine:
    own = replace(plan, node_buckets=tuple(size for size in plan.node_buckets if size <= nodes))
    drafter = _Bushes(nodes, subject.target.vocab_size) if nodes > 1 else None
    return Engine(subject.target, drafter, own, adaptive=False)


def _prefilled(engine: Engine, prompt: list[int]) -> Row:
    sequence = engine.open(prompt, GenerationSettings())
    while sequence.prefilling:
        engine.step([sequence])
    return sequence


def longest_prompt(subject: Subject, talks: Sequence[Talk], limit: int) -> list[int]:
    """The longest first prompt among `talks` that has at most `limit` tokens."""
    prompts = [subject.dialogue(talk).prompt(talk.turns[0]) for talk in talks]
    return max((prompt for prompt in prompts if len(prompt) <= limit), key=len, default=prompts[0][:limit])
