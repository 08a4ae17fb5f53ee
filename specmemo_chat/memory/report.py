"""The object of `plan --json` (docs/reference.md); bytes are integers and per worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specmemo_chat.memory.faster import Faster
from specmemo_chat.memory.frontier import Frontier, Point
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.throughput import DeviceSpeed, Expected


def plan_json(
    outcome: Outcome,
    device: str,
    expected: Expected | None = None,
    speed: DeviceSpeed | None = None,
    faster: Sequence[Faster] = (),
) -> dict[str, Any]:
    """`device` is the name that the user gave. `expected` is null where the device's bandwidth is not known or the
    plan does not fit. `faster`: precisions that would be."""
    plan = outcome.plan
    values: dict[str, Any] = {
        "schema": 1,
        "model": plan.model,
        "device": device,
        "profile": plan.profile,
        "fits": outcome.fits,
        "cap_bytes": plan.cap_bytes,
        "total_bytes": plan.total_bytes,
        "terms": plan.terms.as_json(),
        "context_tokens": plan.context_tokens,
        "rows": plan.rows,
        "tree_nodes": plan.tree_nodes,
        "drafters": list(plan.drafters),
        "dtype": plan.dtype,
        "kv_dtype": plan.kv_dtype,
        "draft_dtype": plan.draft_dtype if plan.draft is not None else None,
        "prefill_chunk": plan.prefill_chunk,
        "tp": plan.tp,
        "concessions": list(plan.concessions),
        "notes": list(outcome.notes),
        "expected": None,
    }
    if expected is not None and speed is not None:
        values["expected"] = {
            "tokens_per_second": round(expected.tokens_per_second, 3),
            "plain_tokens_per_second": round(expected.plain, 3),
            "mean_acceptance_length": round(expected.tokens_per_step, 3),
            "tree_nodes": expected.nodes,
            "prefill_s": round(expected.prefill_s, 4),
            "basis": f"estimate: {speed.basis}",
        }
        if faster:
            values["expected"]["faster"] = {other.dtype: round(other.times, 2) for other in faster}
    if outcome.smallest_fix is not None:
        values["smallest_fix"] = outcome.smallest_fix
    return values


def frontier_json(frontier: Frontier) -> dict[str, Any]:
    """The points of growing budget, and the smallest budget that keeps 96 % of the speed."""
    return {
        "frontier": [_point(point) for point in frontier.points],
        "lower_bound": _point(frontier.lower_bound),
    }


def _point(point: Point) -> dict[str, Any]:
    shape = point.shape
    return {
        "budget_bytes": point.budget,
        "tree_nodes": shape.nodes,
        "drafters": list(point.drafters),
        "dtype": shape.dtype,
        "prefill_chunk": shape.chunk,
        "context_tokens": shape.context,
        "expected_tokens_per_second": round(point.tokens_per_second, 3),
        "relative_throughput": round(point.relative, 4),
    }
