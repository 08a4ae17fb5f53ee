"""Which devices a command uses: what --device and --gpus ask for against what there is."""

from __future__ import annotations

from dataclasses import dataclass

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import Probe
from specmemo_chat.device.torch_build import torch_lacks_cuda
from specmemo_chat.errors import DeviceError, Flag, Remedy, UsageError, Words
from specmemo_chat.sizes import counted

KINDS = ("auto", "cpu", "cuda", "rocm", "mps")


@dataclass(frozen=True)
class Selection:
    """The devices of the workers (one each) and, where `auto` did not get a GPU that is there, why not."""

    devices: tuple[DeviceInfo, ...]
    note: str | None = None

    @property
    def first(self) -> DeviceInfo:
        return self.devices[0]


def check_name(name: str) -> None:
    """Raise UsageError where `name` is nothing that --device can be."""
    kind, _, index = name.partition(":")
    if kind not in KINDS or (index and not index.isdigit()) or (":" in name and not index):
        raise UsageError(f"--device {name} is not known", "give auto, cpu, cuda, cuda:1 or mps")


def select(probe: Probe, name: str, gpus: int = 1, *, model: str = "", plan_profile: str = "") -> Selection:
    """The devices for `--device name --gpus gpus`.

    Raises UsageError where fewer GPUs are there than asked for, DeviceError where an explicit device cannot be used.
    `plan_profile` is the profile that the remedy names for planning without the GPUs.
    """
    check_name(name)
    kind, _, index = name.partition(":")
    if gpus > 1 and kind != "cpu":
        require_gpus(probe, gpus, model=model, plan_profile=plan_profile)
    if kind == "auto":
        return _auto(probe, gpus)
    if kind == "cpu":
        return Selection((probe.cpu,) * gpus)
    found = [device for device in probe.devices if device.kind == kind or (kind == "cuda" and device.kind == "rocm")]
    if index and gpus > 1:
        raise UsageError(f"--device {name} names one device, and --gpus asks for {gpus}", "leave out the index")
    if index:
        found = [device for device in found if device.index == int(index)]
    if len(found) < gpus:
        raise DeviceError(f"--device {name} cannot be used: {_reason(probe, kind)}", *_remedies(probe, kind))
    return Selection(tuple(found[:gpus]))


def require_gpus(probe: Probe, count: int, *, model: str = "", plan_profile: str = "") -> None:
    """Raise UsageError where this machine has fewer than `count` usable GPUs."""
    found = len(probe.gpus)
    if found >= count:
        return
    reason = f" ({probe.problems[0]})" if probe.problems else ""
    command = f"specmemo plan {model} --device {plan_profile} --gpus {count}".replace("  ", " ")
    raise UsageError(
        f"--gpus {count}: {counted(count, 'GPU')} needed, {found} found{reason}",
        Words(f"to plan for {count} GPUs that are not here: {command}", f"in a shell, to plan for them: {command}"),
    )


def _auto(probe: Probe, gpus: int) -> Selection:
    if gpus > 1:
        return Selection(probe.gpus[:gpus])
    device = probe.devices[0]
    note = None
    if device.kind == "cpu" and probe.problems:
        note = f"no GPU is used: {probe.problems[0]}"
    return Selection((device,), note)


def _reason(probe: Probe, kind: str) -> str:
    if probe.problems and kind in ("cuda", "rocm"):
        return probe.problems[0]
    others = [device for device in probe.devices if device.kind == kind]
    if others:
        return f"there are {len(others)} such devices, numbered from 0"
    return {"mps": "this machine has no Apple GPU"}.get(kind, "no GPU was found")


def _remedies(probe: Probe, kind: str) -> tuple[Remedy, ...]:
    if kind == "cuda" and not probe.gpus and torch_lacks_cuda() and probe.problems:
        return "install torch with CUDA", Flag("--device", "cpu")
    listed = "`specmemo probe` lists the devices"
    return Flag("--device", "cpu"), Flag("--device", "auto"), Words(listed, f"in a shell {listed}")
