"""The plans and the computed figures of `bench --memory`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from specmemo_chat.bench.job import MemoryJob
from specmemo_chat.bench.saving import computed_bytes
from specmemo_chat.catalog.aliases import find_alias
from specmemo_chat.catalog.config import read_config, spec_from_folder
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.cli import setup
from specmemo_chat.cli.bench_shape import ShapeCase, one_layer, replayed_case
from specmemo_chat.cli.options import ModelChoice
from specmemo_chat.cli.plan_draft import published_head
from specmemo_chat.cli.setup import Situation
from specmemo_chat.device.cpu_speed import measure_bandwidth, measure_compute
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import cpu_threads
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.memory.frontier import frontier
from specmemo_chat.memory.plan import Outcome, refusal, solve
from specmemo_chat.memory.throughput import DeviceSpeed, device_speed
from specmemo_chat.memory.wishes import Wishes, auto_dtype, start
from specmemo_chat.profiles import Profile

CONTEXTS = (1024, 2048, 4096)
# The paper's model and device.
MODEL, DEVICE = "llama-2-7b-chat", "titan-rtx-24gb"


def memory_job(
    plan: Plan, place: Situation, shape: ShapeCase | None, acceptance: str | None, choice: ModelChoice
) -> MemoryJob:
    """The job. Without a trained head the model's shape is run with random weights. `capped` is what specmemo does
    under --max-memory, or else under the smallest budget of the frontier that is to keep 96 % of the speed.

    Raises PlanError where a plan does not fit, UsageError where no speed can be expected.
    """
    trained = any(name in ("eagle", "eagle3") for name in plan.drafters) and shape is None
    if shape is None and not trained:
        config = read_config(Path(plan.target))
        shape = replayed_case(f"{plan.model}'s shape", config, one_layer(config), acceptance, place)
    if shape is not None:
        spec, place, name = shape.spec, shape.place, shape.random.name
    else:
        spec, name = spec_from_folder(plan.model, Path(plan.target)), plan.model
    speed = _speed(place.device, place.profile)

    def both(context: int) -> dict[str, Plan]:
        outcomes = capped_and_not(spec, place.device, place.profile, place.wishes, speed, context)
        plans = {name: outcome.plan for name, outcome in outcomes.items()}
        if shape is not None:
            return {name: replace(own, drafters=(shape.kind,)) for name, own in plans.items()}
        return {name: replace(own, target=plan.target, draft=plan.draft) for name, own in plans.items()}

    contexts = [size for size in CONTEXTS if size <= spec.max_context]
    return MemoryJob(
        subject=name,
        plans=both(choice.ctx_size or min(CONTEXTS[0], spec.max_context)),
        contexts={size: both(size) for size in contexts},
        computed=_computed(),
        shape=shape.random if shape is not None else None,
    )


def capped_and_not(
    spec: ModelSpec, device: DeviceInfo, profile: Profile, wishes: Wishes, speed: DeviceSpeed, context: int
) -> dict[str, Outcome]:
    """What is planned for conversations of `context` tokens with all the memory there is, and under the cap."""
    free = replace(wishes, context=context, max_memory=0)

    def under(cap: int) -> Outcome:
        return solve(spec, device, profile, replace(free, max_memory=cap))

    if wishes.max_memory:
        capped = under(wishes.max_memory)
    else:
        aim = start(spec, device, profile, free, None)
        capped = under(frontier(aim, device, profile, free, speed).lower_bound.budget)
        if not capped.fits:
            # The frontier gave up a head that the user named and that therefore stays: the least that holds it.
            capped = under(capped.plan.total_bytes)
    found = {"uncapped": under(0), "capped": capped}
    for outcome in found.values():
        if not outcome.fits:
            raise refusal(spec.name, outcome)
    return found


def _speed(device: DeviceInfo, profile: Profile) -> DeviceSpeed:
    speed = device_speed(device, profile)
    if speed is not None:
        return speed
    if device.kind != "cpu":
        raise UsageError(
            f"--memory: nothing tells the memory bandwidth of {device.name}, so no cap can be chosen",
            "give one with --max-memory",
        )
    bandwidth = measure_bandwidth(cpu_threads(), device.free_bytes)
    return DeviceSpeed("cpu", bandwidth, measure_compute(), "this processor as measured just now")


def _computed() -> dict[str, Any]:
    """Bytes of the paper's model on the paper's device, by context; nothing of it need be here."""
    entry = find_alias(MODEL)
    profile = setup.own_profiles()[DEVICE]
    if entry is None or profile.facts is None:
        return {}
    device = described_device(profile.facts)
    speed = device_speed(device, profile)
    dtype = auto_dtype(device)
    wishes = Wishes(draft=entry.draft, head=head_shape(parse(published_head(entry)), entry.draft, dtype))
    if speed is None:
        return {}
    contexts: dict[str, Any] = {}
    for context in CONTEXTS:
        outcomes = capped_and_not(entry.spec(), device, profile, wishes, speed, context)
        shapes: Mapping[str, Shape] = {name: outcome.shape for name, outcome in outcomes.items()}
        contexts[str(context)] = computed_bytes(shapes["uncapped"], shapes["capped"]) | {
            "cap_bytes": outcomes["capped"].plan.cap_bytes,
            "tree_nodes": {name: shape.nodes for name, shape in shapes.items()},
        }
    return {"model": MODEL, "device": DEVICE, "dtype": dtype, "draft": entry.draft, "contexts": contexts}
