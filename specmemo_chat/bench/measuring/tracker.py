"""The exact bytes of live tensors, for measurements: it slows a small model's step to half, so no chat uses it.

Weights packed for oneDNN have no storage that could be seen; they are made before a measurement begins.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that operations inside the block make, while they live: `now` and `peak` bytes.

    What existed before is not counted, unless it is an operation's output for the first time inside (a view of a
    weight is the weight's storage): `known` storages are left out.
    """

    def __init__(self, known: Iterator[torch.Tensor] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        # By the address of the C++ object, which lives as long as the storage does.
        self._known = {tensor.untyped_storage()._cdata for tensor in known or () if _has_storage(tensor)}
        self._live: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and _has_storage(leaf):
                self._count(leaf.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self._known or address in self._live:
            return
        size = storage.nbytes()
        self._live.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, address, size).atexit = False

    def _freed(self, address: int, size: int) -> None:
        self._live.discard(address)
        self.now -= size


def _has_storage(tensor: torch.Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type != "meta"


@dataclass
class Measured:
    """What a block of code took at its peak, in bytes, beyond what stood before it."""

    peak_bytes: int = 0


@contextmanager
def generation_memory(models: tuple[Any, ...], device: str) -> Iterator[Measured]:
    """Measure the peak of all tensors that the block makes; the weights of `models` are not among them.

    On CUDA the allocator's own count is taken, elsewhere the dispatch mode's.
    """
    measured = Measured()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield measured
        measured.peak_bytes = torch.cuda.max_memory_allocated(device) - before
        return
    known = (tensor for model in models for tensor in (*model.parameters(), *model.buffers()))
    with LiveBytes(known) as live:
        yield measured
    measured.peak_bytes = live.peak
