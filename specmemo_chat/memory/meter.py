"""What this process really takes: resident memory now and at its peak. Torch is not needed."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class ProcessMemory:
    """Bytes that a worker takes now, and at its peak."""

    rss_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Memory:
    """Bytes for a reply's statistics: measured peak, measured and planned generation memory, plan and cap."""

    peak_bytes: int = 0
    generation_bytes: int = 0
    planned_bytes: int = 0
    planned_generation_bytes: int = 0
    cap_bytes: int = 0


def rss_bytes() -> int:
    """Resident bytes of this process: what a cap counts on a CPU."""
    resident = _status_bytes("VmRSS")
    return resident if resident is not None else int(psutil.Process().memory_info().rss)


def peak_rss_bytes() -> int:
    """The most resident bytes that this process had since it started, or since the last `reset_peak()`."""
    peak = _status_bytes("VmHWM")
    return peak if peak is not None else _peak_from_resource()


def reset_peak() -> bool:
    """Let the peak start again from the present resident bytes. False where the system cannot (it needs Linux)."""
    with contextlib.suppress(OSError):
        # Linux: the value 5 resets the high-water mark of resident memory.
        _CLEAR_REFS.write_text("5")
        return True
    return False


def _status_bytes(field: str) -> int | None:
    """A `VmXXX:  123 kB` line of /proc/self/status in bytes, None where there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None


def _peak_from_resource() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, other systems kilobytes.
    return peak if sys.platform == "darwin" else peak * 1024
