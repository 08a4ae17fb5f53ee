"""What is given up to fit a cap, in a fixed order: CUDA graphs, prefill chunk, tree, draft head, context, weight
precision."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Dtype
from specmemo_chat.memory.footprint import Shape, footprint, total
from specmemo_chat.memory.inverse import largest_context
from specmemo_chat.memory.request import PlanRequest, bucket, compute_dtype
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
    """The steps in their order; each step's shape contains all the steps before it. Steps that neither fit nor are the
    last of their kind are passed over."""
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
    if head is not None and head.dtype == "fp32":
        shape = replace(shape, draft=replace(head, dtype="bf16"))
        yield Concession(shape, "the draft head in bf16 instead of fp32")
    if head is not None and request.head_may_go:
        shape = replace(shape, draft=None)
        yield Concession(shape, f"drafts from the conversation (ngram) instead of the {head.kind} head")
    for full in range(shape.rows - 1, 0, -1):
        shape = replace(shape, full_rows=full)
        if full == 1 or fitted(shape, cap):
            yield Concession(shape, f"memory for {full} of {shape.rows} conversations at full length: others wait then")
    minimum = min(profile.context_minimum, shape.spec.max_context)
    if not request.context and shape.context > minimum:
        before = shape.context
        context = largest_context(replace(shape, allocate_at_load=True), cap, before)
        # Whole steps of the arena: the slots of a step that is begun are paid for anyway.
        whole = (context + shape.nodes) // shape.growth * shape.growth - shape.nodes
        shape = replace(shape, context=max(minimum, min(before, whole)))
        if shape.context < before:
            yield Concession(shape, f"a context of {shape.context} tokens instead of {before}")


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
    """Quantised weights need bitsandbytes and one worker; what cannot be carried out is never chosen or named."""
    if shape.dtype in BYTES_PER_VALUE:
        return True
    return shape.tp == 1 and importlib.util.find_spec("bitsandbytes") is not None
