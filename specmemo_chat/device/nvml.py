"""NVIDIA cards, asked through NVML. Every error becomes a sentence with its remedy; torch is not needed."""

from __future__ import annotations

import os
from typing import Any

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.sizes import MIB

# The driver and the desktop take a little more while a program runs.
RESERVE = 128 * MIB

# NVML's return codes (nvml.h) that users meet, and what helps.
REMEDIES = {
    2: "the NVML library refuses this program's request: update nvidia-ml-py",
    3: "this device does not support the question: nothing to mend",
    4: "no permission to ask the NVIDIA driver: add this user to the group of /dev/nvidia* (often `video`), "
    "or start the container with --gpus all",
    8: "the GPU has no external power: check its power cables",
    9: "the NVIDIA driver is not loaded: `sudo modprobe nvidia`, or install the driver",
    10: "the driver does not answer in time: look into `dmesg` for Xid errors, restart the machine",
    12: "libnvidia-ml.so is not found: install the NVIDIA driver's user-space package",
    13: "libnvidia-ml.so is too old for this program: update the NVIDIA driver",
    15: "the GPU has fallen off the bus: restart the machine; if it comes back, check power and seating",
    16: "the GPU needs a reset: `sudo nvidia-smi --gpu-reset`, or restart the machine",
    17: "the operating system has blocked the GPU: check the control group's device list",
    18: "the NVIDIA driver and libnvidia-ml.so have different versions (usual after an upgrade): restart the machine",
    20: "too little memory for the NVIDIA driver: close other programs",
    999: "the NVIDIA driver reports an unknown error: look into `dmesg`, restart the machine",
}

_NOT_SUPPORTED = 3
_NO_DRIVER = (9, 12)


def probe_nvidia() -> tuple[list[DeviceInfo], list[str]]:
    """The cards that CUDA_VISIBLE_DEVICES lets this process use, in CUDA's order, and the problems on the way.

    A machine without an NVIDIA driver is not a problem, unless it has the driver's device files.
    """
    try:
        import pynvml
    except ImportError:
        return [], ["pynvml cannot be imported, so NVIDIA GPUs are not seen: pip install nvidia-ml-py"]
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        code = int(getattr(error, "value", 999))
        if code in _NO_DRIVER and not _driver_files():
            return [], []
        return [], [describe(error)]
    try:
        return _devices(pynvml)
    finally:
        pynvml.nvmlShutdown()


def describe(error: Any) -> str:
    """An NVML error with its code and its remedy."""
    code = int(getattr(error, "value", 999))
    return f"NVML error {code} ({error}): {REMEDIES.get(code, 'look into `dmesg`, restart the machine')}"


def _driver_files() -> bool:
    return os.path.exists("/dev/nvidiactl") or os.path.exists("/proc/driver/nvidia/version")


def _devices(nvml: Any) -> tuple[list[DeviceInfo], list[str]]:
    problems: list[str] = []
    cards: list[tuple[str, Any]] = []
    try:
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return [], [describe(error)]
    for index in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            cards.append((_text(nvml.nvmlDeviceGetUUID(handle)), handle))
        except nvml.NVMLError as error:
            problems.append(f"GPU {index}: {describe(error)}")
            # Its place stays taken: the numbers of the cards behind it must not move.
            cards.append(("", None))
    devices = []
    for visible_index, index in enumerate(visible(os.environ.get("CUDA_VISIBLE_DEVICES"), [uuid for uuid, _ in cards])):
        uuid, handle = cards[index]
        if handle is None:
            continue
        try:
            devices.append(_device(nvml, visible_index, uuid, handle, driver, problems))
        except nvml.NVMLError as error:
            problems.append(f"GPU {index}: {describe(error)}")
    return devices, problems


def visible(setting: str | None, uuids: list[str]) -> list[int]:
    """Indices of the cards that CUDA_VISIBLE_DEVICES leaves, in its order. As in CUDA, the first entry that names no
    card ends the list; an empty setting hides all."""
    if setting is None:
        return list(range(len(uuids)))
    chosen: list[int] = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.isdigit() and int(entry) < len(uuids):
            index = int(entry)
        else:
            matches = [index for index, uuid in enumerate(uuids) if entry.startswith("GPU-") and uuid.startswith(entry)]
            if len(matches) != 1:
                break
            index = matches[0]
        if index in chosen:
            return []
        chosen.append(index)
    return chosen


def _device(nvml: Any, index: int, uuid: str, handle: Any, driver: str, problems: list[str]) -> DeviceInfo:
    name = _text(nvml.nvmlDeviceGetName(handle))
    total, free = _memory(nvml, handle, index, name, problems)
    capability = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return DeviceInfo(
        index=index,
        kind="cuda",
        name=name,
        uuid=uuid,
        total_bytes=total,
        free_bytes=free,
        usable_bytes=max(0, free - RESERVE),
        driver=driver,
        compute_capability=(int(capability[0]), int(capability[1])),
        memory_bandwidth=_bandwidth(nvml, handle),
        native_bf16=tuple(capability) >= (8, 0),
    )


def _memory(nvml: Any, handle: Any, index: int, name: str, problems: list[str]) -> tuple[int, int]:
    """(total, free) bytes. A device that shares the system's memory has none of its own: then the system's counts."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return int(memory.total), int(memory.free)
    except nvml.NVMLError as error:
        if int(getattr(error, "value", 999)) != _NOT_SUPPORTED:
            raise
    import psutil

    system = psutil.virtual_memory()
    problems.append(f"GPU {index} ({name}) has no memory of its own that NVML can count: the system's memory is used")
    return int(system.total), int(system.available)


def _bandwidth(nvml: Any, handle: Any) -> int:
    """Theoretical bytes/s from bus width and memory clock (two transfers a cycle), 0 where NVML does not say."""
    try:
        width = int(nvml.nvmlDeviceGetMemoryBusWidth(handle))
        clock_mhz = int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM))
    except nvml.NVMLError:
        return 0
    return width // 8 * clock_mhz * 1_000_000 * 2


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
