"""How much less the capped plan takes than the baselines, and figures of a shape that is not here. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from specmemo_chat.bench.measuring.baseline_bytes import baseline_a, baseline_b, baseline_c
from specmemo_chat.memory.footprint import Shape, footprint, grown

# The last prefill of a conversation that fills its context leaves room for MT-Bench's longest reply.
REPLY_TOKENS = 256


def savings(taken: Mapping[str, int]) -> dict[str, float]:
    """The part of each baseline's generation memory that the capped plan saves."""
    return {
        name: round(1 - taken["capped"] / taken[name], 4)
        for name in ("baseline-a", "baseline-b", "baseline-c", "uncapped")
        if taken.get(name)
    }


def computed_bytes(uncapped: Shape, capped: Shape, tokens: int = 0, reply: int = REPLY_TOKENS) -> dict[str, Any]:
    """Generation memory of one conversation of `tokens` tokens with a last reply of `reply`, or (0) of one that fills
    the context of both shapes: the baselines by their formulas, specmemo as planned (the sum of its terms at its
    peak), with the arena that such a conversation grows to."""
    whole = tokens or uncapped.context
    prompt = max(1, whole - reply)
    usual = replace(uncapped, context=whole)
    taken = {
        "baseline-a": baseline_a(usual, prompt),
        "baseline-b": baseline_b(usual, prompt),
        "baseline-c": baseline_c(usual, prompt),
        "uncapped": generation_bytes(grown(uncapped, tokens) if tokens else uncapped),
        "capped": generation_bytes(grown(capped, tokens) if tokens else capped),
    }
    return {"generation_bytes": taken, "saved": savings(taken)}


def generation_bytes(shape: Shape) -> int:
    """The footprint without weights and runtime, of greedy decoding: so are the baselines'."""
    return footprint(shape, greedy=True).generation
