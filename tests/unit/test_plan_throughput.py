"""The expected speed: a roofline, and acceptance curves that meet the published figures they were fitted to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.device.cpu_speed import measure_bandwidth, measure_compute
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.acceptance import expected_tokens, levels
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.memory.rates import Rates, keep_rates, kept_rates
from specmemo_chat.memory.throughput import (
    TURN_REPLY,
    DeviceSpeed,
    StepTimes,
    device_speed,
    draft_seconds,
    expect,
    prefill_seconds,
    step_seconds,
)
from specmemo_chat.profiles import load_profiles
from specmemo_chat.sizes import GIB, MIB
from specmemo_chat.speculation.costs import DraftCosts, StepCosts

LLAMA = load_catalog()["llama-2-7b-chat"].spec()
SHAPE = Shape(LLAMA, "fp16", "fp16", context=4096, nodes=64, chunk=512, runtime=640 * MIB)
HEAD = DraftShape(
    "eagle", replace(LLAMA, layers=1), "fp16", vocab=32000, target_hidden=4096, feature_count=1, fc_bias=True
)
PROFILES = load_profiles()
TITAN = PROFILES["titan-rtx-24gb"]
SPEED = DeviceSpeed("cuda", 672 * 10**9, 130 * 10**12, "the data sheet")


@pytest.mark.parametrize(
    ("drafter", "nodes", "depth", "width", "published"),
    [
        ("ngram", 64, 10, 1, 1.74),
        ("eagle", 60, 7, 10, 4.48),
        ("eagle3", 60, 7, 10, 6.13),
        ("model", 9, 8, 1, 2.29),
        ("none", 64, 8, 8, 1.0),
    ],
)
def test_the_curves_meet_the_published_figures(
    drafter: str, nodes: int, depth: int, width: int, published: float
) -> None:
    assert expected_tokens(drafter, nodes, depth, width) == pytest.approx(published, rel=0.005)


@given(
    st.sampled_from(["ngram", "eagle", "eagle3", "model"]),
    st.integers(1, 64),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_a_larger_tree_never_yields_less(drafter: str, nodes: int, depth: int, width: int) -> None:
    tokens = expected_tokens(drafter, nodes, depth, width)
    assert 1 <= tokens <= 1 + min(depth, nodes - 1)
    assert expected_tokens(drafter, nodes + 1, depth, width) >= tokens
    assert expected_tokens(drafter, nodes, depth + 1, width) >= tokens
    assert expected_tokens(drafter, nodes, depth, width + 1) >= tokens
    assert levels(drafter, nodes, depth, width) <= min(depth, nodes - 1)


def test_one_node_is_plain_decoding() -> None:
    assert expected_tokens("eagle", 1, 8, 8) == 1.0
    assert levels("eagle", 1, 8, 8) == 0


def test_a_plain_step_reads_weights_and_half_of_the_context() -> None:
    read = 13_476_831_232 - 2 * 32000 * 4096 + 524_288 * 2048
    assert step_seconds(SHAPE, 1, SPEED) == pytest.approx(read / (0.7 * 672e9))


def test_a_large_batch_is_bound_by_computing() -> None:
    batch = replace(SHAPE, rows=64)
    operations = 64 * 64 * (2 * (LLAMA.parameters - 32000 * 4096) + 4 * 32 * 4096 * 2048)
    assert step_seconds(batch, 64, SPEED) == pytest.approx(operations / (0.5 * 130e12))
    # Where nobody knows the rate, it does not limit.
    unknown = replace(SPEED, compute=0)
    assert step_seconds(batch, 64, unknown) == pytest.approx(step_seconds(batch, 1, unknown))


def test_every_chunk_of_a_prefill_reads_the_weights() -> None:
    memory_bound = replace(SPEED, compute=0)
    whole = prefill_seconds(replace(SHAPE, chunk=512), 512, memory_bound)
    assert prefill_seconds(replace(SHAPE, chunk=64), 512, memory_bound) == pytest.approx(8 * whole)
    assert prefill_seconds(replace(SHAPE, chunk=300), 512, memory_bound) == pytest.approx(2 * whole)


def test_workers_share_the_work() -> None:
    big = load_catalog()["llama-2-70b-chat"].spec()
    alone, shared = (step_seconds(replace(SHAPE, spec=big, tp=tp), 1, SPEED) for tp in (1, 8))
    assert alone / shared == pytest.approx(8, rel=0.01)


def test_a_head_costs_a_forward_for_every_level() -> None:
    with_head = replace(SHAPE, draft=HEAD)
    one = draft_seconds(with_head, 1, SPEED)
    # fc and one layer, and the target's output head.
    weights = 2 * (2 * 4096 * 4096 + 4096 + 4 * 4096 * 4096 + 3 * 4096 * 11008 + 4096) + 8 * 32000
    assert one == pytest.approx((weights + 2 * 32000 * 4096) / (0.7 * 672e9))
    assert draft_seconds(with_head, 7, SPEED) == pytest.approx(7 * one)
    assert draft_seconds(SHAPE, 7, SPEED) == 0


def test_what_is_expected_is_never_slower_than_plain() -> None:
    starved = DeviceSpeed("cuda", 10**15, 10**9, "a card that reads fast and hardly computes")
    expected = expect(SHAPE, ("ngram",), 8, 8, starved)
    assert (expected.nodes, expected.tokens_per_step) == (1, 1.0)
    assert expected.tokens_per_second == expected.plain


def test_a_head_is_expected_to_beat_the_conversation() -> None:
    with_head = replace(SHAPE, draft=HEAD)
    plain = expect(SHAPE, (), 8, 8, SPEED)
    ngram = expect(SHAPE, ("ngram",), 8, 8, SPEED)
    eagle = expect(with_head, ("ngram", "eagle"), 8, 8, SPEED)
    assert plain.tokens_per_second < ngram.tokens_per_second < eagle.tokens_per_second
    # EAGLE reports 2.78x for this model; the roofline without host time must be near it, not an order away.
    assert 2 < eagle.tokens_per_second / eagle.plain < 4


def test_a_turn_counts_the_prefill() -> None:
    expected = expect(SHAPE, (), 8, 8, SPEED)
    seconds = expected.prefill_s + TURN_REPLY / expected.tokens_per_second
    assert expected.turn_throughput == pytest.approx(TURN_REPLY / seconds)


def card(name: str, bandwidth: int = 0, kind: str = "cuda") -> DeviceInfo:
    return DeviceInfo(0, kind, name, "u", 24 * GIB, 24 * GIB, 24 * GIB, memory_bandwidth=bandwidth)  # type: ignore[arg-type]


def test_where_the_speed_comes_from() -> None:
    named = device_speed(card("NVIDIA TITAN RTX", 672_096_000_000), TITAN)
    assert named is not None
    assert (named.bandwidth, named.compute) == (672_096_000_000, 130 * 10**12)
    told = device_speed(card("NVIDIA TITAN RTX"), TITAN)
    assert told is not None
    assert (told.bandwidth, told.source) == (672 * 10**9, "the bandwidth that profile titan-rtx-24gb gives")
    # Another card of that size: its own bandwidth, and nobody knows how fast it computes.
    other = device_speed(card("NVIDIA A10", 600 * 10**9), TITAN)
    assert other is not None
    assert (other.bandwidth, other.compute) == (600 * 10**9, 0)
    assert device_speed(card("NVIDIA A10"), TITAN) is None
    assert device_speed(card("a processor", kind="cpu"), PROFILES["cpu"]) is None


def test_the_processor_is_measured() -> None:
    assert 10**8 < measure_bandwidth(1, GIB) < 10**13
    assert 10**8 < measure_compute() < 10**14


def measured(**steps: float) -> DeviceSpeed:
    """The data sheet's speed, with steps of a model in fp16 that took so many seconds by nodes, and a head's levels."""
    costs, drafts = StepCosts(), DraftCosts()
    for nodes, seconds in steps.items():
        costs.learn(1, int(nodes[1:]), 64, [seconds])
    drafts.observe("eagle (replayed)", 1, "begin", 0.004)
    drafts.observe("eagle (replayed)", 4, "level", 0.003)
    return replace(SPEED, times=StepTimes("fp16", costs, drafts))


def test_measured_steps_stand_in_for_the_roofline() -> None:
    speed = measured(n1=0.1, n8=0.12, n64=0.3)
    assert step_seconds(SHAPE, 8, speed) == 0.12
    assert prefill_seconds(replace(SHAPE, chunk=64), 128, speed) == pytest.approx(0.6)
    assert draft_seconds(replace(SHAPE, draft=HEAD), 3, speed, nodes=16) == pytest.approx(0.004 + 2 * 0.003)
    assert "chats with this model" in speed.basis
    assert "the data sheet" in SPEED.basis


def test_other_precisions_are_carried_over_by_the_roofline() -> None:
    speed = measured(n1=0.1, n8=0.12, n64=0.3)
    half = replace(SHAPE, dtype="q8")
    known = step_seconds(SHAPE, 1, SPEED)
    # What a step took beyond reading its weights stays.
    assert known < 0.1
    assert step_seconds(half, 1, speed) == pytest.approx(0.1 - known + step_seconds(half, 1, SPEED))
    # Where it took less than the roofline says, all of it is carried over.
    quick = measured(n1=known / 2)
    assert step_seconds(half, 1, quick) == pytest.approx(step_seconds(half, 1, SPEED) / 2)
    # A draft that nobody measured.
    model = replace(SHAPE, draft=replace(HEAD, kind="model"))
    assert draft_seconds(model, 2, speed) == draft_seconds(model, 2, SPEED)


RATES = Rates(
    {"bf16": ((1, 2e-10), (8, 2.2e-10), (64, 6e-10)), "q8": ((1, 1e-10),), "q4": ((1, 0.5e-10), (4, 1e-10))}, 1, 1
)
CPU = DeviceSpeed("cpu", 30 * 10**9, 10**12, "this processor as measured just now", rates=RATES)


def test_rates_are_read_off_lines_between_what_was_measured() -> None:
    assert (RATES.of("bf16", 1), RATES.of("bf16", 64)) == (2e-10, 6e-10)
    assert RATES.of("bf16", 36) == pytest.approx(4.1e-10)
    # Beyond them every row costs what it cost there.
    assert RATES.of("q4", 8) == pytest.approx(2e-10)


def test_products_that_were_measured_stand_in_for_the_weights() -> None:
    shape = replace(SHAPE, dtype="q4", compute="bf16", context=0)
    layers = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    # The output layer of a q4 model is q8.
    output = 32000 * 4096
    assert step_seconds(shape, 1, CPU) == pytest.approx(layers * 0.5e-10 + output * 1e-10)
    assert step_seconds(shape, 4, CPU) == pytest.approx(layers * 1e-10 + output * 4e-10)
    assert "products as measured" in CPU.basis
    # A precision that was not measured has the roofline.
    assert step_seconds(SHAPE, 1, CPU) == step_seconds(SHAPE, 1, replace(CPU, rates=None))


def test_rates_survive_the_file_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "products.json"
    assert kept_rates(file) is None
    keep_rates(file, RATES)
    assert kept_rates(file) == RATES
    for products in ([], {}, {"q8": []}, {"q8": [[0, 1.0]]}, {"q8": [["a", 1.0]]}):
        file.write_text(json.dumps({"bandwidth": 1, "compute": 1, "products": products}))
        assert kept_rates(file) is None, products
    file.write_text("[")
    assert kept_rates(file) is None


def test_a_card_without_kernels_writes_and_reads_what_it_unpacks() -> None:
    turing = replace(card("NVIDIA TITAN RTX", 672 * 10**9), compute_capability=(7, 5))
    speed = device_speed(turing, TITAN)
    assert speed is not None
    assert speed.unpacks
    own, eight, four = (
        step_seconds(replace(SHAPE, dtype=dtype, context=0), 1, speed) for dtype in ("fp16", "q8", "q4")
    )
    # torch multiplies int8; 4 bits are written and read as fp32 several times.
    assert eight / own == pytest.approx(1 / 2, rel=0.01)
    assert four / own == pytest.approx(32 / 2, rel=0.03)
    ampere = device_speed(replace(turing, compute_capability=(8, 6)), TITAN)
    assert ampere is not None
    assert step_seconds(replace(SHAPE, dtype="q8", context=0), 1, ampere) / own == pytest.approx(1 / 2, rel=0.01)


def test_the_tree_follows_the_measured_times() -> None:
    """Where a step takes twice as long from 16 nodes on, 8 are the best."""
    cheap, dear = measured(n1=0.1, n8=0.1, n64=0.1), measured(n1=0.1, n8=0.1, n16=0.3, n64=0.4)
    shape = replace(SHAPE, draft=HEAD)
    assert expect(shape, ("eagle",), 8, 8, cheap).nodes == 64
    assert expect(shape, ("eagle",), 8, 8, dear).nodes == 8
