"""The solver: a model, a device, a profile and the user's request in, a Plan out; or a refusal with the smallest fix.

What the user set is never changed. Concessions are taken in their fixed order until the plan fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import Flag, PlanError
from specmemo_chat.memory.concessions import concessions, fitted, other_precisions, runs, shorter_context
from specmemo_chat.memory.contract import QUANTISED, Dtype, Plan, buckets_of
from specmemo_chat.memory.footprint import Shape, footprint, total
from specmemo_chat.memory.inverse import largest_context
from specmemo_chat.memory.measured import runtime_key
from specmemo_chat.memory.request import PlanRequest, check, in_groups, shares_out, start
from specmemo_chat.profiles import Profile
from specmemo_chat.sizes import MIB, format_size

# A conversation in fewer tokens is hardly one: a higher cap is the smaller change, where the device has it.
USEFUL_CONTEXT = 256

Runtimes = Callable[[str], int | None]


def _unmeasured(_key: str) -> int | None:
    return None


@dataclass(frozen=True)
class Outcome:
    """A plan with the shape it was made from, whether it fits, and (where it does not) the smallest change that would
    make it fit. `notes` are sentences for the user."""

    plan: Plan
    shape: Shape
    fits: bool
    fix: Flag | str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def smallest_fix(self) -> str | None:
        """The fix as the command line reads it."""
        return self.fix.typed if isinstance(self.fix, Flag) else self.fix

    @property
    def sentence(self) -> str:
        """Whether it fits, in one sentence."""
        plan = self.plan
        need, cap = format_size(plan.total_bytes), format_size(plan.cap_bytes)
        each = " a worker" if plan.tp > 1 else ""
        if self.fits:
            return f"It fits here: {need}{each} of {cap}, in {plan.dtype} with {plan.context_tokens} tokens of context."
        return f"It does not fit here: {need}{each} in {plan.dtype} at the least, and the cap is {cap}."


def make_plan(spec: ModelSpec, device: DeviceInfo, profile: Profile, request: PlanRequest | None = None) -> Plan:
    """The plan. Raises PlanError with the smallest fix where it does not fit, UsageError where the request makes no
    sense for this model."""
    outcome = solve(spec, device, profile, request)
    if not outcome.fits:
        raise refusal(spec.name, outcome)
    return outcome.plan


def refusal(name: str, outcome: Outcome) -> PlanError:
    """The error for a plan that does not fit."""
    return PlanError(f"{name}: {outcome.sentence[0].lower()}{outcome.sentence[1:]}", outcome.fix)


def solve(
    spec: ModelSpec,
    device: DeviceInfo,
    profile: Profile,
    request: PlanRequest | None = None,
    *,
    runtimes: Runtimes = _unmeasured,
) -> Outcome:
    """Like `make_plan`, but a plan that does not fit is returned too, with the smallest fix.

    `runtimes` gives the bytes that were measured under a key (memory/measured.py), None where an assumption must do.
    """
    request = request or PlanRequest()
    outcome = _solve(spec, device, profile, request, runtimes)
    if device.unpacks(outcome.plan.dtype):
        slow = f"{device.name} has no kernel for {outcome.plan.dtype}: it saves memory here, and costs speed"
        outcome = replace(outcome, notes=(*outcome.notes, slow))
    if outcome.fits:
        return outcome
    return replace(outcome, fix=_smallest_fix(outcome, device, profile, request, runtimes))


def _solve(spec: ModelSpec, device: DeviceInfo, profile: Profile, request: PlanRequest, runtimes: Runtimes) -> Outcome:
    check(spec, request)
    cap, notes = _cap(device, profile, request)
    aim = start(spec, device, profile, request)
    notes = (*request.notes, *profile.notes, *notes)
    if aim.dtype in QUANTISED and spec.own_precision not in ("", aim.dtype):
        notes = (*notes, f"the file is in {spec.own_precision}: it becomes {aim.dtype} while it loads")
    taken: list[str] = []
    shape = aim
    for precision in (aim, *other_precisions(aim, device, profile, request)):
        measured = runtimes(_runtime_key(device, precision, request))
        shape = wanted = precision if measured is None else replace(precision, runtime=measured, measured=True)
        taken = [] if precision is aim else [f"weights in {wanted.dtype} instead of {aim.dtype}"]
        fit = fitted(shape, cap)
        for step in concessions(wanted, profile, request, cap) if fit is None else ():
            shape, fit = step.shape, fitted(step.shape, cap)
            taken.append(step.sentence)
            if fit is not None:
                break
        if fit is not None:
            return Outcome(_plan(fit, device, profile, request, cap, taken), fit, True, None, notes)
    # A whole context in fewer bits is worth more than a short one (docs/notes/memory.md): it goes last.
    cut = shorter_context(shape, profile, request, cap)
    if cut is not None:
        shape = cut.shape
        taken.append(cut.sentence)
    shape = replace(shape, allocate_at_load=True)
    return Outcome(_plan(shape, device, profile, request, cap, taken), shape, total(shape) <= cap, None, notes)


def _cap(device: DeviceInfo, profile: Profile, request: PlanRequest) -> tuple[int, tuple[str, ...]]:
    """The bytes that each worker may take, and what is to be said about them."""
    # Workers on the processor share one memory; every GPU has its own.
    sharing = request.tp // request.nodes if device.kind == "cpu" else 1
    if not request.max_memory:
        return profile.cap_for(device) // sharing, ()
    usable = device.usable_bytes // sharing
    if request.max_memory <= usable:
        return request.max_memory, ()
    asked, each = format_size(request.max_memory), " to each of its workers" if sharing > 1 else ""
    note = f"--max-memory {asked} is more than {device.name} can give{each}: the cap is {format_size(usable)}"
    return usable, (note,)


def _plan(shape: Shape, device: DeviceInfo, profile: Profile, request: PlanRequest, cap: int, taken: list[str]) -> Plan:
    head = shape.draft
    return Plan(
        model=shape.spec.name,
        target=shape.spec.location,
        device=device.torch_name,
        dtype=shape.dtype,
        context_tokens=shape.context,
        cap_bytes=cap,
        terms=footprint(shape),
        draft=head.spec.location if head is not None else None,
        kv_dtype=shape.compute,
        draft_dtype=head.dtype if head is not None else shape.compute,
        tp=shape.tp,
        rows=shape.rows,
        growth_tokens=shape.growth,
        node_buckets=buckets_of(shape.nodes, device.torch_name),
        tree_depth=profile.tree_depth,
        tree_width=profile.tree_width,
        prefill_chunk=shape.chunk,
        drafters=drafters(shape, request),
        allocate_at_load=shape.allocate_at_load,
        kv_slots=shape.kv_slots,
        concessions=tuple(taken),
        profile=profile.name,
        measured_as=_runtime_key(device, shape, request),
        graphs=shape.graphs,
        graph_bytes=shape.graph_bytes,
        products=shape.products,
    )


def _runtime_key(device: DeviceInfo, shape: Shape, request: PlanRequest) -> str:
    return runtime_key(device, shape.spec, shape.tp, shape.dtype, request.head, shape.products)


def drafters(shape: Shape, request: PlanRequest) -> tuple[str, ...]:
    """The drafters in the order in which they are asked."""
    if request.draft == "none":
        return ()
    return ("ngram",) if shape.draft is None else ("ngram", shape.draft.kind)


def _smallest_fix(
    outcome: Outcome, device: DeviceInfo, profile: Profile, request: PlanRequest, runtimes: Runtimes
) -> Flag | str:
    """The first of these that is solved and fits: a shorter context, a higher cap, a smaller precision, more GPUs, a
    context that is hardly useful; else another device or model."""
    spec, plan = outcome.shape.spec, outcome.plan
    for fix, wanted in _candidates(outcome, device, request):
        if _solve(spec, device, profile, wanted, runtimes).fits:
            return fix
    more = format_size(plan.total_bytes - plan.cap_bytes)
    return f"{more} more memory on {device.name}, or a smaller model"


def _candidates(outcome: Outcome, device: DeviceInfo, request: PlanRequest) -> Iterator[tuple[Flag, PlanRequest]]:
    shape, plan = outcome.shape, outcome.plan
    context = largest_context(shape, plan.cap_bytes, shape.context)
    if context >= USEFUL_CONTEXT:
        yield Flag("--ctx-size", str(context)), replace(request, context=context)
    needed = -(-plan.total_bytes // MIB)
    # What is asked for beyond the device's memory is cut down to it, and then does not fit.
    yield Flag("--max-memory", f"{needed}MiB"), replace(request, max_memory=needed * MIB)
    for dtype in _smaller_precisions(shape):
        yield Flag("--dtype", dtype), replace(request, dtype=dtype)
    for gpus in range(request.tp + 1, request.gpus_available + 1):
        if shares_out(shape.spec, gpus) and (request.dtype != "q4" or in_groups(shape.spec, gpus)):
            yield Flag("--gpus", str(gpus)), replace(request, tp=gpus)
    if context:
        yield Flag("--ctx-size", str(context)), replace(request, context=context)


def _smaller_precisions(shape: Shape) -> Iterator[Dtype]:
    """Precisions that take less than the shape's and that it can run in."""
    order: tuple[Dtype, ...] = ("bf16", *QUANTISED)
    for dtype in order:
        smaller = replace(shape, dtype=dtype)
        if runs(smaller) and total(smaller) < total(shape):
            yield dtype
