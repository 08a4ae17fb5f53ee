"""The memory limit of a container, from the files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from specmemo_chat.device.limits import ContainerMemory, container_memory, system_memory
from specmemo_chat.sizes import GIB, MIB


def group(folder: Path, **files: object) -> None:
    """Write a control group's files; `memory_max=…` becomes `memory.max`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")


def own(tmp_path: Path, lines: str) -> Path:
    path = tmp_path / "self_cgroup"
    path.write_text(lines)
    return path


def test_version_2_inside_a_container(tmp_path: Path) -> None:
    """The group's own path is "/": the limit lies at the top."""
    root = tmp_path / "cgroup"
    stat = "anon 100\ninactive_file 52428800\nactive_file 7"
    group(root, memory_max=2 * GIB, memory_current=512 * MIB, memory_stat=stat)
    found = container_memory(root, own(tmp_path, "0::/\n"))
    # Cached files that nobody uses can be given back: they are not charged.
    assert found == ContainerMemory(2 * GIB, 462 * MIB)


def test_the_tightest_limit_on_the_way_counts(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    group(root / "user.slice", memory_max=4 * GIB, memory_current=3 * GIB)
    group(root / "user.slice" / "app", memory_max=3 * GIB, memory_current=1 * GIB)
    group(root / "user.slice" / "app" / "shell", memory_max="max", memory_current=1 * GIB)
    found = container_memory(root, own(tmp_path, "0::/user.slice/app/shell\n"))
    # One GiB is left under the outer limit, two under the inner one.
    assert found == ContainerMemory(4 * GIB, 3 * GIB)


def test_a_path_of_the_host_is_not_there_inside(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    group(root, memory_max=GIB, memory_current=MIB)
    assert container_memory(root, own(tmp_path, "0::/docker/0123456789\n")) == ContainerMemory(GIB, MIB)


def test_version_1(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    names = {"memory_limit_in_bytes": GIB, "memory_usage_in_bytes": 300 * MIB}
    folder = root / "memory" / "docker" / "abc"
    group(folder, **names)
    (folder / "memory.stat").write_text(f"total_inactive_file {100 * MIB}\n")
    # An unlimited group further up says so by a number near 2^63.
    group(root / "memory", memory_limit_in_bytes=9223372036854771712, memory_usage_in_bytes=GIB)
    lines = "12:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc\n1:name=systemd:/docker/abc\n"
    assert container_memory(root, own(tmp_path, lines)) == ContainerMemory(GIB, 200 * MIB)


@pytest.mark.parametrize("lines", ["0::/\n", "5:memory:/\n", "", "nonsense\n"])
def test_without_a_limit_there_is_none(tmp_path: Path, lines: str) -> None:
    root = tmp_path / "cgroup"
    group(root, memory_max="max", memory_current=GIB)
    group(root / "memory", memory_limit_in_bytes=9223372036854771712, memory_usage_in_bytes=GIB)
    assert container_memory(root, own(tmp_path, lines)) is None


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert container_memory(tmp_path / "nowhere", tmp_path / "no_file") is None


def test_a_broken_statistic_is_read_as_nothing_to_give_back(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    group(root, memory_max=GIB, memory_current=MIB, memory_stat="inactive_file\n\n")
    assert container_memory(root, own(tmp_path, "0::/\n")) == ContainerMemory(GIB, MIB)


@pytest.mark.parametrize(
    ("container", "total", "free"),
    [
        (None, 16 * GIB, 10 * GIB),
        (ContainerMemory(4 * GIB, GIB), 4 * GIB, 3 * GIB),
        (ContainerMemory(12 * GIB, GIB), 12 * GIB, 10 * GIB),
        (ContainerMemory(4 * GIB, 5 * GIB), 4 * GIB, 0),
        (ContainerMemory(64 * GIB, GIB), 16 * GIB, 10 * GIB),
    ],
)
def test_a_containers_limit_is_the_total(
    monkeypatch: pytest.MonkeyPatch, container: ContainerMemory | None, total: int, free: int
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=10 * GIB))
    memory = system_memory(container)
    assert (memory.total_bytes, memory.free_bytes) == (total, free)
