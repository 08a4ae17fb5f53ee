"""Asks torch for its devices. Runs as a process of its own (`python -m specmemo_chat.device.torch_helper`) and prints
one JSON object, because the terminal's process never imports torch.

    {"devices": [{"index", "kind": "rocm|mps", "name", "uuid", "total_bytes", "free_bytes", "driver",
                  "memory_bandwidth"}], "problems": [...]}
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def report(torch: Any) -> dict[str, Any]:
    """What `torch` says of ROCm and Metal devices; bytes are integers, the bandwidth bytes/s (0: not said)."""
    devices: list[dict[str, Any]] = []
    problems: list[str] = []
    if torch.version.hip:
        if torch.cuda.is_available():
            devices += [_rocm(torch, index) for index in range(torch.cuda.device_count())]
        else:
            problems.append(
                "torch finds no AMD GPU, although the driver is loaded: `rocminfo` should list it; check "
                "HIP_VISIBLE_DEVICES and the groups `render` and `video`"
            )
    if sys.platform == "darwin":
        if torch.backends.mps.is_available():
            devices.append(_mps(torch))
        else:
            reason = "needs macOS 14 or later" if torch.backends.mps.is_built() else "is not part of this torch"
            problems.append(f"the Apple GPU is not used: torch's Metal backend {reason}")
    return {"devices": devices, "problems": problems}


def _rocm(torch: Any, index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    # Kilohertz and bits; two transfers a cycle. Older versions of torch do not say.
    clock, width = getattr(properties, "memory_clock_rate", 0), getattr(properties, "memory_bus_width", 0)
    return {
        "index": index,
        "kind": "rocm",
        "name": str(properties.name),
        "uuid": str(getattr(properties, "uuid", "")),
        "total_bytes": int(total),
        "free_bytes": int(free),
        "driver": f"HIP {torch.version.hip}",
        "memory_bandwidth": int(clock) * 1000 * (int(width) // 8) * 2,
    }


def _mps(torch: Any) -> dict[str, Any]:
    """Metal's recommended working set is the most that the GPU should take of the shared memory."""
    most = int(torch.mps.recommended_max_memory())
    return {
        "index": 0,
        "kind": "mps",
        "name": "",
        "uuid": "mps",
        "total_bytes": most,
        "free_bytes": max(0, most - int(torch.mps.driver_allocated_memory())),
        "driver": "Metal",
        "memory_bandwidth": 0,
    }


if __name__ == "__main__":
    # By name: an import statement here would count as the terminal's importing torch.
    print(json.dumps(report(importlib.import_module("torch"))))
