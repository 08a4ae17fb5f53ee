"""A device that is not here, as `probe` would describe it."""

from __future__ import annotations

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.profiles import DeviceFacts

# Of a processor that is not here: what a large desktop has.
ABSENT_THREADS = 16


def described_device(facts: DeviceFacts, index: int = 0) -> DeviceInfo:
    """The device of a profile's facts, with all its memory free."""
    capability = facts.compute_capability
    return DeviceInfo(
        index=index,
        kind=facts.kind,
        name=facts.name,
        uuid="",
        total_bytes=facts.memory,
        free_bytes=facts.memory,
        usable_bytes=facts.memory,
        compute_capability=capability,
        memory_bandwidth=facts.bandwidth,
        threads=ABSENT_THREADS if facts.kind == "cpu" else 0,
        native_bf16=facts.kind == "rocm" or (capability is not None and capability >= (8, 0)),
    )
