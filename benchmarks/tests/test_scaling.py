"""The roofline of several workers, and that docs/scaling.md shows what it computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling import WIRES, shape_of, tables
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.scaling import StepTime, Wire, best_step, bound, step_time, wire_seconds
from specmemo_chat.memory.throughput import DeviceSpeed, device_speed
from specmemo_chat.profiles import load_profiles

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
PROFILE = load_profiles()["mi250-64gb-x8"]
WIRE = WIRES["mi250-64gb-x8"]


def speed() -> DeviceSpeed:
    assert PROFILE.facts is not None
    found = device_speed(described_device(PROFILE.facts), PROFILE)
    assert found is not None
    return found


def plain(model: str, workers: int, batch: int) -> StepTime:
    return step_time(shape_of(model, PROFILE, workers, batch), "none", 1, 8, 8, speed(), WIRE)


def test_the_page_shows_what_is_computed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert tables() in page, "python -m benchmarks.scaling prints the tables of docs/scaling.md"


def test_collectives_by_hand() -> None:
    wire = Wire(10e-6, 1e9, "")
    assert wire.all_reduce(1_000_000, 1) == 0
    # A ring of four: each sends 3/4 of the values twice.
    assert wire.all_reduce(1_000_000, 4) == pytest.approx(10e-6 + 1.5e-3)
    assert wire.gather(1_000_000, 4) == pytest.approx(10e-6 + 0.75e-3)
    shape = shape_of("llama-2-70b-chat", PROFILE, 8, 10)
    # Two of 10 x 8,192 values a layer and one more, a gathering of 10 x 32,000; two bytes each.
    each = WIRE.latency + 1.75 * 163_840 / WIRE.bandwidth
    expected = 161 * each + WIRE.latency + 0.875 * 640_000 / WIRE.bandwidth
    assert wire_seconds(shape, 10, WIRE) == pytest.approx(expected)
    assert wire_seconds(shape_of("llama-2-7b-chat", PROFILE, 1, 10), 10, WIRE) == 0


def test_more_workers_share_the_reading_and_not_the_wire() -> None:
    one, two, eight = (plain("llama-2-7b-chat", workers, 1) for workers in (1, 2, 8))
    assert one.local == pytest.approx(2 * two.local, rel=0.01) == pytest.approx(8 * eight.local, rel=0.01)
    assert one.wire == 0 < two.wire < eight.wire


def test_what_bounds_a_step() -> None:
    def cause(model: str, workers: int, batch: int) -> str:
        shape = shape_of(model, PROFILE, workers, batch)
        return bound(shape, plain(model, workers, batch), speed(), WIRE)

    assert cause("llama-2-7b-chat", 1, 1) == "weights"
    assert cause("llama-2-7b-chat", 1, 32) == "KV"
    assert cause("llama-2-7b-chat", 8, 1) == "wire"
    assert cause("llama-2-70b-chat", 8, 1) == "weights"
    shape = shape_of("llama-2-7b-chat", PROFILE, 1, 32)
    assert bound(shape, step_time(shape, "ngram", 64, 8, 8, speed(), WIRE), speed(), WIRE) == "arithmetic"


def test_speculation_never_loses_and_its_trees_shrink() -> None:
    best = [
        best_step(shape_of("llama-2-70b-chat", PROFILE, 8, rows), "eagle", 8, 8, speed(), WIRE) for rows in (1, 5, 32)
    ]
    for rows, step in zip((1, 5, 32), best, strict=True):
        assert step.tokens_per_second >= plain("llama-2-70b-chat", 8, rows).tokens_per_second
    assert [step.nodes for step in best] == sorted((step.nodes for step in best), reverse=True)
