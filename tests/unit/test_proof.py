"""Rehearsal at load: it reaches the full context, is remembered, and fails closed; conversations under a tight cap."""

from __future__ import annotations

import errno
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.prediction import SHAPES, Case, allocated_peak, measure, plan_of
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine import sampler
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.proof import prove
from specmemo_chat.engine.rehearsal import rehearse
from specmemo_chat.errors import PlanError
from specmemo_chat.kv import arena
from specmemo_chat.memory import activations, products
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape, total
from specmemo_chat.memory.measured import Measurements, plan_key, runtime_key
from specmemo_chat.memory.plan import solve
from specmemo_chat.memory.terms import Terms
from specmemo_chat.models.llama.config import FAMILIES
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.matrices import dense
from specmemo_chat.models.target import Target
from specmemo_chat.profiles import get_profile, load_profiles
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import MIB
from tests.models import target_of, tiny_plan

CPU = DeviceInfo(0, "cpu", "a processor", "cpu", 1 << 34, 1 << 34, 1 << 34, threads=1)


def test_the_constants_are_those_of_the_code() -> None:
    assert products.LARGE_MATRIX == dense._LARGE_BYTES
    assert activations.FUSED_FAMILIES == FAMILIES
    assert activations.CPU_VIEW_STEP == arena._CPU_VIEW_STEP
    assert (activations.DRAWN_AT_ONCE, activations.DRAWN_ON_CPU) == (sampler._AT_ONCE, sampler._ON_CPU)


@pytest.mark.parametrize(
    "case",
    [
        Case("8M", "fp32", 512, 16, 128),
        Case("8M", "bf16", 1024, 32, 64),
        Case("8M", "fp32", 512, 16, 64, rows=3),
        Case("8M", "fp32", 512, 16, 64, draft="eagle"),
    ],
    ids=lambda case: case.name,
)
def test_the_plan_is_just_above_what_was_allocated(case: Case) -> None:
    result = measure(case)
    # Of a head the plan counts more than it takes where chunks are short: all that may wait for it.
    assert 0 <= result.excess < (0.06 if case.draft == "none" else 0.3), result


def test_the_rehearsal_grows_to_the_plan_and_leaves_nothing(llama: Any) -> None:
    engine = Engine(target_of(llama), NgramDrafter(), tiny_plan(rows=2))
    assert rehearse(engine) == 2
    assert engine.arena.capacity == engine.arena.largest_capacity
    assert engine.arena.lengths == [0, 0]
    engine.shrink()
    assert engine.arena.capacity == 32
    engine.arena.check_integrity()


def test_a_plan_is_rehearsed_once(llama: Any, tmp_path: Path) -> None:
    plan = tiny_plan(measured_as="here", terms=Terms(target_weights=100, target_kv=50, runtime=9), cap_bytes=2000)
    engine, known = Engine(target_of(llama), None, plan), Measurements(tmp_path)
    peaks: list[int] = []

    def peak() -> int:
        peaks.append(1000)
        return 1000

    proof = prove(engine, known, peak, lambda: None)
    assert (proof.peak, proof.runtime, proof.rehearsed) == (1000, 850, True)
    assert "more than planned" in proof.note
    again = prove(engine, known, peak, lambda: None)
    assert (again.peak, again.runtime, again.rehearsed, len(peaks)) == (1000, 850, False, 1)
    assert known.runtime("here") == 850 + 4 * MIB
    assert known.runtime("elsewhere") is None
    assert plan_key(plan) == plan_key(replace(plan, cap_bytes=1, terms=replace(plan.terms, runtime=1)))
    assert plan_key(plan) != plan_key(replace(plan, context_tokens=128))


def test_above_the_cap_nothing_is_answered(llama: Any, tmp_path: Path) -> None:
    plan = tiny_plan(measured_as="here", terms=Terms(target_weights=100, runtime=9), cap_bytes=900)
    with pytest.raises(PlanError, match="more than the cap") as caught:
        prove(Engine(target_of(llama), None, plan), Measurements(tmp_path), lambda: 1000, lambda: None)
    assert caught.value.exit_code == 3
    assert caught.value.remedy is not None
    assert caught.value.remedy.startswith("--max-memory 1MiB")
    # The next plan counts it all the same.
    assert Measurements(tmp_path).runtime("here") == 900 + 4 * MIB


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", '{"runtime": 3, "proven": []}', '{"runtime": {"here": "x"}}', '{"runtime": {"here": 99}}'],
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.json").write_text(text)
    known = Measurements(tmp_path)
    assert known.runtime("here") is None
    known.remember(tiny_plan(measured_as="here"), 10, 5)
    assert known.proven(tiny_plan(measured_as="here")) == (10, 5)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("specmemo_chat.memory.measured.json.dump", full)
    Measurements(tmp_path).remember(tiny_plan(measured_as="here"), 10, 5)
    assert list(tmp_path.iterdir()) == []


def test_the_runtime_belongs_to_what_it_depends_on() -> None:
    spec = spec_from_config("m", "m", SHAPES["8M"])
    key = runtime_key(CPU, spec, 1, "fp32", None)
    assert key == runtime_key(CPU, replace(spec, name="other", location="there", checkpoint_bytes=1), 1, "fp32", None)
    head = DraftShape("eagle", replace(spec, layers=1), "fp32")
    others = [
        runtime_key(CPU, spec, 2, "fp32", None),
        runtime_key(CPU, spec, 1, "fp32", None, 7),
        runtime_key(CPU, spec, 1, "bf16", None),
        runtime_key(CPU, spec, 1, "fp32", head),
        runtime_key(CPU, spec, 1, "fp32", replace(head, dtype="bf16")),
        runtime_key(CPU, replace(spec, hidden=1), 1, "fp32", None),
        runtime_key(CPU, replace(spec, vocab=3), 1, "fp32", None),
        runtime_key(replace(CPU, name="another"), spec, 1, "fp32", None),
        runtime_key(replace(CPU, threads=2), spec, 1, "fp32", None),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_the_measurement_of_one_model_refuses_no_plan_of_another(tmp_path: Path) -> None:
    """Both have the same vocabulary on the same device; what the large one took is the large one's."""
    known, profile = Measurements(tmp_path), get_profile("cpu", load_profiles())
    small = spec_from_config("small", "small", SHAPES["8M"])
    large = replace(small, name="large", hidden=512)
    before = solve(small, CPU, profile, runtimes=known.runtime).plan
    plan = solve(large, CPU, profile, runtimes=known.runtime).plan
    known.remember(plan, 9 << 30, 8 << 30)
    assert solve(large, CPU, profile, runtimes=known.runtime).plan.terms.runtime > 8 << 30
    assert solve(small, CPU, profile, runtimes=known.runtime).plan == before


def test_what_is_measured_goes_down_again(tmp_path: Path) -> None:
    known = Measurements(tmp_path)
    plans = [tiny_plan(measured_as="here", context_tokens=64 + number) for number in range(9)]
    known.remember(plans[0], 1000 * MIB, 900 * MIB)
    known.remember(plans[1], 1000 * MIB, 100 * MIB)
    most = known.runtime("here")
    assert most is not None
    assert most > 900 * MIB
    # Measured again, the same plan's value is replaced; and of all the last eight count.
    known.remember(plans[0], 1000 * MIB, 90 * MIB)
    assert known.runtime("here") == 104 * MIB
    for plan in plans[2:]:
        known.remember(plan, 1000 * MIB, 50 * MIB)
    assert known.runtime("here") == 94 * MIB


def converse(count: int, seed: int) -> None:
    """Random conversations in one engine whose plan is a hundredth below its cap: lengths, stops, regenerations (a
    shorter text kept), texts that fill the context. The allocator's peak is the cap's business."""
    torch.set_grad_enabled(False)
    config = {**SHAPES["8M"], "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 128}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    model = drawn_model(config, dtype="fp32", device="cpu", seed=3)
    shape = Shape(
        spec=spec_from_config("m", "m", config), dtype="fp32", compute="fp32", context=224, nodes=16, chunk=32,
        runtime=0, growth=64, threads=torch.get_num_threads(),
    )  # fmt: skip
    plan = plan_of(shape)
    cap = total(shape) - plan.terms.target_weights
    cap += cap // 100
    target = Target(model, frozenset({5}))
    pick = random.Random(seed)
    settings = [
        GenerationSettings(max_new_tokens=40),
        GenerationSettings(max_new_tokens=0, temperature=0.9, top_p=0.9, seed=4),
        GenerationSettings(max_new_tokens=12, temperature=1.2, top_k=9, min_p=0.01, repeat_penalty=1.2),
    ]

    def run() -> None:
        engine = Engine(target, NgramDrafter(), plan, adaptive=False)
        kept: list[int] = []
        for _ in range(count):
            text = kept[: pick.randrange(len(kept) + 1)] if kept else []
            keep = len(text)
            text = [*text, *(pick.randrange(6, 128) for _ in range(pick.randint(1, 90)))][: plan.context_tokens - 1]
            if keep >= len(text):
                text, keep = text[:1], 0
            sequence = engine.open(text, pick.choice(settings), keep=keep)
            stop_at = pick.randint(1, 400)
            while sequence.finished is None and stop_at:
                engine.step([sequence])
                stop_at -= 1
            kept = engine.close(sequence)
            engine.arena.check_integrity()

    rehearse(Engine(target, NgramDrafter(), plan, adaptive=False))
    assert 0 < allocated_peak(run) <= cap


def test_random_conversations_stay_under_the_cap() -> None:
    converse(30, seed=1)


@pytest.mark.stress
def test_two_hundred_random_conversations_stay_under_the_cap() -> None:
    converse(200, seed=2)
