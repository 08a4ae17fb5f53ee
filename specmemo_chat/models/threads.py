"""The first import of torch in a process, and how many threads it computes with."""

from __future__ import annotations

import os

_WISH = "OMP_NUM_THREADS"


def threads_each(workers: int) -> int:
    """How many threads each of `workers` processes of this machine computes with: they share the processors that this
    process may run on (a container may allow fewer than the machine has: more threads than processors make every step
    slower), and OMP_NUM_THREADS, where somebody set it, is a limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    share = max(1, allowed // workers)
    wish = os.environ.get(_WISH, "").split(",")[0]
    return min(share, int(wish)) if wish.isdecimal() and int(wish) else share


def limit_workers(workers: int) -> None:
    """Tell the processes that torchrun starts: by itself it gives each of them one thread."""
    os.environ[_WISH] = str(threads_each(workers))


# So many at the least: reorders and the like are products too.
_LEAST_PRODUCTS = 16


def import_torch(products: int | None = None) -> None:
    """Import torch and let it use the threads that are this process's. oneDNN and what torch has before it keep
    `products` prepared (None: what they do by themselves): they are told before they are there."""
    if products is not None:
        for cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
            os.environ[cache] = str(max(products, _LEAST_PRODUCTS))
    import torch

    torch.set_num_threads(threads_each(int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    torch.set_grad_enabled(False)
