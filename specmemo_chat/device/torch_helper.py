"""Asks torch: `python -m specmemo_chat.device.torch_helper devices` or `check`, a process of its own because the
terminal's never imports torch. It prints one JSON object.

    devices: {"devices": [{"index", "kind": "rocm|mps", "name", "uuid", "total_bytes", "free_bytes", "driver",
                           "memory_bandwidth"}], "problems": [...]}
    check: {"version", "cuda", "hip", "cuda_available", "devices": [{"name", "capability", "problem"}],
            "gloo": {"available", "problem"}, "nccl": {"available", "version", "problem"}}

A `problem` is "" where the thing works.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from typing import Any


def devices(torch: Any) -> dict[str, Any]:
    """What `torch` says of ROCm and Metal devices; bytes are integers, the bandwidth bytes/s (0: not said)."""
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    if torch.version.hip:
        if torch.cuda.is_available():
            found += [_rocm(torch, index) for index in range(torch.cuda.device_count())]
        else:
            problems.append(
                "torch finds no AMD GPU, although the driver is loaded: `rocminfo` should list it; check "
                "HIP_VISIBLE_DEVICES and the groups `render` and `video`"
            )
    if sys.platform == "darwin":
        if torch.backends.mps.is_available():
            found.append(_mps(torch))
        else:
            reason = "needs macOS 14 or later" if torch.backends.mps.is_built() else "is not part of this torch"
            problems.append(f"the Apple GPU is not used: torch's Metal backend {reason}")
    return {"devices": found, "problems": problems}


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


def check(torch: Any, distributed: Any) -> dict[str, Any]:
    """What `torch` and `torch.distributed` can do here; every device multiplies two matrices."""
    available = bool(torch.cuda.is_available())
    devices = [_tried(torch, index) for index in range(torch.cuda.device_count())] if available else []
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "hip": torch.version.hip or "",
        "cuda_available": available,
        "devices": devices,
        "gloo": _backend(distributed, "gloo", distributed.is_available() and distributed.is_gloo_available()),
        "nccl": {
            **_backend(distributed, "nccl", available and distributed.is_nccl_available()),
            "version": ".".join(map(str, torch.cuda.nccl.version())) if available else "",
        },
    }


def _tried(torch: Any, index: int) -> dict[str, Any]:
    problem = ""
    try:
        ones = torch.ones(64, 64, device=f"cuda:{index}")
        if float((ones @ ones).sum()) != 64.0**3:
            problem = "it multiplies wrongly"
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[0]
    capability = torch.cuda.get_device_capability(index)
    return {
        "name": torch.cuda.get_device_name(index),
        "capability": f"{capability[0]}.{capability[1]}",
        "problem": problem,
    }


def _backend(distributed: Any, name: str, available: bool) -> dict[str, Any]:
    """One process in a group of its own: that shows whether the backend can open its connections."""
    problem = ""
    if available:
        try:
            distributed.init_process_group(name, store=distributed.HashStore(), rank=0, world_size=1)
            distributed.destroy_process_group()
        except (RuntimeError, ValueError, OSError) as error:
            # gloo begins with the place in its own source.
            problem = re.sub(r"^\[enforce fail at [^]]*\] ", "", str(error).strip()).splitlines()[0]
    return {"available": bool(available), "problem": problem}


if __name__ == "__main__":
    # By name: an import statement here would count as the terminal's importing torch.
    torch = importlib.import_module("torch")
    wanted = sys.argv[1] == "check"
    print(json.dumps(check(torch, importlib.import_module("torch.distributed")) if wanted else devices(torch)))
