"""What devices this machine has: NVIDIA cards through NVML, the Apple GPU, and always the CPU. Torch is not needed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.limits import ContainerMemory, container_memory
from specmemo_chat.device.nvml import probe_nvidia
from specmemo_chat.sizes import MIB

# What the system and the other programs keep of the memory that is free now.
CPU_RESERVE = 512 * MIB
# The part of Apple's shared memory that the GPU may wire, by default.
MPS_SHARE = (2, 3)

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
    gpus, problems = probe_nvidia()
    if gpus and torch_lacks_cuda():
        problems.append(
            f"{len(gpus)} NVIDIA GPU(s) found, but the installed torch is a CPU build: they cannot be used; "
            "install torch with CUDA (https://pytorch.org/get-started/locally)"
        )
        gpus = []
    container = container_memory()
    cpu = probe_cpu(container)
    apple = [_apple_gpu(cpu)] if sys.platform == "darwin" and platform.machine() == "arm64" else []
    return Probe((*gpus, *apple, cpu), tuple(problems), container)


def probe_cpu(container: ContainerMemory | None = None) -> DeviceInfo:
    """The CPU and its memory; a container's limit that is below the machine's memory is the total."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    if container is not None and container.limit_bytes < total:
        total = container.limit_bytes
        free = min(free, max(0, total - container.used_bytes))
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


def torch_version() -> str:
    """The installed torch's version without importing it, "" where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def torch_lacks_cuda() -> bool:
    """The installed torch says in its version that it was built for the CPU alone."""
    return torch_version().endswith("+cpu")


def _apple_gpu(cpu: DeviceInfo) -> DeviceInfo:
    numerator, denominator = MPS_SHARE
    return DeviceInfo(
        index=0,
        kind="mps",
        name=f"{cpu.name} GPU",
        uuid="mps",
        total_bytes=cpu.total_bytes,
        free_bytes=cpu.free_bytes,
        usable_bytes=min(cpu.usable_bytes, cpu.total_bytes * numerator // denominator),
        driver=platform.mac_ver()[0],
    )
