"""Workers share a model in equal parts: the devices must be alike, and the tightest of them decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.workers import tightest
from specmemo_chat.sizes import GIB

CARD = DeviceInfo(0, "cuda", "NVIDIA H100", "GPU-0", 80 * GIB, 79 * GIB, 78 * GIB, compute_capability=(9, 0))


def test_the_least_memory_of_all_is_planned_with() -> None:
    other = replace(CARD, index=1, uuid="GPU-1", total_bytes=79 * GIB, free_bytes=40 * GIB, usable_bytes=39 * GIB)
    planned = tightest([CARD, other])
    assert (planned.index, planned.total_bytes) == (0, 79 * GIB)
    assert (planned.free_bytes, planned.usable_bytes) == (40 * GIB, 39 * GIB)
    assert tightest([CARD]) == CARD


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "NVIDIA A100", "compute_capability": (8, 0)},
        {"compute_capability": (8, 0)},
        {"kind": "rocm"},
        {"total_bytes": 60 * GIB},
    ],
)
def test_devices_that_differ_are_refused_with_both_named(changes: dict[str, object]) -> None:
    other = replace(CARD, index=3, uuid="GPU-3", **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"--gpus 3: the devices differ: .*cuda:0.* and .*cuda:3") as caught:
        tightest([CARD, replace(CARD, index=1), other])
    assert "CUDA_VISIBLE_DEVICES" in (caught.value.remedy or "")
