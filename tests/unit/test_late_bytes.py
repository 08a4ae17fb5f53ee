"""Bytes of a GPU that are no tensors: counted by NVML after the rehearsal, in the measurement and against the cap; and
the numbers of the cards, which are NVML's in every process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import psutil
import pytest
import torch

from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.proof import prove
from specmemo_chat.errors import PlanError
from specmemo_chat.host.executor import WorkerExecutor
from specmemo_chat.memory.measured import Measurements
from specmemo_chat.memory.terms import Terms
from specmemo_chat.models.allocator import DeviceMemory
from specmemo_chat.sizes import GIB, MIB
from tests.models import random_model, target_of, tiny_plan
from tests.unit.test_nvml import Card, Install, install

__all__ = ["install"]
CONTEXT, RESERVED, GRAPHS = 300 * MIB, 500 * MIB, 20 * MIB


class FakeCuda:
    """torch.cuda's counters on a machine without a GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fractions: list[float] = []
        for name, value in {
            "memory_reserved": lambda _device: RESERVED,
            "max_memory_reserved": lambda _device: RESERVED,
            "reset_peak_memory_stats": lambda _device: None,
            "get_device_properties": lambda _device: types.SimpleNamespace(total_memory=10 * GIB),
            "set_per_process_memory_fraction": lambda share, _device: self.fractions.append(share),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(DeviceMemory, "_context_bytes", lambda _memory: CONTEXT)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def test_what_cuda_took_late_is_in_the_peak_once_it_was_asked_for(install: Install, cuda: FakeCuda) -> None:
    library = install(Card(processes={os.getpid(): RESERVED + CONTEXT + 90 * MIB, 1: GIB}))
    memory = DeviceMemory("cuda:0", GRAPHS)
    memory.enforce(2 * GIB)
    # Loading is no rehearsal yet.
    assert memory.peak() == CONTEXT + GRAPHS + RESERVED
    assert library.calls == []
    memory.reset_peak()
    assert memory.peak() == memory.now() == CONTEXT + GRAPHS + RESERVED + 90 * MIB
    # The allocator's limit is what that leaves of the cap.
    assert cuda.fractions[-1] == pytest.approx((2 * GIB - CONTEXT - GRAPHS - 90 * MIB) / (10 * GIB))
    asked = len(library.calls)
    memory.reset_peak()
    memory.peak()
    assert len(library.calls) == asked


def test_without_an_answer_the_context_counts(install: Install, cuda: FakeCuda) -> None:
    for taken in ({}, {os.getpid(): None}, {os.getpid(): 10 * MIB}):
        install(Card(processes=taken))
        memory = DeviceMemory("cuda:0", GRAPHS)
        memory.reset_peak()
        assert memory.peak() == CONTEXT + GRAPHS + RESERVED


def test_late_bytes_beyond_the_cap_are_refused_and_planned_the_next_time(
    install: Install, cuda: FakeCuda, tmp_path: Path
) -> None:
    late = 200 * MIB
    install(Card(processes={os.getpid(): RESERVED + CONTEXT + late}))
    plan = tiny_plan(measured_as="here", terms=Terms(target_weights=RESERVED, runtime=CONTEXT), cap_bytes=900 * MIB)
    memory = DeviceMemory("cuda:0")
    engine, known = Engine(target_of(random_model("llama")), None, plan), Measurements(tmp_path)
    with pytest.raises(PlanError, match="more than the cap") as caught:
        prove(engine, known, memory.peak, memory.reset_peak)
    assert caught.value.exit_code == 3
    assert known.runtime("here") == CONTEXT + late + (CONTEXT + late) // 64


@pytest.mark.parametrize("order", ["FASTEST_FIRST", None])
def test_every_process_of_ours_numbers_the_cards_by_the_bus(order: str | None) -> None:
    """Whatever is run by `python -m specmemo_chat.…` imports the package first."""
    given = {name: value for name, value in os.environ.items() if name != "CUDA_DEVICE_ORDER"}
    code = "import os, sys, specmemo_chat; print(os.environ['CUDA_DEVICE_ORDER'], 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**given, **({"CUDA_DEVICE_ORDER": order} if order else {})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["PCI_BUS_ID", "False"]


def test_a_worker_inherits_it() -> None:
    executor = WorkerExecutor()
    try:
        assert psutil.Process(executor.pid).environ()["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    finally:
        executor.close()
