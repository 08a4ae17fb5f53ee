"""The devices that share one model: they must be alike, and the tightest of them decides the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.sizes import format_size

# Two cards of one model may report totals that differ by a reserved page or two.
_ALIKE = 0.05


def tightest(devices: Sequence[DeviceInfo]) -> DeviceInfo:
    """The device to plan for: the first of `devices` with the least free memory of all, because every worker gets the
    same share of the model. Raises UsageError where the devices differ: the faster ones would wait for the slowest in
    every layer, and the larger ones' memory would lie idle.
    """
    first = devices[0]
    for other in devices[1:]:
        differ = (other.kind, other.name, other.compute_capability) != (
            first.kind,
            first.name,
            first.compute_capability,
        )
        if differ or abs(other.total_bytes - first.total_bytes) > _ALIKE * first.total_bytes:
            raise UsageError(
                f"--gpus {len(devices)}: the devices differ: {_described(first)} and {_described(other)}, and every "
                "worker gets the same share of the model",
                "choose equal ones with CUDA_VISIBLE_DEVICES",
                Flag("--gpus", "1"),
            )
    return replace(
        first,
        free_bytes=min(device.free_bytes for device in devices),
        usable_bytes=min(device.usable_bytes for device in devices),
        total_bytes=min(device.total_bytes for device in devices),
    )


def _described(device: DeviceInfo) -> str:
    return f"{device.name} ({device.torch_name}, {format_size(device.total_bytes)})"
