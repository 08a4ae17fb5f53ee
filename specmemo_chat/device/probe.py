"""What devices this machine has: NVIDIA cards through NVML, AMD and Apple GPUs through a helper process, and always the
CPU. Torch is not imported."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.limits import ContainerMemory, SystemMemory, container_memory, system_memory
from specmemo_chat.device.nvml import probe_nvidia
from specmemo_chat.device.torch_build import torch_build, torch_lacks_cuda
from specmemo_chat.device.torch_devices import probe_torch
from specmemo_chat.sizes import MIB, counted

# What the system and the other programs keep of the memory that is free now.
CPU_RESERVE = 512 * MIB

# Matrix units for bf16: with one of them bf16 is faster than fp32, without it is much slower.
NATIVE_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True)
class Probe:
    """All devices, GPUs first and the CPU last, and what is wrong on the way to them."""

    devices: tuple[DeviceInfo, ...]
    problems: tuple[str, ...] = field(default_factory=tuple)
    container: ContainerMemory | None = None

    @property
    def cpu(self) -> DeviceInfo:
        return self.devices[-1]

    @property
    def gpus(self) -> tuple[DeviceInfo, ...]:
        """The CUDA and ROCm cards."""
        return tuple(device for device in self.devices if device.kind in ("cuda", "rocm"))


def probe() -> Probe:
    """Look at this machine. Never fails: what cannot be read becomes a problem with its remedy."""
    container = container_memory()
    cpu = probe_cpu(container)
    gpus, problems = probe_nvidia(SystemMemory(cpu.total_bytes, cpu.free_bytes))
    if gpus and torch_lacks_cuda():
        problems.append(
            f"{counted(len(gpus), 'NVIDIA GPU')} found, but the installed torch is built without CUDA: "
            "they cannot be used; install torch with CUDA (https://pytorch.org/get-started/locally)"
        )
        gpus = []
    if not gpus:
        others, more = probe_torch(cpu, torch_build())
        gpus, problems = others, [*problems, *more]
    return Probe((*gpus, cpu), tuple(problems), container)


def probe_cpu(container: ContainerMemory | None = None) -> DeviceInfo:
    """The CPU and its memory; a container's limit that is below the machine's memory is the total."""
    memory = system_memory(container)
    total, free = memory.total_bytes, memory.free_bytes
    flags = cpu_flags()
    return DeviceInfo(
        index=0,
        kind="cpu",
        name=cpu_name(),
        uuid="cpu",
        total_bytes=total,
        free_bytes=free,
        usable_bytes=max(0, free - min(CPU_RESERVE, total // 16)),
        driver=platform.release(),
        native_bf16=bool(flags & NATIVE_BF16_FLAGS),
        threads=cpu_threads(),
        tiles="amx_bf16" in flags,
    )


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "CPU"


def cpu_flags() -> frozenset[str]:
    """The instruction sets of /proc/cpuinfo; empty where the system has no such file."""
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def cpu_threads() -> int:
    """Processors that this process may run on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
