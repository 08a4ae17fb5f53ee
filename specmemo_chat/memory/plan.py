"""The solver: a model, a device, a profile and the user's wishes in, a Plan out; or a refusal with the smallest fix.

Concessions are taken in a fixed order until the plan fits: prefill chunk, tree, context (down to the profile's
minimum), weight precision (only those that the profile allows). What the user set is never changed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import PlanError, UsageError
from specmemo_chat.memory.contract import BYTES_PER_VALUE, NODE_BUCKETS, Dtype, Plan
from specmemo_chat.memory.footprint import Shape, footprint, runtime_bytes, total
from specmemo_chat.profiles import Profile
from specmemo_chat.sizes import MIB, format_size

SMALLEST_CONTEXT = 16


@dataclass(frozen=True)
class Wishes:
    """What the user set. 0, None and "auto": not set. `max_memory` is bytes per worker."""

    max_memory: int = 0
    context: int = 0
    dtype: Dtype | None = None
    draft: str = "auto"
    rows: int = 1
    tp: int = 1


@dataclass(frozen=True)
class Outcome:
    """A plan, whether it fits, and (where it does not) the smallest change that would make it fit. `notes` are
    sentences for the user."""

    plan: Plan
    fits: bool
    smallest_fix: str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def sentence(self) -> str:
        """Whether it fits, in one sentence."""
        plan = self.plan
        need, cap = format_size(plan.total_bytes), format_size(plan.cap_bytes)
        each = " a worker" if plan.tp > 1 else ""
        if self.fits:
            return f"It fits here: {need}{each} of {cap}, in {plan.dtype} with {plan.context_tokens} tokens of context."
        return f"It does not fit here: {need}{each} in {plan.dtype} at the least, and the cap is {cap}."


def make_plan(spec: ModelSpec, device: DeviceInfo, profile: Profile, wishes: Wishes | None = None) -> Plan:
    """The plan. Raises PlanError with the smallest fix where it does not fit, UsageError where the wishes make no
    sense for this model."""
    outcome = solve(spec, device, profile, wishes)
    if not outcome.fits:
        raise refusal(spec.name, outcome)
    return outcome.plan


def refusal(name: str, outcome: Outcome) -> PlanError:
    """The error for a plan that does not fit."""
    return PlanError(f"{name}: {outcome.sentence[0].lower()}{outcome.sentence[1:]}", outcome.smallest_fix)


def solve(
    spec: ModelSpec,
    device: DeviceInfo,
    profile: Profile,
    wishes: Wishes | None = None,
    *,
    measured_runtime: int | None = None,
) -> Outcome:
    """Like `make_plan`, but a plan that does not fit is returned too."""
    wishes = wishes or Wishes()
    _check(spec, wishes)
    cap, notes = _cap(device, profile, wishes)
    start = _start(spec, device, profile, wishes, measured_runtime)
    fitted: Shape | None = None
    taken: list[str] = []
    for shape in (start, *_other_precisions(start, device, profile, wishes)):
        taken = [] if shape is start else [f"weights in {shape.dtype} instead of {start.dtype}"]
        fitted = _fitted(shape, cap)
        if fitted is None:
            for step in _concessions(shape, profile, wishes, cap):
                shape = step.shape
                taken.append(step.sentence)
                fitted = _fitted(shape, cap)
                if fitted is not None:
                    break
        if fitted is not None:
            break
    plan = _plan(fitted or replace(shape, allocate_at_load=True), device, profile, wishes, cap, taken)
    if fitted is not None:
        return Outcome(plan, True, None, tuple(notes))
    return Outcome(plan, False, _smallest_fix(shape, plan, device), tuple(notes))


def auto_dtype(device: DeviceInfo) -> Dtype:
    """CUDA: bf16 from compute capability 8.0 on, below it fp16. ROCm bf16, MPS fp16. CPU bf16 where it is native."""
    if device.kind == "cuda":
        return "bf16" if (device.compute_capability or (0, 0)) >= (8, 0) else "fp16"
    if device.kind == "cpu":
        return "bf16" if device.native_bf16 else "fp32"
    return "bf16" if device.kind == "rocm" else "fp16"


def largest_context(shape: Shape, cap: int, limit: int) -> int:
    """The most context tokens, at most `limit`, at which `shape` fits `cap`; 0 where not even the smallest does."""
    if total(replace(shape, context=limit)) <= cap:
        return limit
    low, high = 0, limit  # low fits (or is 0), high does not
    while high - low > 1:
        middle = (low + high) // 2
        if total(replace(shape, context=middle)) <= cap:
            low = middle
        else:
            high = middle
    return low if low >= SMALLEST_CONTEXT else 0


@dataclass(frozen=True)
class _Concession:
    shape: Shape
    sentence: str


def _check(spec: ModelSpec, wishes: Wishes) -> None:
    if wishes.context > spec.max_context:
        raise UsageError(
            f"--ctx-size {wishes.context} is more than {spec.name} was made for ({spec.max_context} tokens)",
            f"give --ctx-size {spec.max_context} or less",
        )
    tp = wishes.tp
    for what, size in (("key-value heads", spec.kv_heads), ("heads", spec.heads), ("MLP columns", spec.intermediate)):
        if size % tp:
            raise UsageError(
                f"{spec.name} cannot be shared out over {tp} workers: it has {size} {what}",
                f"give --gpus {max(n for n in range(1, tp) if spec.kv_heads % n == 0 and spec.intermediate % n == 0)}",
            )
    if tp > 1 and wishes.dtype in ("int8", "nf4"):
        raise UsageError(
            f"--dtype {wishes.dtype} runs on one worker only: bitsandbytes' weights cannot be shared out",
            "leave out --gpus, or use --dtype bf16",
        )


def _cap(device: DeviceInfo, profile: Profile, wishes: Wishes) -> tuple[int, list[str]]:
    """The bytes that a plan may take, and what is to be said about them."""
    if not wishes.max_memory:
        return profile.cap_for(device), []
    if wishes.max_memory <= device.usable_bytes:
        return wishes.max_memory, []
    asked, usable = format_size(wishes.max_memory), format_size(device.usable_bytes)
    return device.usable_bytes, [f"--max-memory {asked} is more than {device.name} can spend: the cap is {usable}"]


def _start(
    spec: ModelSpec, device: DeviceInfo, profile: Profile, wishes: Wishes, measured_runtime: int | None
) -> Shape:
    """The shape that is aimed at, before any concession."""
    dtype = wishes.dtype or auto_dtype(device)
    nodes = profile.tree_nodes if wishes.draft != "none" else 1
    context = wishes.context or min(profile.context, spec.max_context)
    return Shape(
        spec=spec,
        dtype=dtype,
        compute=_compute_dtype(dtype, device),
        context=context,
        nodes=_bucket(nodes),
        chunk=min(profile.prefill_chunk, context),
        runtime=runtime_bytes(device.kind, spec.vocab, measured_runtime),
        rows=wishes.rows,
        tp=wishes.tp,
        growth=profile.growth_tokens,
    )


def _compute_dtype(dtype: Dtype, device: DeviceInfo) -> Dtype:
    """The precision of activations, keys and values: the weights' own, or the device's where they are quantised."""
    if dtype in BYTES_PER_VALUE:
        return dtype
    return auto_dtype(device)


def _bucket(nodes: int) -> int:
    """The largest node bucket that is at most `nodes`."""
    return max(bucket for bucket in NODE_BUCKETS if bucket <= max(1, nodes))


def _fitted(shape: Shape, cap: int) -> Shape | None:
    """The shape as it is, else with the whole arena allocated at load (which spares the transient), else None."""
    return next(
        (candidate for candidate in (shape, replace(shape, allocate_at_load=True)) if total(candidate) <= cap), None
    )


def _other_precisions(start: Shape, device: DeviceInfo, profile: Profile, wishes: Wishes) -> Iterator[Shape]:
    """The same with weights in the smaller precisions that the profile allows; none where the user set one."""
    for precision in profile.precisions if wishes.dtype is None else ():
        smaller = _in_precision(start, precision, device)
        if _is_smaller(smaller, start) and _runs(smaller):
            yield smaller


def _concessions(shape: Shape, profile: Profile, wishes: Wishes, cap: int) -> Iterator[_Concession]:
    """Each step's shape contains all the steps before it."""
    chunk, minimum = shape.chunk, min(shape.chunk, profile.prefill_chunk_minimum)
    while shape.chunk > minimum:
        shape = replace(shape, chunk=max(minimum, shape.chunk // 2))
        if shape.chunk == minimum or _fitted(shape, cap):
            yield _Concession(shape, f"prefill in chunks of {shape.chunk} tokens instead of {chunk}")
    nodes, minimum = shape.nodes, _bucket(profile.tree_nodes_minimum)
    while shape.nodes > minimum:
        shape = replace(shape, nodes=shape.nodes // 2)
        if shape.nodes == minimum or _fitted(shape, cap):
            yield _Concession(shape, f"draft trees of {shape.nodes} nodes instead of {nodes}")
    minimum = min(profile.context_minimum, shape.spec.max_context)
    if not wishes.context and shape.context > minimum:
        before = shape.context
        context = largest_context(replace(shape, allocate_at_load=True), cap, before)
        # Whole steps of the arena: the slots of a step that is begun are paid for anyway.
        whole = (context + shape.nodes) // shape.growth * shape.growth - shape.nodes
        shape = replace(shape, context=max(minimum, min(before, whole)))
        if shape.context < before:
            yield _Concession(shape, f"a context of {shape.context} tokens instead of {before}")


def _in_precision(shape: Shape, precision: str, device: DeviceInfo) -> Shape:
    dtype = _dtype(precision)
    return replace(shape, dtype=dtype, compute=_compute_dtype(dtype, device))


def _is_smaller(shape: Shape, than: Shape) -> bool:
    return footprint(shape)["target_weights"] < footprint(than)["target_weights"]


def _dtype(name: str) -> Dtype:
    for known in ("bf16", "fp16", "fp32", "int8", "nf4"):
        if known == name:
            return known
    raise UsageError(f"{name!r} is not a precision", "known are bf16, fp16, fp32, int8, nf4")


def _runs(shape: Shape) -> bool:
    """Quantised weights need bitsandbytes and one worker; a fix that cannot be carried out is never named."""
    if shape.dtype in BYTES_PER_VALUE:
        return True
    return shape.tp == 1 and importlib.util.find_spec("bitsandbytes") is not None


def _plan(shape: Shape, device: DeviceInfo, profile: Profile, wishes: Wishes, cap: int, concessions: list[str]) -> Plan:
    return Plan(
        model=shape.spec.name,
        target=shape.spec.location,
        device=device.torch_name,
        dtype=shape.dtype,
        context_tokens=shape.context,
        cap_bytes=cap,
        terms=footprint(shape),
        kv_dtype=shape.compute,
        draft_dtype=shape.compute,
        tp=shape.tp,
        rows=shape.rows,
        growth_tokens=shape.growth,
        node_buckets=tuple(bucket for bucket in NODE_BUCKETS if bucket <= shape.nodes),
        tree_depth=profile.tree_depth,
        tree_width=profile.tree_width,
        prefill_chunk=shape.chunk,
        drafters=() if wishes.draft == "none" else ("ngram",),
        allocate_at_load=shape.allocate_at_load,
        concessions=tuple(concessions),
        profile=profile.name,
    )


def _smallest_fix(shape: Shape, plan: Plan, device: DeviceInfo) -> str:
    """The smallest change that would fit: a shorter context, else a higher cap, else a smaller precision, else
    another device or model."""
    packed = replace(shape, allocate_at_load=True)
    context = largest_context(packed, plan.cap_bytes, shape.context)
    if context:
        return f"--ctx-size {context}"
    needed = -(-plan.total_bytes // MIB)
    if needed * MIB <= device.usable_bytes:
        return f"--max-memory {needed}MiB"
    for precision in ("bf16", "int8", "nf4"):
        smaller = _in_precision(packed, precision, device)
        if _runs(smaller) and _is_smaller(smaller, packed) and total(smaller) <= plan.cap_bytes:
            return f"--dtype {precision}"
    more = format_size(plan.total_bytes - plan.cap_bytes)
    return f"{more} more memory on {device.name}, or a smaller model"
