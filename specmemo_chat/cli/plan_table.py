"""Makes and shows the plan that `specmemo plan` asks for."""

from __future__ import annotations

import json

from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.cli import setup
from specmemo_chat.cli.console import Screen
from specmemo_chat.cli.options import ModelChoice
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import probe
from specmemo_chat.device.select import KINDS, select
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.report import plan_json, plan_lines
from specmemo_chat.profiles import Profile


def show_plan(choice: ModelChoice, screen: Screen, *, as_json: bool) -> None:
    """Print the table or the object of CONTRACT.md. Raises PlanError after it where the plan does not fit."""
    wishes = setup.check_flags(choice)
    profiles = setup.own_profiles()
    target, shown = _device(choice, profiles, screen)
    policy, reason = _policy(choice, target, shown, profiles)
    place = setup.situation(choice, wishes, target, policy, reason)
    source = resolve(choice.model)
    folder = setup.planning_folder(source)
    spec = setup.find_spec(source, folder, place)
    outcome = place.solve(spec)
    if as_json:
        print(json.dumps(plan_json(outcome, shown), ensure_ascii=False))
    else:
        for line in plan_lines(outcome, shown, reason):
            screen.out.print(line, markup=False)
    if not outcome.fits:
        raise setup.refuse(source, spec, outcome, place, local=True)


def _device(choice: ModelChoice, profiles: dict[str, Profile], screen: Screen) -> tuple[DeviceInfo, str]:
    """The device to plan for and the name to show: one of this machine, or one that a profile describes."""
    if choice.device.partition(":")[0] not in KINDS:
        described = profiles.get(choice.device)
        if described is None or described.facts is None:
            known = ", ".join(profile.name for profile in profiles.values() if profile.facts)
            raise UsageError(
                f"--device {choice.device} is neither a device nor a profile that describes one",
                f"devices: {', '.join(KINDS)}, cuda:1; profiles: {known}",
            )
        return described_device(described.facts), described.name
    absent = setup.absent_gpus_profile(choice.gpus, profiles)
    selection = select(probe(), choice.device, choice.gpus, model=choice.model, plan_profile=absent)
    if selection.note:
        screen.note(selection.note)
    return selection.first, selection.first.torch_name


def _policy(choice: ModelChoice, device: DeviceInfo, shown: str, profiles: dict[str, Profile]) -> tuple[Profile, str]:
    if choice.profile is None and shown in profiles and choice.device == shown and profiles[shown].facts:
        return profiles[shown], "it describes the device"
    return setup.choose_profile(choice.profile, device, profiles)
