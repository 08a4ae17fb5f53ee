"""What is given up to fit a cap, in a fixed order: CUDA graphs, prefill chunk, tree, precision of the draft head, the
head; all of that in each weight precision in turn; and in the last of them the context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import QUANTISED, Dtype
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape, footprint, is_fused, total
from specmemo_chat.memory.inverse import largest_context
from specmemo_chat.memory.request import PlanRequest, bucket, compute_dtype, in_groups
from specmemo_chat.profiles import Profile
from specmemo_chat.sizes import format_size


@dataclass(frozen=True)
class Concession:
    """A smaller shape, and what was given up for it."""

    shape: Shape
    sentence: str


def fitted(shape: Shape, cap: int) -> Shape | None:
    """The shape as it is, else with the whole arena allocated at load (which spares the transient), else None."""
    return next(
        (candidate for candidate in (shape, replace(shape, allocate_at_load=True)) if total(candidate) <= cap), None
    )


def concessions(shape: Shape, profile: Profile, request: PlanRequest, cap: int) -> Iterator[Concession]:
    """The steps in their order, all but the context; each step's shape contains all the steps before it. Steps that
    neither fit nor are the last of their kind are passed over."""
    if shape.graphs:
        spared = total(shape)
        shape = replace(shape, graphs=False, allocate_at_load=False)
        yield Concession(shape, f"steps without CUDA graphs, which take {format_size(spared - total(shape))}")
    chunk, minimum = shape.chunk, min(shape.chunk, profile.prefill_chunk_minimum)
    while shape.chunk > minimum:
        shape = replace(shape, chunk=max(minimum, shape.chunk // 2))
        if shape.chunk == minimum or fitted(shape, cap):
            yield Concession(shape, f"prefill in chunks of {shape.chunk} tokens instead of {chunk}")
    nodes, minimum = shape.nodes, bucket(profile.tree_nodes_minimum)
    while shape.nodes > minimum:
        shape = replace(shape, nodes=shape.nodes // 2)
        if shape.nodes == minimum or fitted(shape, cap):
            yield Concession(shape, f"draft trees of {shape.nodes} nodes instead of {nodes}")
    head = shape.draft
    for dtype in smaller_heads(head):
        assert head is not None
        shape = replace(shape, draft=replace(head, dtype=dtype, computed=shape.compute))
        called = "model" if head.kind == "model" else "head"
        yield Concession(shape, f"the draft {called} in {dtype} instead of {head.dtype}")
    if head is not None and request.head_may_go:
        shape = replace(shape, draft=None)
        yield Concession(shape, f"drafts from the conversation (ngram) instead of the {head.kind} head")
    for full in range(shape.rows - 1, 0, -1):
        shape = replace(shape, full_rows=full)
        if full == 1 or fitted(shape, cap):
            yield Concession(shape, f"memory for {full} of {shape.rows} conversations at full length: others wait then")


def shorter_context(shape: Shape, profile: Profile, request: PlanRequest, cap: int) -> Concession | None:
    """The shape with the longest context that fits, or the profile's minimum where that does not; None where the user
    set it or it is as short already."""
    minimum, before = min(profile.context_minimum, shape.spec.max_context), shape.context
    if request.context or before <= minimum:
        return None
    context = largest_context(replace(shape, allocate_at_load=True), cap, before)
    # Whole steps of the arena: the slots of a step that is begun are paid for anyway.
    whole = (context + shape.nodes) // shape.growth * shape.growth - shape.nodes
    shape = replace(shape, context=max(minimum, min(before, whole)))
    return Concession(shape, f"a context of {shape.context} tokens instead of {before}")


def smaller_heads(head: DraftShape | None) -> tuple[Dtype, ...]:
    """Precisions that a draft may go down to, one after the other."""
    if head is None or head.dtype in QUANTISED:
        return ()
    return ("bf16", "q8") if head.dtype == "fp32" else ("q8",)


def other_precisions(shape: Shape, device: DeviceInfo, profile: Profile, request: PlanRequest) -> Iterator[Shape]:
    """The same with weights in the smaller precisions that the profile allows; none where the user set one."""
    for precision in profile.precisions if request.dtype is None else ():
        smaller = in_precision(shape, precision, device)
        if is_smaller(smaller, shape) and runs(smaller):
            yield smaller


def in_precision(shape: Shape, precision: str, device: DeviceInfo) -> Shape:
    """The shape with its weights in another precision; raises UsageError where there is no such precision."""
    known: tuple[Dtype, ...] = get_args(Dtype)
    for dtype in known:
        if dtype == precision:
            return replace(shape, dtype=dtype, compute=compute_dtype(dtype, device))
    raise UsageError(f"{precision!r} is not a precision", f"known are {', '.join(known)}")


def is_smaller(shape: Shape, than: Shape) -> bool:
    """The weights of the target take fewer bytes."""
    return footprint(shape).target_weights < footprint(than).target_weights


def runs(shape: Shape) -> bool:
    """What cannot be carried out is never chosen or named."""
    if shape.dtype not in QUANTISED:
        return True
    return is_fused(shape.spec) and (shape.dtype == "q8" or in_groups(shape.spec, shape.tp))
