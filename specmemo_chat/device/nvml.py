"""NVIDIA cards and MIG instances, asked through NVML. Every error becomes a sentence with its remedy; torch is not
needed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.limits import SystemMemory
from specmemo_chat.device.nvml_errors import (
    DRIVER_NOT_LOADED,
    FUNCTION_NOT_FOUND,
    LIBRARY_NOT_FOUND,
    NOT_FOUND,
    NOT_SUPPORTED,
    code_of,
    describe,
)
from specmemo_chat.sizes import MIB

# The driver and the desktop take a little more while a program runs.
RESERVE = 128 * MIB

_DRIVER_FILES = ("/dev/nvidiactl", "/proc/driver/nvidia/version")


@dataclass(frozen=True)
class _Card:
    """A GPU, or an instance of a GPU that MIG divides. `gpu` is NVML's number of the GPU; a `handle` of None: the
    driver has lost it."""

    gpu: int
    uuid: str
    handle: Any
    parent: Any = None
    divided: bool = False


def probe_nvidia(system: SystemMemory) -> tuple[list[DeviceInfo], list[str]]:
    """The cards that CUDA_VISIBLE_DEVICES lets this process use, in CUDA's order, and the problems on the way.

    `system` stands in for the memory of a device that has none of its own. A machine without an NVIDIA driver is not a
    problem, unless it has the driver's device files.
    """
    try:
        import pynvml
    except ImportError:
        return [], ["pynvml cannot be imported, so NVIDIA GPUs are not seen: pip install nvidia-ml-py"]
    try:
        with _opened(pynvml):
            return _devices(pynvml, system)
    except pynvml.NVMLError as error:
        if code_of(error) in (DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND) and not _driver_files():
            return [], []
        return [], [describe(error)]


@contextlib.contextmanager
def _opened(nvml: Any) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _driver_files() -> bool:
    return any(os.path.exists(path) for path in _DRIVER_FILES)


def _devices(nvml: Any, system: SystemMemory) -> tuple[list[DeviceInfo], list[str]]:
    driver, count = nvml.nvmlSystemGetDriverVersion(), nvml.nvmlDeviceGetCount()
    problems: list[str] = []
    devices = []
    for index, card in enumerate(_cards(nvml, count, problems)):
        if card.handle is None:
            continue
        try:
            devices.append(_device(nvml, index, card, driver, system, problems))
        except nvml.NVMLError as error:
            problems.append(f"GPU {card.gpu}: {describe(error)}")
    return devices, problems


def process_bytes(index: int, pid: int) -> int | None:
    """Bytes that process `pid` takes of card `index` (CUDA's number), by whatever means: context, late kernels, NCCL.
    None where NVML does not say: in a container it may know processes by other numbers."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        with _opened(pynvml):
            card = _cards(pynvml, pynvml.nvmlDeviceGetCount(), [])[index]
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(card.handle)
            taken = [process.usedGpuMemory for process in running if process.pid == pid]
    except (pynvml.NVMLError, IndexError):
        return None
    return None if not taken or None in taken else sum(taken)


def _cards(nvml: Any, count: int, problems: list[str]) -> list[_Card]:
    """What CUDA enumerates of `count` GPUs, in its order."""
    gpus = [_gpu(nvml, index, problems) for index in range(count)]
    instances = [instance for gpu in gpus if gpu.divided for instance in _instances(nvml, gpu, problems)]
    return _enumerated(gpus, instances, problems)


def _gpu(nvml: Any, index: int, problems: list[str]) -> _Card:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        return _Card(index, nvml.nvmlDeviceGetUUID(handle), handle, divided=_mig_is_on(nvml, handle))
    except nvml.NVMLError as error:
        problems.append(f"GPU {index}: {describe(error)}")
        # Its place stays taken: the numbers of the cards behind it must not move.
        return _Card(index, "", None)


def _mig_is_on(nvml: Any, handle: Any) -> bool:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError as error:
        # Most cards have no MIG, and drivers before 450 do not know the question.
        if code_of(error) in (NOT_SUPPORTED, FUNCTION_NOT_FOUND):
            return False
        raise
    return bool(current)


def _instances(nvml: Any, gpu: _Card, problems: list[str]) -> list[_Card]:
    """The MIG instances of a divided GPU; a problem where there are none, because then CUDA cannot use the GPU."""
    found: list[_Card] = []
    failed = False
    try:
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu.handle)
    except nvml.NVMLError as error:
        problems.append(f"GPU {gpu.gpu} (MIG): {describe(error)}")
        return []
    for index in range(most):
        try:
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu.handle, index)
            found.append(_Card(gpu.gpu, nvml.nvmlDeviceGetUUID(handle), handle, parent=gpu.handle))
        except nvml.NVMLError as error:
            # NOT_FOUND: a place that no instance takes.
            if code_of(error) != NOT_FOUND:
                failed = True
                problems.append(f"GPU {gpu.gpu}, MIG instance {index}: {describe(error)}")
    if not found and not failed:
        problems.append(
            f"GPU {gpu.gpu} is in MIG mode without an instance, so CUDA cannot use it: create one "
            f"(`sudo nvidia-smi mig -i {gpu.gpu} -cgi PROFILE -C`) or leave the mode "
            f"(`sudo nvidia-smi -i {gpu.gpu} -mig 0`)"
        )
    return found


def _enumerated(gpus: Sequence[_Card], instances: Sequence[_Card], problems: list[str]) -> list[_Card]:
    """What CUDA enumerates for this process, in its order.

    A process sees at most one MIG instance, and where it sees one it sees no whole GPU (NVIDIA's MIG user guide,
    "Device Enumeration").
    """
    cards = [*gpus, *instances]
    chosen = visible(os.environ.get("CUDA_VISIBLE_DEVICES"), [card.uuid for card in cards], len(gpus))
    usable: list[_Card] = []
    for card in (cards[index] for index in chosen):
        usable += [instance for instance in instances if instance.gpu == card.gpu] if card.divided else [card]
    first = next((card for card in usable if card.parent is not None), None)
    if first is None:
        return usable
    left_out = len(usable) - 1
    if left_out:
        problems.append(
            f"GPU {first.gpu} is divided by MIG, and a process can use one instance only: {first.uuid} is used, "
            f"{left_out} more {'is' if left_out == 1 else 'are'} not; choose with CUDA_VISIBLE_DEVICES"
        )
    return [first]


def visible(setting: str | None, uuids: Sequence[str], gpus: int | None = None) -> list[int]:
    """Indices of the cards that CUDA_VISIBLE_DEVICES leaves, in its order. The first `gpus` of `uuids` are whole GPUs
    and may be named by number; the others are MIG instances. As in CUDA, the first entry that names no card ends the
    list, a card that is named twice hides all, and so does an empty setting."""
    numbered = len(uuids) if gpus is None else gpus
    if setting is None:
        return list(range(numbered))
    chosen: list[int] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.isdigit() and int(entry) < numbered:
            index = int(entry)
        else:
            named = entry.startswith(("GPU-", "MIG-"))
            matches = [index for index, uuid in enumerate(uuids) if named and uuid.startswith(entry)]
            if len(matches) != 1:
                break
            index = matches[0]
        if index in chosen:
            return []
        chosen.append(index)
    return chosen


def _device(nvml: Any, index: int, card: _Card, driver: str, system: SystemMemory, problems: list[str]) -> DeviceInfo:
    name = nvml.nvmlDeviceGetName(card.handle)
    memory = _memory(nvml, card, name, system, problems)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(card.handle if card.parent is None else card.parent)
    return DeviceInfo(
        index=index,
        kind="cuda",
        name=name,
        uuid=card.uuid,
        total_bytes=memory.total_bytes,
        free_bytes=memory.free_bytes,
        usable_bytes=max(0, memory.free_bytes - RESERVE),
        driver=driver,
        compute_capability=(int(major), int(minor)),
        # NVML gives the bus of the whole GPU; an instance has a part of it that NVML does not say.
        memory_bandwidth=_bandwidth(nvml, card.handle) if card.parent is None else 0,
        native_bf16=(major, minor) >= (8, 0),
    )


def _memory(nvml: Any, card: _Card, name: str, system: SystemMemory, problems: list[str]) -> SystemMemory:
    """A device that shares the system's memory (Jetson, GB10) has none of its own: then the system's counts."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(card.handle)
        return SystemMemory(int(memory.total), int(memory.free))
    except nvml.NVMLError as error:
        if code_of(error) != NOT_SUPPORTED:
            raise
    problems.append(
        f"GPU {card.gpu} ({name}) has no memory of its own that NVML can count: the system's memory is used"
    )
    return system


def _bandwidth(nvml: Any, handle: Any) -> int:
    """Theoretical bytes/s from bus width and memory clock (two transfers a cycle), 0 where NVML does not say."""
    try:
        width = int(nvml.nvmlDeviceGetMemoryBusWidth(handle))
        clock_mhz = int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM))
    except nvml.NVMLError:
        return 0
    return width // 8 * clock_mhz * 1_000_000 * 2
