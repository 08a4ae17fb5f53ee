"""The plans and the computed figures of `bench --memory`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from specmemo_chat.bench.asking.shape_case import ShapeCase, one_layer, replayed_case
from specmemo_chat.bench.measuring.job import MemoryJob, RandomShape
from specmemo_chat.bench.measuring.saving import REPLY_TOKENS, computed_bytes
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.catalog.aliases import bundled_folder, find_alias
from specmemo_chat.catalog.config import read_config, spec_from_folder
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.contract import Dtype, Plan
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.memory.frontier import frontier
from specmemo_chat.memory.plan import Outcome, refusal, solve
from specmemo_chat.memory.request import PlanRequest, auto_dtype, start
from specmemo_chat.memory.throughput import DeviceSpeed, StepTimes, device_speed
from specmemo_chat.profiles import Profile
from specmemo_chat.setup import planning
from specmemo_chat.setup.draft import published_head
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.planning import PlanContext
from specmemo_chat.setup.speeds import measured_speed
from specmemo_chat.speculation.costs import DraftCosts, StepCosts

# Takes the times of steps with a plan, in the measuring process.
Measure = Callable[[Plan, RandomShape | None], dict[str, Any]]
CONTEXTS = (1024, 2048, 4096)
# What a template puts around a message and its reply, about.
TURN_TOKENS = 10
# The paper's model and device.
MODEL, DEVICE = "llama-2-7b-chat", "titan-rtx-24gb"


def memory_job(
    plan: Plan,
    place: PlanContext,
    shape: ShapeCase | None,
    acceptance: str | None,
    choice: ModelChoice,
    talks: Sequence[Talk],
    measure: Measure,
) -> MemoryJob:
    """The job. Without a trained head the model's shape is run with random weights. `capped` is what specmemo does
    under --max-memory, or else under the smallest budget of the frontier that is to keep 96 % of the speed, by the
    step times that `measure` finds.

    Raises PlanError where a plan does not fit, UsageError where no speed can be expected.
    """
    # Computed for MT-Bench's replies, however short they are in the run.
    computed = _computed(conversation_tokens(talks, REPLY_TOKENS), REPLY_TOKENS)
    trained = any(name in ("eagle", "eagle3") for name in plan.drafters) and shape is None
    if shape is None and not trained:
        config = read_config(Path(plan.target))
        shape = replayed_case(f"{plan.model}'s shape", config, one_layer(config), acceptance, place)
    if shape is not None:
        spec, place, name = shape.spec, shape.place, shape.random.name
    else:
        spec, name = spec_from_folder(plan.model, Path(plan.target)), plan.model

    def ready(own: Plan) -> Plan:
        if shape is not None:
            return replace(own, drafters=(shape.kind,))
        return replace(own, target=plan.target, draft=plan.draft)

    context = choice.ctx_size or min(CONTEXTS[0], spec.max_context)
    speed = _speed(place.device, place.profile)
    random = shape.random if shape is not None else None
    times = measure(ready(uncapped(spec, place.device, place.profile, place.request, context).plan), random)
    dtype = place.request.dtype or plan.dtype
    speed = replace(speed, times=measured_times(dtype, times))

    def both(context: int) -> dict[str, Plan]:
        outcomes = capped_and_not(spec, place.device, place.profile, place.request, speed, context)
        return {name: ready(outcome.plan) for name, outcome in outcomes.items()}

    contexts = [size for size in CONTEXTS if size <= spec.max_context]
    return MemoryJob(
        subject=name,
        plans=both(context),
        contexts={size: both(size) for size in contexts},
        computed=computed,
        shape=random,
        times=times,
    )


def measured_times(dtype: Dtype, found: dict[str, Any]) -> StepTimes | None:
    """What `bench.steps.engine_times` found, as the planner reads it; None where there was no time for a step."""
    steps, drafts = StepCosts(), DraftCosts()
    steps.restore(found["steps"])
    drafts.restore(found["drafts"])
    return StepTimes(dtype, steps, drafts) if found["steps"] else None


def uncapped(spec: ModelSpec, device: DeviceInfo, profile: Profile, request: PlanRequest, context: int) -> Outcome:
    """What is planned with all the memory there is."""
    return _fitting(spec, solve(spec, device, profile, replace(request, context=context, max_memory=0)))


def _fitting(spec: ModelSpec, outcome: Outcome) -> Outcome:
    if not outcome.fits:
        raise refusal(spec.name, outcome)
    return outcome


def capped_and_not(
    spec: ModelSpec, device: DeviceInfo, profile: Profile, request: PlanRequest, speed: DeviceSpeed, context: int
) -> dict[str, Outcome]:
    """What is planned for conversations of `context` tokens with all the memory there is, and under the cap."""
    free = replace(request, context=context, max_memory=0)

    def under(cap: int) -> Outcome:
        return solve(spec, device, profile, replace(free, max_memory=cap))

    if request.max_memory:
        capped = under(request.max_memory)
    else:
        aim = start(spec, device, profile, free)
        capped = under(frontier(aim, profile, free, speed).lower_bound.budget)
        if not capped.fits:
            # The frontier gave up a head that the user named and that therefore stays: the least that holds it.
            capped = under(capped.plan.total_bytes)
    return {"uncapped": uncapped(spec, device, profile, request, context), "capped": _fitting(spec, capped)}


def _speed(device: DeviceInfo, profile: Profile) -> DeviceSpeed:
    speed = measured_speed(device, profile)
    if speed is None:
        raise UsageError(
            f"--memory: nothing tells the memory bandwidth of {device.name}, so no cap can be chosen",
            "give one with --max-memory",
        )
    return speed


def conversation_tokens(talks: Sequence[Talk], reply: int) -> list[int]:
    """The length of each conversation, were every reply of `reply` tokens, by the bundled model's tokenizer, whose
    vocabulary is small: another one needs fewer tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundled_folder() / "tokenizer.json"))
    return [sum(len(tokenizer.encode(text).ids) + TURN_TOKENS + reply for text in talk.turns) for talk in talks]


def _computed(lengths: Sequence[int], reply: int) -> dict[str, Any]:
    """Bytes of the paper's model on the paper's device, for the conversation of the median of `lengths` with replies of
    `reply` tokens, and by context for ones that fill it; nothing of it need be here."""
    entry = find_alias(MODEL)
    profile = planning.own_profiles()[DEVICE]
    if entry is None or profile.facts is None:
        return {}
    device = described_device(profile.facts)
    speed = device_speed(device, profile)
    dtype = auto_dtype(device)
    request = PlanRequest(draft=entry.draft, head=head_shape(parse(published_head(entry)), entry.draft, dtype))
    if speed is None:
        return {}
    contexts: dict[str, Any] = {}
    for context in CONTEXTS:
        outcomes = capped_and_not(entry.spec(), device, profile, request, speed, context)
        shapes: Mapping[str, Shape] = {name: outcome.shape for name, outcome in outcomes.items()}
        contexts[str(context)] = computed_bytes(shapes["uncapped"], shapes["capped"]) | {
            "cap_bytes": outcomes["capped"].plan.cap_bytes,
            "tree_nodes": {name: shape.nodes for name, shape in shapes.items()},
        }
    found = {"model": MODEL, "device": DEVICE, "dtype": dtype, "draft": entry.draft, "contexts": contexts}
    if lengths:
        tokens = min(round(statistics.median(lengths)), CONTEXTS[-1])
        context = next(size for size in CONTEXTS if size >= tokens)
        outcomes = capped_and_not(entry.spec(), device, profile, request, speed, context)
        own = computed_bytes(outcomes["uncapped"].shape, outcomes["capped"].shape, tokens, reply)
        found["conversation"] = own | {"tokens": tokens, "context_tokens": context}
    return found
