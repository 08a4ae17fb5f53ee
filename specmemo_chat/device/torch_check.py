"""Tries what a worker needs of torch. Runs as a process of its own (`python -m specmemo_chat.device.torch_check`) and
prints one JSON object, because the terminal's process never imports torch.

    {"version", "cuda", "hip", "cuda_available", "devices": [{"name", "capability", "problem"}],
     "gloo": {"available", "problem"}, "nccl": {"available", "version", "problem"}}

A `problem` is "" where the thing works.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import Any


def report(torch: Any, distributed: Any) -> dict[str, Any]:
    """What `torch` and `torch.distributed` can do here; every device multiplies two matrices."""
    available = bool(torch.cuda.is_available())
    devices = [_device(torch, index) for index in range(torch.cuda.device_count())] if available else []
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


def _device(torch: Any, index: int) -> dict[str, Any]:
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
    print(json.dumps(report(importlib.import_module("torch"), importlib.import_module("torch.distributed"))))
