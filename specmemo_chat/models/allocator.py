"""What torch's allocator takes of a device, and the limit that it is given. On a CPU the cap counts resident bytes."""

from __future__ import annotations

import os

import torch

from specmemo_chat.device.nvml import process_bytes
from specmemo_chat.device.probe import probe
from specmemo_chat.errors import Flag, PlanError
from specmemo_chat.memory import meter
from specmemo_chat.sizes import MIB, format_size


class DeviceMemory:
    """Bytes that this process takes of `device` ("cpu", "cuda:1", "mps"), now and at its peak, for everything.

    `graph_bytes` are what the driver may take for CUDA graphs: nobody says how much it does, so all of it counts. What
    CUDA takes outside torch's allocator after its context came up (kernels loaded late, NCCL) NVML is asked for once,
    with the first peak after a reset: that of the rehearsal.
    """

    def __init__(self, device: str, graph_bytes: int = 0) -> None:
        self._device = torch.device(device)
        self._graph_bytes = graph_bytes
        self._cap = 0
        self._to_ask = False
        self._asked = self._device.type != "cuda"
        # The context is no tensor: what the device lost while it came up, as near as other processes allow.
        self._context = self._context_bytes() + graph_bytes if self._device.type == "cuda" else 0

    def now(self) -> int:
        kind = self._device.type
        if kind == "cuda":
            return self._context + torch.cuda.memory_reserved(self._device)
        if kind == "mps":
            return torch.mps.driver_allocated_memory()
        return meter.rss_bytes()

    def peak(self) -> int:
        """Since the start or the last `reset_peak()`. Metal keeps no peak: there it is what is taken now."""
        kind = self._device.type
        if kind == "cuda":
            if self._to_ask and not self._asked:
                self._count_late()
            return self._context + torch.cuda.max_memory_reserved(self._device)
        return self.now() if kind == "mps" else meter.peak_rss_bytes()

    def _count_late(self) -> None:
        self._asked = True
        used = process_bytes(self._device.index or 0, os.getpid())
        if used is None:
            return
        outside = used - torch.cuda.memory_reserved(self._device) + self._graph_bytes
        if outside > self._context:
            self._context = outside
            if self._cap > outside:
                self.enforce(self._cap)

    def reset_peak(self) -> None:
        self._to_ask = True
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._device.type == "cpu":
            meter.reset_peak()

    def enforce(self, cap_bytes: int) -> None:
        """Let the allocator refuse what goes beyond the cap. Raises PlanError where the context alone does; nothing
        can be refused on a CPU."""
        kind = self._device.type
        if kind == "cpu" or not cap_bytes:
            return
        self._cap = cap_bytes
        left = cap_bytes - self._context
        if left <= 0:
            raise PlanError(
                f"the device's context alone takes {format_size(self._context)}, and the cap is "
                f"{format_size(cap_bytes)}",
                Flag("--max-memory", f"{self._context // MIB + 1}MiB", "at the very least"),
            )
        if kind == "cuda":
            total = torch.cuda.get_device_properties(self._device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, left / total), self._device)
        else:
            torch.mps.set_per_process_memory_fraction(min(1.0, left / torch.mps.recommended_max_memory()))

    def _context_bytes(self) -> int:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return 0
        index = self._device.index or 0
        # NVML answers without a context of its own.
        before = next((gpu.free_bytes for gpu in probe().gpus if gpu.index == index), 0)
        torch.zeros(1, device=self._device)
        free, _total = torch.cuda.mem_get_info(self._device)
        return max(0, before - free - torch.cuda.memory_reserved(self._device)) if before else 0
