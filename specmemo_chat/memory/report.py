"""A plan for people (a table as plain lines) and for scripts (the object of `plan --json`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from specmemo_chat.memory.plan import Outcome
from specmemo_chat.sizes import format_size

BAR_WIDTH = 32

LABELS = {
    "target_weights": "target weights",
    "draft_weights": "draft weights",
    "target_kv": "target KV cache",
    "tree_slots": "tree slots",
    "draft_kv": "draft KV cache",
    "prefill_activations": "prefill activations",
    "verify_activations": "verify activations",
    "logits": "logits",
    "draft_features": "draft features",
    "growth_transient": "growth transient",
    "runtime": "runtime",
}


def plan_lines(outcome: Outcome, device: str, reason: str) -> list[str]:
    """The table: one line for each term that is not 0, the sum against the cap, and what was conceded."""
    return list(_lines(outcome, device, reason))


def _lines(outcome: Outcome, device: str, reason: str) -> Iterator[str]:
    plan = outcome.plan
    each = f", each of {plan.tp} workers" if plan.tp > 1 else ""
    yield f"{plan.model} on {device} in {plan.dtype}{each}"
    yield f"profile {plan.profile}: {reason}"
    yield ""
    largest = max(*plan.terms.values(), 1)
    for name, size in plan.terms.items():
        if size:
            bar = "█" * round(BAR_WIDTH * size / largest) or "▏"
            yield f"  {LABELS[name]:<20}{format_size(size):>11}  {bar}"
    yield f"  {'total':<20}{format_size(plan.total_bytes):>11}"
    yield f"  {'cap':<20}{format_size(plan.cap_bytes):>11}"
    yield ""
    yield (
        f"context {plan.context_tokens} tokens, {plan.rows} {'row' if plan.rows == 1 else 'rows'}, "
        f"draft {'+'.join(plan.drafters) or 'none'}, trees of {plan.tree_nodes} {_nodes(plan.tree_nodes)}, "
        f"prefill in chunks of {plan.prefill_chunk}"
    )
    yield from (f"conceded: {sentence}" for sentence in plan.concessions)
    yield from (f"note: {sentence}" for sentence in outcome.notes)
    spare = plan.cap_bytes - plan.total_bytes
    yield f"fits, {format_size(spare)} to spare" if outcome.fits else f"does not fit: {format_size(-spare)} too much"


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"


def plan_json(outcome: Outcome, device: str) -> dict[str, Any]:
    """The object of CONTRACT.md's `plan --json`; bytes are per worker."""
    plan = outcome.plan
    values: dict[str, Any] = {
        "schema": 1,
        "model": plan.model,
        "device": device,
        "profile": plan.profile,
        "fits": outcome.fits,
        "cap_bytes": plan.cap_bytes,
        "total_bytes": plan.total_bytes,
        "terms": dict(plan.terms),
        "context_tokens": plan.context_tokens,
        "rows": plan.rows,
        "tree_nodes": plan.tree_nodes,
        "drafters": list(plan.drafters),
        "dtype": plan.dtype,
        "prefill_chunk": plan.prefill_chunk,
        "tp": plan.tp,
        "concessions": list(plan.concessions),
    }
    if outcome.smallest_fix is not None:
        values["smallest_fix"] = outcome.smallest_fix
    return values
