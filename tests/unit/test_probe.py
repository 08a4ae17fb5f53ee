"""The probe: what torch was built for, the helper process, the processor, and what --device makes of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specmemo_chat.device import probe as probe_module
from specmemo_chat.device import torch_devices, torch_helper
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.limits import ContainerMemory, SystemMemory
from specmemo_chat.device.probe import Probe, cpu_threads, probe, probe_cpu
from specmemo_chat.device.select import check_name, select
from specmemo_chat.device.torch_build import TorchBuild, read_build, torch_build
from specmemo_chat.device.torch_devices import amd_cards, ask_helper, probe_torch
from specmemo_chat.errors import DeviceError, UsageError
from specmemo_chat.reports.probe_table import probe_json, probe_lines
from specmemo_chat.sizes import GIB, MIB

CPU = DeviceInfo(0, "cpu", "a processor", "cpu", 16 * GIB, 8 * GIB, 7 * GIB)
CUDA = DeviceInfo(0, "cuda", "NVIDIA TITAN RTX", "GPU-0", 24 * GIB, 23 * GIB, 22 * GIB)
ROCM = DeviceInfo(0, "rocm", "AMD Instinct MI250", "GPU-0", 64 * GIB, 63 * GIB, 62 * GIB)
ROCM_BUILD, CPU_BUILD, CUDA_BUILD = TorchBuild("2.11", hip="6.4"), TorchBuild("2.11"), TorchBuild("2.11", "12.8")


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process is a failure of the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a helper process was started")

    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.mark.parametrize(
    ("text", "build"),
    [
        (
            "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n",
            TorchBuild("2.13.0+cpu"),
        ),
        (
            "__version__ = '2.11.0+cu128'\ncuda: Optional[str] = '12.8'\nhip = None\n",
            TorchBuild("2.11.0+cu128", "12.8"),
        ),
        (
            "__version__ = '2.11.0'\ncuda = None\nhip: Optional[str] = '6.4.43482'\n",
            TorchBuild("2.11.0", "", "6.4.43482"),
        ),
        ("nothing", None),
    ],
)
def test_the_build_of_torch_is_read_from_a_file(tmp_path: Path, text: str, build: TorchBuild | None) -> None:
    (tmp_path / "version.py").write_text(text)
    assert read_build(tmp_path / "version.py") == build


def test_no_torch_no_build(tmp_path: Path) -> None:
    assert read_build(tmp_path / "version.py") is None


def test_the_installed_build_is_torchs_own() -> None:
    import torch

    build = torch_build()
    assert build is not None
    assert (build.version, build.cuda, build.hip) == (
        torch.__version__,
        torch.version.cuda or "",
        torch.version.hip or "",
    )


def test_a_plain_machine_starts_no_helper(no_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch_devices, "amd_cards", lambda: 0)
    monkeypatch.setattr(torch_devices, "KFD", tmp_path / "kfd")
    for build in (CPU_BUILD, CUDA_BUILD, None):
        assert probe_torch(CPU, build) == ([], [])
    devices, problems = probe_torch(CPU, ROCM_BUILD)
    assert devices == []
    assert "modprobe amdgpu" in problems[0]


def test_an_amd_card_and_another_torch_is_a_problem(no_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_devices, "amd_cards", lambda: 2)
    devices, problems = probe_torch(CPU, CPU_BUILD)
    assert devices == []
    assert "2 AMD GPUs found" in problems[0]
    assert "ROCm" in problems[0]


def test_no_permission_for_the_amd_driver(no_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "kfd").touch()
    monkeypatch.setattr(torch_devices, "KFD", tmp_path / "kfd")
    monkeypatch.setattr(torch_devices.os, "access", lambda *_: False)
    assert "`render` and `video`" in probe_torch(CPU, ROCM_BUILD)[1][0]


def test_only_cards_with_memory_of_their_own_count(tmp_path: Path) -> None:
    def card(name: str, vendor: str, vram: int | None) -> None:
        folder = tmp_path / name / "device"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        if vram is not None:
            (folder / "mem_info_vram_total").write_text(f"{vram}\n")

    card("card0", "0x8086", None)
    card("card1", "0x1002", 512 * MIB)
    card("card2", "0x1002", 24 * GIB)
    card("card2-DP-1", "0x1002", 24 * GIB)
    card("card3", "0x1002", None)
    assert amd_cards(tmp_path) == 1


def helper(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


ANSWER = {
    "index": 1, "kind": "rocm", "name": "AMD Instinct MI250", "uuid": "u", "total_bytes": 64 * GIB,
    "free_bytes": 60 * GIB, "driver": "HIP 6.4", "memory_bandwidth": 1_638_400_000_000,
}  # fmt: skip


def test_the_helpers_answer_becomes_devices() -> None:
    code = f"import json; print('a greeting'); print(json.dumps({{'devices': [{ANSWER!r}], 'problems': ['p']}}))"
    devices, problems = ask_helper(CPU, helper(code))
    assert problems == ["p"]
    assert devices == [
        DeviceInfo(
            1, "rocm", "AMD Instinct MI250", "u", 64 * GIB, 60 * GIB, 60 * GIB - 128 * MIB, "HIP 6.4",
            memory_bandwidth=1_638_400_000_000, native_bf16=True,
        )
    ]  # fmt: skip
    assert devices[0].torch_name == "cuda:1"


def test_apples_gpu_shares_the_systems_memory() -> None:
    answer = {**ANSWER, "index": 0, "kind": "mps", "name": "", "total_bytes": 10 * GIB, "free_bytes": 10 * GIB}
    code = f"import json; print(json.dumps({{'devices': [{answer!r}], 'problems': []}}))"
    (gpu,), _ = ask_helper(CPU, helper(code))
    assert (gpu.kind, gpu.name, gpu.torch_name) == ("mps", "a processor GPU", "mps")
    assert (gpu.total_bytes, gpu.free_bytes, gpu.usable_bytes) == (16 * GIB, 8 * GIB, 7 * GIB)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no libamdhip64.so')", "no libamdhip64.so"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('hello')", "cannot be read"),
        ('print(\'{"devices": [{}], "problems": []}\')', "cannot be read"),
        ("pass", "cannot be read"),
        ("import time; time.sleep(60)", "did not answer within"),
    ],
)
def test_a_helper_that_fails_is_a_problem(code: str, words: str) -> None:
    devices, problems = ask_helper(CPU, helper(code), timeout_s=2 if "sleep" in code else 20)
    assert devices == []
    assert words in problems[0]
    assert "import torch" in problems[0]


def test_a_helper_that_cannot_be_started_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be started" in ask_helper(CPU, (str(tmp_path / "python"),))[1][0]


def test_the_real_helper_answers_on_this_machine() -> None:
    devices, problems = ask_helper(CPU)
    assert not any("cannot" in problem for problem in problems)
    assert all(device.kind in ("rocm", "mps") for device in devices)


def fake_torch(*, hip: str | None = None, gpus: int = 0, mps: bool | None = None, **properties: Any) -> Any:
    """What the helper uses of torch. `mps` None: this torch has no Metal."""
    return SimpleNamespace(
        version=SimpleNamespace(hip=hip),
        cuda=SimpleNamespace(
            is_available=lambda: gpus > 0,
            device_count=lambda: gpus,
            get_device_properties=lambda index: SimpleNamespace(name=f"AMD {index}", **properties),
            mem_get_info=lambda _index: (60 * GIB, 64 * GIB),
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: bool(mps), is_built=lambda: mps is not None)),
        mps=SimpleNamespace(recommended_max_memory=lambda: 10 * GIB, driver_allocated_memory=lambda: GIB),
    )


def test_the_helper_reads_rocm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_helper.sys, "platform", "linux")
    found = torch_helper.devices(
        fake_torch(hip="6.4", gpus=2, uuid="u", memory_clock_rate=1_600_000, memory_bus_width=4096)
    )
    assert found["problems"] == []
    assert [device["name"] for device in found["devices"]] == ["AMD 0", "AMD 1"]
    # 4,096 bits at 1.6 GHz, two transfers a cycle: one chip of an MI250.
    assert found["devices"][0]["memory_bandwidth"] == 1_638_400_000_000
    assert (found["devices"][0]["total_bytes"], found["devices"][0]["free_bytes"]) == (64 * GIB, 60 * GIB)
    assert torch_helper.devices(fake_torch(hip="6.4", gpus=1))["devices"][0]["memory_bandwidth"] == 0
    assert "HIP_VISIBLE_DEVICES" in torch_helper.devices(fake_torch(hip="6.4"))["problems"][0]
    assert torch_helper.devices(fake_torch()) == {"devices": [], "problems": []}


def test_the_helper_reads_metal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_helper.sys, "platform", "darwin")
    (gpu,) = torch_helper.devices(fake_torch(mps=True))["devices"]
    assert (gpu["kind"], gpu["total_bytes"], gpu["free_bytes"]) == ("mps", 10 * GIB, 9 * GIB)
    assert "macOS" in torch_helper.devices(fake_torch(mps=False))["problems"][0]
    assert "not part of this torch" in torch_helper.devices(fake_torch())["problems"][0]


def put(monkeypatch: pytest.MonkeyPatch, gpus: list[DeviceInfo], build: TorchBuild, others: list[DeviceInfo]) -> None:
    monkeypatch.setattr(probe_module, "probe_nvidia", lambda _system: (list(gpus), []))
    monkeypatch.setattr(probe_module, "torch_build", lambda: build)
    monkeypatch.setattr(probe_module, "torch_lacks_cuda", lambda: not build.cuda)
    monkeypatch.setattr(probe_module, "probe_torch", lambda _cpu, _build: (list(others), []))


def test_gpus_come_first_and_the_processor_last(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, [CUDA], CUDA_BUILD, [])
    found = probe()
    assert [device.kind for device in found.devices] == ["cuda", "cpu"]
    assert found.gpus == (CUDA,)
    put(monkeypatch, [], ROCM_BUILD, [ROCM])
    assert [device.kind for device in probe().devices] == ["rocm", "cpu"]


def test_a_torch_without_cuda_cannot_use_nvidia_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, [CUDA], CPU_BUILD, [])
    found = probe()
    assert found.gpus == ()
    assert "1 NVIDIA GPU found, but the installed torch is built without CUDA" in found.problems[0]


def test_the_processor_keeps_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "system_memory", lambda _container: SystemMemory(16 * GIB, 8 * GIB))
    cpu = probe_cpu(None)
    assert (cpu.total_bytes, cpu.free_bytes, cpu.usable_bytes) == (16 * GIB, 8 * GIB, 8 * GIB - 512 * MIB)
    monkeypatch.setattr(probe_module, "system_memory", lambda _container: SystemMemory(GIB, GIB))
    assert probe_cpu(ContainerMemory(GIB, 0)).usable_bytes == GIB - 64 * MIB


@pytest.mark.parametrize(
    ("lines", "native", "tiles"),
    [
        ("flags : fpu avx2 avx512f", False, False),
        ("flags : avx512_bf16", True, False),
        ("flags : avx512_bf16 amx_bf16 amx_tile", True, True),
        ("Features : asimd bf16", False, False),
    ],
)
def test_native_bf16(monkeypatch: pytest.MonkeyPatch, lines: str, native: bool, tiles: bool) -> None:
    monkeypatch.setattr(probe_module, "_cpuinfo", lambda: ["model name : A processor", lines])
    cpu = probe_cpu(None)
    assert (cpu.name, cpu.native_bf16, cpu.tiles) == ("A processor", native, tiles)
    assert cpu_threads() >= 1


@pytest.mark.parametrize("name", ["toaster", "cuda:", "cuda:x", "cuda:1:2", ""])
def test_a_device_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not known"):
        check_name(name)


def test_selection() -> None:
    two = Probe((CUDA, replace(CUDA, index=1), CPU))
    assert select(two, "auto").devices == (CUDA,)
    assert select(two, "cuda:1").first.index == 1
    assert len(select(two, "auto", 2).devices) == 2
    assert select(two, "cpu", 2).devices == (CPU, CPU)
    assert select(Probe((ROCM, CPU)), "cuda").first == ROCM
    with pytest.raises(UsageError, match="names one device"):
        select(two, "cuda:0", 2)
    with pytest.raises(DeviceError, match="2 such devices"):
        select(two, "cuda:5")
    with pytest.raises(DeviceError, match="no Apple GPU"):
        select(two, "mps")
    with pytest.raises(UsageError, match="3 GPUs needed, 2 found") as caught:
        select(two, "auto", 3, model="m", plan_profile="p")
    assert "specmemo plan m --device p --gpus 3" in (caught.value.remedy or "")


def test_what_people_see_of_a_gpu() -> None:
    card = replace(CUDA, driver="570.86", compute_capability=(7, 5), memory_bandwidth=672 * 10**9)
    found = Probe((card, CPU), ("a problem",), ContainerMemory(16 * GIB, GIB))
    values = probe_json(found)
    assert values["profile"] == {"name": "titan-rtx-24gb", "reason": "the device is called NVIDIA TITAN RTX"}
    assert values["devices"][0]["compute_capability"] == "7.5"
    assert values["devices"][0]["memory_bandwidth"] == 672 * 10**9
    assert values["memory"]["container_limit_bytes"] == 16 * GIB
    lines = probe_lines(found, values)
    assert "  cuda:0   NVIDIA TITAN RTX: 24.0 GiB total, 23.0 GiB free, 22.0 GiB usable" in lines
    assert "           driver 570.86, compute capability 7.5, 672 GB/s, no native bf16" in lines
    assert "  a container limits the memory to 16.0 GiB" in lines
    assert "problem: a problem" in lines


def test_a_machine_with_a_processor_only_says_so() -> None:
    found = Probe((CPU,))
    assert probe_lines(found, probe_json(found))[-1] == "no GPU was found: the processor is used"
    apple = Probe((replace(CPU, kind="mps", name="Apple M2 GPU"), CPU))
    assert not any("no GPU was found" in line for line in probe_lines(apple, probe_json(apple)))
