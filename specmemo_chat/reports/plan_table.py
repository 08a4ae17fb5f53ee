"""Makes and shows the plan that `specmemo plan` asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from specmemo_chat.catalog.config import spec_from_file
from specmemo_chat.catalog.resolve import ModelSource, resolve
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import probe
from specmemo_chat.device.select import KINDS, select
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.faster import faster_precisions
from specmemo_chat.memory.frontier import Frontier, frontier
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.report import frontier_json, plan_json
from specmemo_chat.memory.request import start
from specmemo_chat.memory.throughput import DeviceSpeed, Expected, device_speed, expect
from specmemo_chat.memory.workers import tightest
from specmemo_chat.profiles import Profile
from specmemo_chat.setup import planning
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.planning import PlanContext
from specmemo_chat.setup.speeds import measured_speed, times_of
from specmemo_chat.terminal import plan_plot, plan_render
from specmemo_chat.terminal.console import Screen


@dataclass(frozen=True)
class _Place:
    """The devices of the workers, the name to show, how many there are, and whether they are described only."""

    devices: tuple[DeviceInfo, ...]
    shown: str
    available: int
    absent: bool = False

    @property
    def tightest(self) -> DeviceInfo:
        """All workers run the same plan: the one with the least memory decides."""
        return tightest(self.devices)


def show_plan(
    choice: ModelChoice, screen: Screen, *, as_json: bool, frontier: bool = False, picture: Path | None = None
) -> None:
    """Print the table or the object of docs/reference.md, with the frontier where it is asked for, and draw it into the
    file `picture`. Raises PlanError after it where the plan does not fit."""
    request = planning.check_flags(choice)
    if picture is not None:
        plan_plot.check_plot(picture)
    profiles = planning.own_profiles()
    place = _place(choice, profiles, screen)
    policy, reason = _policy(choice, place, profiles)
    request = replace(request, gpus_available=place.available)
    context = planning.plan_context(choice, request, place.tightest, policy, reason)
    source, spec = _model(choice, context)
    context = planning.with_draft(choice, context, source, spec)
    outcome = context.solve(spec)
    if place.absent:
        speed = device_speed(place.tightest, profiles[place.shown])
    else:
        speed = measured_speed(place.tightest, policy, len(place.devices))
    if speed is not None and not place.absent:
        folder = planning.planning_folder(source)
        speed = replace(speed, times=times_of(folder, place.tightest, outcome.plan))
    expected = _expected(outcome, policy, speed)
    faster = faster_precisions(outcome, place.tightest, policy, speed)
    curve = _frontier(outcome, context, speed) if frontier or picture is not None else None
    if as_json:
        values = plan_json(outcome, place.shown, expected, speed, faster)
        screen.print_json(values | (frontier_json(curve) if curve is not None else {}))
    else:
        speeds = plan_render.expected_lines(expected, speed, place.shown, faster) if outcome.fits else ()
        _print(screen, outcome, place, reason, speeds, curve)
    if curve is not None and picture is not None:
        title = f"{spec.name} on {place.shown}, {outcome.plan.context_tokens} tokens of context"
        plan_plot.plot_frontier(curve, title, outcome.plan.cap_bytes, picture)
        screen.note(f"written: {picture}")
    if not outcome.fits:
        raise planning.refuse(source, spec, outcome, context, local=True)


def _print(
    screen: Screen, outcome: Outcome, place: _Place, reason: str, speeds: Iterable[str], curve: Frontier | None
) -> None:
    width = screen.out.width if screen.terminal else 80
    lines: list[Text | str] = list(plan_render.plan_lines(outcome, place.shown, reason, width, color=screen.color))
    lines += speeds
    if len(place.devices) > 1:
        lines += ["", *plan_render.worker_lines(outcome, place.devices)]
    if curve is not None:
        lines += ["", *plan_render.frontier_lines(curve, outcome)]
    for line in lines:
        screen.line(line)


def _model(choice: ModelChoice, context: PlanContext) -> tuple[ModelSource, ModelSpec]:
    """The model's shape; a config file alone is enough."""
    path = Path(choice.model).expanduser()
    if path.suffix.lower() == ".json" and path.is_file():
        spec = spec_from_file(path, any_architecture=choice.trust_remote_code)
        return ModelSource(choice.model, path.parent), spec
    source = resolve(choice.model)
    return source, planning.find_spec(source, planning.planning_folder(source), context)


def _place(choice: ModelChoice, profiles: dict[str, Profile], screen: Screen) -> _Place:
    """The devices to plan for: this machine's, or what a profile describes."""
    if choice.device.partition(":")[0] not in KINDS:
        described = profiles.get(choice.device)
        if described is None or described.facts is None:
            known = ", ".join(profile.name for profile in profiles.values() if profile.facts)
            raise UsageError(
                f"--device {choice.device} is neither a device nor a profile that describes one",
                f"devices: {', '.join(KINDS)}, cuda:1; profiles: {known}",
            )
        devices = tuple(described_device(described.facts, index) for index in range(choice.gpus))
        return _Place(devices, described.name, described.facts.count, absent=True)
    absent = planning.absent_gpus_profile(choice.gpus, profiles)
    found = probe()
    selection = select(found, choice.device, choice.gpus, model=choice.model, plan_profile=absent)
    if selection.note:
        screen.note(selection.note)
    alike = [device for device in found.gpus if device.kind == selection.first.kind]
    return _Place(selection.devices, selection.first.torch_name, max(1, len(alike)))


def _policy(choice: ModelChoice, place: _Place, profiles: dict[str, Profile]) -> tuple[Profile, str]:
    if choice.profile is None and place.absent:
        return profiles[place.shown], "it describes the device"
    return planning.choose_profile(choice.profile, place.tightest, profiles)


def _expected(outcome: Outcome, policy: Profile, speed: DeviceSpeed | None) -> Expected | None:
    if speed is None or not outcome.fits:
        return None
    return expect(outcome.shape, outcome.plan.drafters, policy.tree_depth, policy.tree_width, speed)


def _frontier(outcome: Outcome, context: PlanContext, speed: DeviceSpeed | None) -> Frontier:
    """In the precision of the plan."""
    device, policy, request = context.device, context.profile, replace(context.request, dtype=outcome.plan.dtype)
    if speed is None:
        raise UsageError(
            f"--frontier: nothing tells the memory bandwidth of {device.name}, so no speed can be expected",
            "give a device that a profile describes (--device titan-rtx-24gb), or write a profile with its bandwidth",
        )
    return frontier(start(outcome.shape.spec, device, policy, request), policy, request, speed)
