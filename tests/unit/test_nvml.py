"""NVIDIA cards through the real pynvml, over a fake libnvidia-ml that gives recorded answers and every error."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynvml
import pytest

from specmemo_chat.device import nvml
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.limits import SystemMemory
from specmemo_chat.device.nvml import probe_nvidia, process_bytes, visible
from specmemo_chat.device.nvml_errors import REMEDIES
from specmemo_chat.device.probe import Probe
from specmemo_chat.device.select import select
from specmemo_chat.errors import DeviceError
from specmemo_chat.sizes import GIB, MIB

SYSTEM = SystemMemory(64 * GIB, 48 * GIB)
SUCCESS, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, INSUFFICIENT_SIZE, LOST = 0, 3, 4, 6, 7, 15
NOT_AVAILABLE = (1 << 64) - 1
ALL_CODES = sorted(
    getattr(pynvml, name) for name in dir(pynvml) if name.startswith("NVML_ERROR_") and getattr(pynvml, name)
)


@dataclass
class Card:
    """What the fake driver knows of a card. `mig`: None = has no MIG, else its instances; `errors` by function."""

    name: str = "NVIDIA TITAN RTX"
    uuid: str = "GPU-00000000"
    total: int = 24 * GIB
    free: int = 23 * GIB
    capability: tuple[int, int] = (7, 5)
    bus_bits: int = 384
    clock_mhz: int = 7001
    mig: list[Card | int] | None = None
    processes: dict[int, int | None] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


class FakeLibrary:
    """Stands in for libnvidia-ml.so.1 below pynvml's wrappers: the same entry points, return codes and out pointers."""

    def __init__(self, cards: list[Card], errors: dict[str, int] | None = None) -> None:
        self.cards = cards
        self.errors = errors or {}
        self.calls: list[str] = []
        self._handles: list[Card] = []

    @property
    def nvmlErrorString(self) -> Callable[[int], bytes]:
        return lambda _code: b"an error"

    def __getattr__(self, name: str) -> Callable[..., int]:
        method = getattr(type(self), f"fake_{name.removesuffix('_v2')}", None)
        if method is None:
            raise AttributeError(name)

        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name.removesuffix("_v2") in self.errors:
                return self.errors[name.removesuffix("_v2")]
            return int(method(self, *arguments) or SUCCESS)

        return call

    def _card(self, handle: Any, function: str) -> tuple[Card, int]:
        number = ctypes.cast(handle, ctypes.c_void_p).value or 0
        card = self._handles[number - 1]
        return card, card.errors.get(function, SUCCESS)

    def _give(self, card: Card, pointer: Any) -> None:
        """Handles are numbered from 1, as addresses that are never followed."""
        self._handles.append(card)
        ctypes.c_void_p.from_address(ctypes.addressof(pointer._obj)).value = len(self._handles)

    def fake_nvmlInitWithFlags(self, _flags: int) -> None:
        return

    def fake_nvmlShutdown(self) -> None:
        return

    def fake_nvmlSystemGetDriverVersion(self, buffer: Any, _size: Any) -> None:
        buffer.value = b"570.86.10"

    def fake_nvmlDeviceGetCount(self, pointer: Any) -> None:
        pointer._obj.value = len(self.cards)

    def fake_nvmlDeviceGetHandleByIndex(self, index: Any, pointer: Any) -> int:
        card = self.cards[index.value]
        self._give(card, pointer)
        return card.errors.get("nvmlDeviceGetHandleByIndex", SUCCESS)

    def fake_nvmlDeviceGetUUID(self, handle: Any, buffer: Any, _size: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetUUID")
        buffer.value = card.uuid.encode()
        return code

    def fake_nvmlDeviceGetName(self, handle: Any, buffer: Any, _size: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetName")
        buffer.value = card.name.encode()
        return code

    def fake_nvmlDeviceGetMemoryInfo(self, handle: Any, pointer: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetMemoryInfo")
        pointer._obj.total, pointer._obj.free, pointer._obj.used = card.total, card.free, card.total - card.free
        return code

    def fake_nvmlDeviceGetCudaComputeCapability(self, handle: Any, major: Any, minor: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetCudaComputeCapability")
        major._obj.value, minor._obj.value = card.capability
        return code

    def fake_nvmlDeviceGetMemoryBusWidth(self, handle: Any, pointer: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetMemoryBusWidth")
        pointer._obj.value = card.bus_bits
        return code

    def fake_nvmlDeviceGetMaxClockInfo(self, handle: Any, _kind: Any, pointer: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetMaxClockInfo")
        pointer._obj.value = card.clock_mhz
        return code

    def fake_nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetMigMode")
        if card.mig is None:
            return code or NOT_SUPPORTED
        current._obj.value = pending._obj.value = 1
        return code

    def fake_nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, pointer: Any) -> int:
        _, code = self._card(handle, "nvmlDeviceGetMaxMigDeviceCount")
        pointer._obj.value = 7
        return code

    def fake_nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: Any, pointer: Any) -> int:
        card, _ = self._card(handle, "nvmlDeviceGetMigDeviceHandleByIndex")
        places = card.mig or []
        if index.value >= len(places):
            return NOT_FOUND
        place = places[index.value]
        if isinstance(place, int):
            return place
        self._give(place, pointer)
        return SUCCESS

    def fake_nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, found: Any) -> int:
        card, code = self._card(handle, "nvmlDeviceGetComputeRunningProcesses")
        count._obj.value = len(card.processes)
        if code or found is None:
            return code or (INSUFFICIENT_SIZE if card.processes else SUCCESS)
        for place, (pid, taken) in zip(found, card.processes.items(), strict=False):
            place.pid, place.usedGpuMemory = pid, NOT_AVAILABLE if taken is None else taken
        return SUCCESS


Install = Callable[..., FakeLibrary]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a fake driver on this machine."""

    def put(*cards: Card, errors: dict[str, int] | None = None, files: bool = True) -> FakeLibrary:
        library = FakeLibrary(list(cards), errors)
        monkeypatch.setattr(pynvml, "nvmlLib", library)
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        monkeypatch.setattr(pynvml.NVMLError, "_errcode_to_string", dict(pynvml.NVMLError._errcode_to_string))
        monkeypatch.setattr(nvml, "_driver_files", lambda: files)
        return library

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return put


def instance(number: int) -> Card:
    return Card(f"NVIDIA A100 MIG {number}g.10gb", f"MIG-{number}", 10 * GIB, 9 * GIB, (8, 0))


def test_a_card_is_read(install: Install) -> None:
    library = install(Card())
    devices, problems = probe_nvidia(SYSTEM)
    assert problems == []
    assert devices == [
        DeviceInfo(
            index=0,
            kind="cuda",
            name="NVIDIA TITAN RTX",
            uuid="GPU-00000000",
            total_bytes=24 * GIB,
            free_bytes=23 * GIB,
            usable_bytes=23 * GIB - 128 * MIB,
            driver="570.86.10",
            compute_capability=(7, 5),
            # 384 bits, 7,001 MHz, two transfers a cycle.
            memory_bandwidth=672_096_000_000,
            native_bf16=False,
        )
    ]
    assert library.calls[-1] == "nvmlShutdown"


def test_ampere_multiplies_bf16(install: Install) -> None:
    install(Card(capability=(8, 0)))
    assert probe_nvidia(SYSTEM)[0][0].native_bf16


@pytest.mark.parametrize("code", ALL_CODES)
def test_every_error_code_has_a_remedy(install: Install, code: int) -> None:
    """Each code that this pynvml knows, at the first call: no device, one sentence with the remedy, no exception."""
    install(Card(), errors={"nvmlInitWithFlags": code})
    devices, problems = probe_nvidia(SYSTEM)
    assert devices == []
    assert len(problems) == 1
    assert f"NVML error {code} " in problems[0]
    assert problems[0].endswith(REMEDIES[code])


@pytest.mark.parametrize("code", ALL_CODES)
@pytest.mark.parametrize("function", ["nvmlSystemGetDriverVersion", "nvmlDeviceGetCount"])
def test_errors_after_the_start_are_problems_too(install: Install, function: str, code: int) -> None:
    library = install(Card(), errors={function: code})
    devices, problems = probe_nvidia(SYSTEM)
    assert devices == []
    assert REMEDIES[code] in problems[0]
    assert library.calls[-1] == "nvmlShutdown"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, "modprobe nvidia"),
        (12, "libnvidia-ml.so is not found"),
        (18, "restart the machine"),
        (4, "group"),
        (15, "fallen off the bus"),
        (13, "update the NVIDIA driver"),
    ],
)
def test_the_remedies_that_users_meet(code: int, words: str) -> None:
    assert words in REMEDIES[code]


@pytest.mark.parametrize("code", [9, 12])
def test_a_machine_without_a_driver_is_no_problem(install: Install, code: int) -> None:
    install(errors={"nvmlInitWithFlags": code}, files=False)
    assert probe_nvidia(SYSTEM) == ([], [])


def test_the_library_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without NVIDIA's packages: pynvml looks for the file and finds none."""

    def no_library(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(pynvml, "CDLL", no_library)
    monkeypatch.setattr(nvml, "_driver_files", lambda: False)
    assert probe_nvidia(SYSTEM) == ([], [])
    monkeypatch.setattr(nvml, "_driver_files", lambda: True)
    assert "user-space package" in probe_nvidia(SYSTEM)[1][0]


def test_a_lost_card_keeps_its_number(install: Install) -> None:
    lost = Card(errors={"nvmlDeviceGetHandleByIndex": LOST})
    install(lost, Card(uuid="GPU-1"))
    devices, problems = probe_nvidia(SYSTEM)
    assert [(device.index, device.uuid) for device in devices] == [(1, "GPU-1")]
    assert problems[0].startswith("GPU 0: NVML error 15")


def test_a_card_that_fails_while_it_is_read_is_left_out(install: Install) -> None:
    install(Card(errors={"nvmlDeviceGetMemoryInfo": LOST}), Card(uuid="GPU-1"))
    devices, problems = probe_nvidia(SYSTEM)
    assert [device.uuid for device in devices] == ["GPU-1"]
    assert "GPU 0: NVML error 15" in problems[0]


def test_a_device_without_memory_of_its_own_uses_the_systems(install: Install) -> None:
    codes = {"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED, "nvmlDeviceGetMemoryBusWidth": NOT_SUPPORTED}
    install(Card("NVIDIA GB10", capability=(12, 1), errors=codes))
    devices, problems = probe_nvidia(SYSTEM)
    assert (devices[0].total_bytes, devices[0].free_bytes) == (SYSTEM.total_bytes, SYSTEM.free_bytes)
    assert devices[0].memory_bandwidth == 0
    assert "the system's memory is used" in problems[0]


def test_an_old_driver_knows_nothing_of_mig(install: Install) -> None:
    install(Card(errors={"nvmlDeviceGetMigMode": 13}))
    devices, problems = probe_nvidia(SYSTEM)
    assert len(devices) == 1
    assert problems == []


def test_what_a_process_takes_of_a_card(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(Card(processes={7: GIB}), Card(uuid="GPU-1", processes={7: 3 * GIB, 8: GIB, 9: None}))
    assert [process_bytes(1, pid) for pid in (7, 8, 9, 10)] == [3 * GIB, GIB, None, None]
    assert process_bytes(2, 7) is None
    # CUDA's number is not NVML's.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert process_bytes(0, 7) == 3 * GIB
    install(Card(processes={7: GIB}, errors={"nvmlDeviceGetComputeRunningProcesses": NOT_SUPPORTED}))
    assert process_bytes(0, 7) is None
    install(errors={"nvmlInitWithFlags": 9})
    assert process_bytes(0, 7) is None


def test_one_mig_instance_is_the_device(install: Install) -> None:
    install(Card("NVIDIA A100", "GPU-a", 40 * GIB, 1 * GIB, (8, 0), mig=[instance(1)]))
    devices, problems = probe_nvidia(SYSTEM)
    assert [(device.torch_name, device.uuid, device.total_bytes) for device in devices] == [
        ("cuda:0", "MIG-1", 10 * GIB)
    ]
    assert devices[0].memory_bandwidth == 0
    assert problems == []


def test_of_several_mig_instances_a_process_uses_one(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    divided = Card("NVIDIA A100", "GPU-a", capability=(8, 0), mig=[instance(1), instance(2)])
    install(divided, Card(uuid="GPU-b"))
    devices, problems = probe_nvidia(SYSTEM)
    assert [device.uuid for device in devices] == ["MIG-1"]
    assert "MIG-1 is used, 2 more are not" in problems[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2")
    devices, problems = probe_nvidia(SYSTEM)
    assert [(device.index, device.uuid) for device in devices] == [(0, "MIG-2")]
    assert problems == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [device.uuid for device in probe_nvidia(SYSTEM)[0]] == ["GPU-b"]


def test_mig_without_an_instance_cannot_be_used(install: Install) -> None:
    install(Card(mig=[]), Card(uuid="GPU-b"))
    devices, problems = probe_nvidia(SYSTEM)
    assert [(device.index, device.uuid) for device in devices] == [(0, "GPU-b")]
    assert "nvidia-smi mig -i 0 -cgi" in problems[0]


def test_a_mig_instance_may_be_forbidden(install: Install) -> None:
    install(Card(mig=[NO_PERMISSION]))
    devices, problems = probe_nvidia(SYSTEM)
    assert devices == []
    assert problems == [f"GPU 0, MIG instance 0: NVML error 4 (Insufficient Permissions): {REMEDIES[4]}"]


@pytest.mark.parametrize(
    ("setting", "indices"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,7,1", [0]),
        ("-1,0", []),
        ("1,1", []),
        ("GPU-bb", [1]),
        ("GPU-b", [1]),
        ("GPU-", []),
        ("GPU-cc,0", [2, 0]),
        ("nonsense", []),
    ],
)
def test_visible_devices_follow_cudas_rules(setting: str | None, indices: list[int]) -> None:
    assert visible(setting, ["GPU-aa", "GPU-bb", "GPU-cc"]) == indices


def test_a_mig_instance_has_no_number() -> None:
    uuids = ["GPU-aa", "MIG-1", "MIG-2"]
    assert visible(None, uuids, 1) == [0]
    assert visible("1", uuids, 1) == []
    assert visible("MIG-2", uuids, 1) == [2]


def test_an_explicit_device_says_what_the_driver_said(install: Install) -> None:
    install(Card(), errors={"nvmlInitWithFlags": 18})
    devices, problems = probe_nvidia(SYSTEM)
    cpu = DeviceInfo(0, "cpu", "a processor", "cpu", GIB, GIB, GIB)
    with pytest.raises(DeviceError, match="different versions") as caught:
        select(Probe((*devices, cpu), tuple(problems)), "cuda")
    assert caught.value.exit_code == 5
    chosen = select(Probe((*devices, cpu), tuple(problems)), "auto")
    assert chosen.first.kind == "cpu"
    assert "different versions" in (chosen.note or "")


def test_pynvml_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    devices, problems = probe_nvidia(SYSTEM)
    assert devices == []
    assert "pip install nvidia-ml-py" in problems[0]


def test_the_drivers_files_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvml, "_DRIVER_FILES", (str(tmp_path / "nvidiactl"),))
    assert not nvml._driver_files()
    (tmp_path / "nvidiactl").touch()
    assert nvml._driver_files()
