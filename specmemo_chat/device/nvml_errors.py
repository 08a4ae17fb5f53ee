"""NVML's error codes (nvml.h, `nvmlReturn_t`), each with what helps."""

from __future__ import annotations

from typing import Any

NOT_SUPPORTED = 3
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
UNKNOWN = 999

_REPORT = "run again; if it stays, report it with the output of `nvidia-smi -q`"
_UPDATE_PYTHON = "update the Python package: pip install -U nvidia-ml-py"
_UPDATE_DRIVER = "update the NVIDIA driver"
_RESET = "`sudo nvidia-smi --gpu-reset`, or restart the machine"

REMEDIES = {
    1: _REPORT,
    2: _UPDATE_PYTHON,
    NOT_SUPPORTED: "this device cannot answer the question: nothing to mend",
    4: "add this user to the group that owns /dev/nvidia* (often `video`), or start the container with --gpus all; "
    "for a MIG instance, let the container see it (NVIDIA_VISIBLE_DEVICES)",
    5: _REPORT,
    NOT_FOUND: "no such device: see `nvidia-smi -L`, and CUDA_VISIBLE_DEVICES",
    7: _UPDATE_PYTHON,
    8: "the GPU has no external power: check its power cables",
    DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded: `sudo modprobe nvidia`, or install the driver",
    10: "the driver does not answer in time: look into `dmesg` for Xid errors, restart the machine",
    11: "the driver gets no interrupts from the GPU: look into `dmesg`, check BIOS and seating, restart the machine",
    LIBRARY_NOT_FOUND: "libnvidia-ml.so is not found: install the NVIDIA driver's user-space package; in a container, "
    "start it with --gpus all",
    FUNCTION_NOT_FOUND: f"libnvidia-ml.so is too old for this program: {_UPDATE_DRIVER}",
    14: "the GPU's infoROM is corrupt: `nvidia-smi -q | grep -i inforom` says where; have the card serviced",
    15: "the GPU has fallen off the bus: restart the machine; if it comes back, check power, cooling and seating",
    16: f"the GPU needs a reset: {_RESET}",
    17: "the operating system has blocked the GPU: check the container's device list (control group) and SELinux",
    18: "the NVIDIA driver and libnvidia-ml.so have different versions (usual after an upgrade): restart the machine; "
    "in a container, start it anew",
    19: "another program holds the GPU for itself: `nvidia-smi` shows which; end it",
    20: "the NVIDIA driver has too little system memory: close other programs",
    21: "the driver has no data yet: run again in a few seconds",
    22: "the virtual GPU does not support ECC: nothing to mend",
    23: "the GPU has no resources left: close programs that use it, see `nvidia-smi`",
    24: "this device cannot answer the question about clocks: nothing to mend",
    25: f"program and driver disagree about a structure: {_UPDATE_PYTHON}, and {_UPDATE_DRIVER}",
    26: _UPDATE_PYTHON,
    27: "the GPU is still starting: run again in a minute",
    28: "the GPU is gone from the bus: check power and seating, restart the machine",
    29: f"the GPU is in a state that does not allow this: {_RESET}",
    30: "restart the machine",
    UNKNOWN: "look into `dmesg` for NVRM and Xid lines, restart the machine",
}


def code_of(error: Any) -> int:
    """The code of a pynvml.NVMLError."""
    return int(getattr(error, "value", UNKNOWN))


def describe(error: Any) -> str:
    """An NVML error as a sentence: name, code, remedy."""
    code = code_of(error)
    return f"NVML error {code} ({error}): {REMEDIES.get(code, REMEDIES[UNKNOWN])}"
