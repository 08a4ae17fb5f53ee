"""How fast a device is expected to be: what its driver or a profile says, and of this processor what was measured."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import platformdirs

from specmemo_chat.device.cpu_speed import measure_bandwidth, measure_compute
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import cpu_name, cpu_threads
from specmemo_chat.device.torch_devices import ask_torch
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.faster import Faster, faster_precisions
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.rates import Rates, keep_rates, kept_rates, rates_file, read_rates
from specmemo_chat.memory.throughput import DeviceSpeed, StepTimes, device_speed
from specmemo_chat.profiles import Profile
from specmemo_chat.setup.planning import APP
from specmemo_chat.speculation.cost_file import config_hash, find

_HELPER = (sys.executable, "-m", "specmemo_chat.models.matrices.rates")
# The import of torch takes seconds on a cold disk.
_TIMEOUT_S = 60.0
_HERE = "this processor as measured"


def known_speed(device: DeviceInfo, profile: Profile) -> DeviceSpeed | None:
    """What is known without measuring anything; None where nobody knows the bandwidth."""
    told = device_speed(device, profile)
    rates = kept_rates(_file(device)) if told is None and device.kind == "cpu" else None
    return DeviceSpeed("cpu", rates.bandwidth, rates.compute, _HERE, rates=rates) if rates is not None else told


def measured_speed(device: DeviceInfo, profile: Profile, sharing: int = 1) -> DeviceSpeed | None:
    """The same, but this machine's processor is measured where it was not yet; `sharing` workers run on it."""
    speed = known_speed(device, profile)
    if speed is None and device.kind == "cpu":
        rates = measure_rates(device)
        if rates is not None:
            speed = DeviceSpeed("cpu", rates.bandwidth, rates.compute, _HERE, rates=rates)
        else:
            bandwidth = measure_bandwidth(cpu_threads(), device.free_bytes)
            speed = DeviceSpeed("cpu", bandwidth, measure_compute(), f"{_HERE} just now")
    if speed is None or device.kind != "cpu" or sharing == 1:
        return speed
    rates = speed.rates.shared(sharing) if speed.rates is not None else None
    return replace(speed, bandwidth=speed.bandwidth // sharing, compute=speed.compute // sharing, rates=rates)


def times_of(folder: Path | None, device: DeviceInfo, plan: Plan) -> StepTimes | None:
    """What chats with the model in `folder` measured on this device in the plan's precision, if there were any."""
    model = config_hash(folder) if folder is not None else ""
    name = f"cpu: {cpu_name()}" if device.kind == "cpu" else f"cuda: {device.name}"
    cache = platformdirs.user_cache_path(APP, appauthor=False)
    found = find(cache, {"device": name, "model": model, "workers": str(plan.tp)}) if model else None
    if found is None or found[0]["dtype"].split(",")[0] != plan.dtype:
        return None
    return StepTimes(plan.dtype, found[1], found[2])


def faster_here(plan: Plan, outcome: Outcome, device: DeviceInfo, profile: Profile) -> tuple[Faster, ...]:
    """Precisions that would be faster, by what is known without measuring anything."""
    speed = known_speed(device, profile)
    if speed is not None:
        speed = replace(speed, times=times_of(Path(plan.target), device, plan))
    return faster_precisions(outcome, device, profile, speed)


def measure_rates(device: DeviceInfo) -> Rates | None:
    """This processor's products, measured now and kept for the next time; None where torch cannot be asked."""
    values, failure = ask_torch((*_HELPER, str(device.native_bf16)), {"products", "bandwidth", "compute"}, _TIMEOUT_S)
    rates = None if failure else read_rates(values)
    if rates is not None:
        keep_rates(_file(device), rates)
    return rates


def _file(device: DeviceInfo) -> Path:
    return rates_file(platformdirs.user_cache_path(APP, appauthor=False), device)
