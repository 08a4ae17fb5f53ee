"""The system's memory as this process may use it: a container's limit (control group, version 1 or 2) counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")

# Version 1 writes "no limit" as a number near 2^63; nothing real is that large.
_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class ContainerMemory:
    """The tightest limit on the way to the root, and the bytes charged to it that cannot be given back."""

    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True)
class SystemMemory:
    """Bytes in all and bytes that are free."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class _Version:
    limit: str
    usage: str
    reclaimable: str


_V2 = _Version("memory.max", "memory.current", "inactive_file")
_V1 = _Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def container_memory(root: Path = _ROOT, self_file: Path = _SELF) -> ContainerMemory | None:
    """The tightest memory limit on this process, None where there is none (or no control groups)."""
    found = [
        ContainerMemory(limit, _used(folder, version))
        for folder, version in _groups(root, self_file)
        if 0 < (limit := _number(folder / version.limit)) < _UNLIMITED
    ]
    return min(found, key=lambda memory: memory.limit_bytes - memory.used_bytes, default=None)


def system_memory(container: ContainerMemory | None) -> SystemMemory:
    """The machine's memory; a container's limit that is below it is the total."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    if container is not None and container.limit_bytes < total:
        total = container.limit_bytes
        free = min(free, max(0, total - container.used_bytes))
    return SystemMemory(total, free)


def _groups(root: Path, self_file: Path) -> Iterator[tuple[Path, _Version]]:
    """The process's groups and all that contain them: any of them may hold the limit."""
    try:
        lines = self_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        version, top = (_V1, root / "memory") if controllers else (_V2, root)
        folder = top / path.lstrip("/")
        # Inside a container the path is often the host's and does not exist here: then only the top is looked at.
        while folder != top and top in folder.parents:
            yield folder, version
            folder = folder.parent
        yield top, version


def _used(folder: Path, version: _Version) -> int:
    reclaimable = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines():
            if line.split()[0] == version.reclaimable:
                reclaimable = int(line.split()[1])
    return max(0, _number(folder / version.usage) - reclaimable)


def _number(path: Path) -> int:
    """The number in a file, 0 where there is none ("max", no such file, no permission)."""
    try:
        return int(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return 0
