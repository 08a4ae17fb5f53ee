"""AMD and Apple GPUs, asked through torch in a short-lived helper process, started only where it can find one."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.torch_build import TorchBuild
from specmemo_chat.sizes import GIB, MIB, counted

HELPER = (sys.executable, "-m", "specmemo_chat.device.torch_helper", "devices")
# The import of torch takes seconds on a cold disk; a driver that hangs takes for ever.
TIMEOUT_S = 60.0
RESERVE = 128 * MIB

KFD = Path("/dev/kfd")
DRM = Path("/sys/class/drm")
AMD_VENDOR = "0x1002"
# Below this it is a processor's own graphics, which ROCm seldom runs on.
SMALLEST_CARD = 4 * GIB


def probe_torch(cpu: DeviceInfo, build: TorchBuild | None) -> tuple[list[DeviceInfo], list[str]]:
    """ROCm and Metal devices and the problems on the way. `cpu` bounds what shares the system's memory."""
    if build is None:
        return [], []
    if sys.platform == "darwin":
        # Torch for Intel Macs ended with version 2.2, without a usable Metal backend.
        return ask_helper(cpu) if platform.machine() == "arm64" else ([], [])
    if not build.hip:
        cards = amd_cards()
        if not cards:
            return [], []
        return [], [
            f"{counted(cards, 'AMD GPU')} found, but the installed torch is not a ROCm build: they cannot be used; "
            "install torch for ROCm (https://pytorch.org/get-started/locally)"
        ]
    if not KFD.exists():
        return [], [f"torch is built for ROCm, but {KFD} is missing: `sudo modprobe amdgpu`, or install the driver"]
    if not os.access(KFD, os.R_OK | os.W_OK):
        return [], [
            f"no permission for {KFD}: add this user to the groups `render` and `video`, or start the container with "
            "--device /dev/kfd --device /dev/dri"
        ]
    return ask_helper(cpu)


def amd_cards(root: Path = DRM) -> int:
    """How many AMD cards with memory of their own the system lists."""
    return sum(
        1
        for vendor in root.glob("card[0-9]*/device/vendor")
        if "-" not in vendor.parts[-3]
        and _read(vendor) == AMD_VENDOR
        and int(_read(vendor.with_name("mem_info_vram_total")) or 0) >= SMALLEST_CARD
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def ask_helper(
    cpu: DeviceInfo, command: Sequence[str] = HELPER, timeout_s: float = TIMEOUT_S
) -> tuple[list[DeviceInfo], list[str]]:
    """The helper's devices and problems; a helper that fails or hangs is a problem, never an error."""
    values, failure = ask_torch(command, {"devices", "problems"}, timeout_s)
    try:
        devices = [] if failure else [_device(device, cpu) for device in values["devices"]]
    except (ValueError, KeyError, TypeError) as error:
        failure = f"its answer cannot be read ({error!r})"
    if failure:
        shown = "`python -c 'import torch'` shows why"
        return [], [f"torch cannot be asked ({failure}), so GPUs are not seen: {shown}"]
    return devices, [str(text) for text in values["problems"]]


def ask_torch(command: Sequence[str], wanted: set[str], timeout_s: float) -> tuple[dict[str, Any], str]:
    """What a helper process answers, an object with the keys `wanted`, and ""; or {} and why there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return {}, f"it did not answer within {timeout_s:.0f} s"
    except OSError as error:
        return {}, f"its process cannot be started ({error.strerror})"
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    try:
        # Libraries may greet on standard output; the answer is the last line.
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        if not wanted <= set(answer):
            return {}, "its answer is not complete"
    except (ValueError, IndexError, TypeError) as error:
        return {}, f"its answer cannot be read ({error!r})"
    return answer, ""


def _device(values: dict[str, Any], cpu: DeviceInfo) -> DeviceInfo:
    shared = values["kind"] == "mps"
    free = int(values["free_bytes"])
    return DeviceInfo(
        index=int(values["index"]),
        kind="mps" if shared else "rocm",
        name=values["name"] or f"{cpu.name} GPU",
        uuid=values["uuid"],
        # Apple's GPU shares the system's memory, so that the profiles' sizes are those of the machine.
        total_bytes=cpu.total_bytes if shared else int(values["total_bytes"]),
        free_bytes=min(free, cpu.free_bytes) if shared else free,
        usable_bytes=min(free, cpu.usable_bytes) if shared else max(0, free - RESERVE),
        driver=values["driver"],
        memory_bandwidth=int(values["memory_bandwidth"]),
        native_bf16=not shared,
    )
