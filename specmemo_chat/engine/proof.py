"""A plan held against what its rehearsal took: within the cap it may run, above it nothing is answered."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

from specmemo_chat.device.heap import trim_heap
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.rehearsal import rehearse
from specmemo_chat.errors import Flag, PlanError
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.measured import Measurements
from specmemo_chat.models.prepared import fill_products
from specmemo_chat.sizes import MIB, format_size


@dataclass(frozen=True)
class Proof:
    """`peak` bytes at the worst moment, `runtime` of them neither weights nor planned generation memory; whether they
    were measured now or at an earlier start; `note` where they are more than planned."""

    peak: int
    runtime: int
    rehearsed: bool
    note: str = ""


def prove(engine: Engine, known: Measurements, peak: Callable[[], int], reset: Callable[[], None]) -> Proof:
    """Rehearse the plan's worst moments, once for each plan, device and version, and remember what they took.

    `peak()` are the bytes of the worker that took the most since `reset()`. Raises PlanError where they are above the
    cap; what was measured is remembered then too, so that the next plan counts it.
    """
    plan = engine.plan
    before = known.proven(plan)
    if before is not None and not (plan.cap_bytes and before[0] > plan.cap_bytes):
        return Proof(before[0], before[1], rehearsed=False)
    gc.collect()
    if plan.products and plan.tp == 1:
        fill_products(engine.target.model, plan.products)
    trim_heap()
    reset()
    rehearse(engine)
    taken = peak()
    fixed = plan.total_bytes - plan.terms.runtime
    runtime = max(1, taken - fixed)
    known.remember(plan, taken, runtime)
    check_cap(plan, taken, "the rehearsal of the plan")
    note = ""
    if taken > plan.total_bytes:
        note = (
            f"the rehearsal took {format_size(taken)}, {format_size(taken - plan.total_bytes)} more than planned and "
            "within the cap; the next plan counts it"
        )
    engine.shrink()
    gc.collect()
    return Proof(taken, runtime, rehearsed=True, note=note)


def check_cap(plan: Plan, taken: int, what: str) -> None:
    """Raise PlanError where `taken` bytes are above the cap."""
    if plan.cap_bytes and taken > plan.cap_bytes:
        raise PlanError(
            f"{what} took {format_size(taken)}, {format_size(taken - plan.cap_bytes)} more than the cap of "
            f"{format_size(plan.cap_bytes)}: nothing was answered",
            Flag("--max-memory", f"{-(-taken // MIB)}MiB"),
            "start again without a fixed context: the next plan counts what was measured",
        )
