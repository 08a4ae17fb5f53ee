"""The first import of torch in a process, and how many threads it computes with."""

from __future__ import annotations

import os


def import_torch() -> None:
    """Import torch and let it use the processors that this process may run on (a container may allow fewer than the
    machine has: more threads than processors make every step slower). The workers that torchrun started on a machine
    share them."""
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    torch.set_num_threads(max(1, allowed // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    torch.set_grad_enabled(False)
