"""The terminal's side of a measurement: progress, errors, interrupts, the death of the process; flags to jobs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.bench.asking import memory_job
from specmemo_chat.bench.asking.make_job import BenchChoice, make_job
from specmemo_chat.bench.asking.output import check_outputs, show
from specmemo_chat.bench.asking.run_job import run_job
from specmemo_chat.bench.asking.shape_case import acceptance_of
from specmemo_chat.bench.measuring.job import METHODS, Job
from specmemo_chat.bench.measuring.saving import computed_bytes, savings
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.errors import PlanError, SpecmemoError, UsageError, WorkerError
from specmemo_chat.memory.throughput import DeviceSpeed
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.sizes import MIB
from specmemo_chat.terminal.console import Screen
from tests.models import tiny_plan


def a_job() -> Job:
    return Job(
        plans={"plain": tiny_plan()}, methods=("plain",), settings=GenerationSettings(), talks=(Talk("a", ("Hi",)),),
        prompts="test",
    )  # fmt: skip


def process(code: str) -> list[str]:
    """A stand-in for the measuring process: it has read its job."""
    start = "import json, os, signal, sys, time\njob = json.loads(sys.stdin.readline())\n"
    say = "def say(**values): print(json.dumps(values), flush=True)\n"
    return [sys.executable, "-c", start + say + code]


def test_progress_and_result() -> None:
    code = "say(progress=[1, 2, 'x'])\nsay(result={'methods': job['methods'], 'talks': job['talks']})"
    result = run_job(a_job(), Screen(quiet=True), process(code))
    assert result == {"methods": ["plain"], "talks": [{"id": "a", "turns": ["Hi"], "system": None}]}


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (3, PlanError), (1, SpecmemoError)])
def test_errors_cross_the_boundary(code: int, kind: type[SpecmemoError]) -> None:
    error = f"say(error={{'message': 'no', 'remedy': 'try', 'exit_code': {code}}})"
    with pytest.raises(kind, match="no") as raised:
        run_job(a_job(), Screen(quiet=True), process(error))
    assert (raised.value.exit_code, raised.value.remedy) == (code, "try")


def test_a_death_without_a_word() -> None:
    with pytest.raises(WorkerError, match="ended with 3: the last line"):
        run_job(a_job(), Screen(quiet=True), process("sys.stderr.write('first\\nthe last line')\nsys.exit(3)"))
    with pytest.raises(WorkerError, match="killed"):
        run_job(a_job(), Screen(quiet=True), process("os.kill(os.getpid(), signal.SIGKILL)"))


WAITING = """
def end(*_):
    {on_interrupt}
signal.signal(signal.SIGINT, end)
say(progress=[0, 0, 'ready'])
open({marker!r}, 'w').close()
time.sleep(60)
"""


def interrupt(marker: Path, times: int) -> None:
    """Send this process `times` interrupts once the other one waits."""
    until = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < until:
        time.sleep(0.02)
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)


def test_an_interrupt_brings_what_there_is(tmp_path: Path) -> None:
    marker = tmp_path / "ready"
    code = WAITING.format(on_interrupt="say(result={'interrupted': True}); os._exit(0)", marker=str(marker))
    threading.Thread(target=interrupt, args=(marker, 1)).start()
    assert run_job(a_job(), Screen(quiet=True), process(code)) == {"interrupted": True}
    # The handler of before is back.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_while_the_model_loads_is_final(tmp_path: Path) -> None:
    marker = tmp_path / "ready"
    code = WAITING.format(on_interrupt="pass", marker=str(marker)).replace("'ready'", "'loading'")
    threading.Thread(target=interrupt, args=(marker, 1)).start()
    with pytest.raises(KeyboardInterrupt):
        run_job(a_job(), Screen(quiet=True), process(code))


def test_a_second_interrupt_is_final(tmp_path: Path) -> None:
    marker = tmp_path / "ready"
    code = WAITING.format(on_interrupt="pass", marker=str(marker))
    threading.Thread(target=interrupt, args=(marker, 2)).start()
    with pytest.raises(KeyboardInterrupt):
        run_job(a_job(), Screen(quiet=True), process(code))


# --- from flags to a job ---


def job_for(tiny_folder: Path | None, **changes: Any) -> Job:
    model = {"model": str(tiny_folder)} if tiny_folder is not None else {}
    choice = ModelChoice(**{"dtype": "fp32", "device": "cpu", **model, **changes.pop("choice", {})})
    fields: dict[str, Any] = {
        "prompts": "pocket", "methods": None, "memory": False, "sweep": False, "pairs": 100, "threads": 0,
        "assistant": None, "shape": None, "acceptance": None,
    }  # fmt: skip
    wanted = BenchChoice(**{**fields, **changes})
    return make_job(wanted, choice, SamplingChoice(seed=0, max_new_tokens=64), Screen(quiet=True), step_times)


def step_times(job: Job) -> dict[str, Any]:
    """In place of a measurement: a node takes a tenth of a plain step."""
    assert job.times
    assert list(job.plans) == ["adaptive"]
    steps = [[False, nodes, 64, 0.009 + 0.001 * nodes, 3] for nodes in (1, 2, 4, 8, 16, 32, 64)]
    return {"times": {"steps": steps, "drafts": [["eagle (replayed)", 1, "begin", 0.001, 3]]}}


def test_what_cannot_run_is_named(tiny_folder: Path) -> None:
    job = job_for(tiny_folder)
    assert set(job.methods) | set(job.not_run) == set(METHODS)
    assert set(job.not_run) == {"eagle", "chain", "transformers-assisted"}
    assert "--draft" in job.not_run["eagle"]
    assert "--assistant" in job.not_run["transformers-assisted"]
    assert {plan.context_tokens for plan in job.plans.values()} == {job.plans["adaptive"].context_tokens}
    assert job.plans["plain"].node_buckets == (1,)
    assert job.plans["plain"].drafters == ()
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job


def test_without_a_draft_and_with_an_assistant(tiny_folder: Path) -> None:
    job = job_for(tiny_folder, choice={"draft": "none"}, assistant=str(tiny_folder))
    assert job.methods == ("plain", "transformers", "transformers-prompt-lookup", "transformers-assisted")
    assert job.assistant == str(tiny_folder)
    assert "--draft none" in job.not_run["adaptive"]
    with pytest.raises(UsageError, match="--draft none"):
        job_for(tiny_folder, choice={"draft": "none"}, sweep=True)


def test_methods_are_chosen_and_plain_is_always_there(tiny_folder: Path) -> None:
    job = job_for(tiny_folder, methods="adaptive, eagle")
    assert job.methods == ("plain", "adaptive")
    assert list(job.not_run) == ["eagle"]
    for wrong in ("adaptive,llama.cpp", " , "):
        with pytest.raises(UsageError, match="methods"):
            job_for(tiny_folder, methods=wrong)


def test_a_random_shape_is_replayed_and_says_so(tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 2048, "max_position_embeddings": 512,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    job = job_for(None, shape=str(path), acceptance="0.8,0.7")
    assert job.shape is not None
    assert job.shape.acceptance == (0.8, 0.7)
    assert "replayed" in str(job.environment["acceptance"])
    assert job.methods == ("plain", "eagle", "adaptive", "transformers")
    assert "scripted" in job.not_run["ngram"]
    assert job.plans["eagle"].drafters == ("eagle",)
    assert job.plans["eagle"].terms.draft_weights > 0 == job.plans["plain"].terms.draft_weights


def test_memory_without_a_head_runs_the_models_shape(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 10 GB/s and 100 GFLOP/s: measuring this processor takes a second.
    speed = DeviceSpeed("cpu", 10 * 10**9, 10**11, "a processor as measured")
    monkeypatch.setattr(memory_job, "measured_speed", lambda *_: speed)
    job = job_for(tiny_folder, memory=True)
    assert not job.compare
    assert job.not_run == {}
    memory = job.memory
    assert memory is not None
    assert memory.shape is not None
    assert "EAGLE-2" in memory.shape.source
    assert memory.times is not None
    # A few nodes' distributions are drawn at a time, so the tree costs next to nothing: the chunk is what can give way.
    capped, uncapped = memory.plans["capped"], memory.plans["uncapped"]
    assert capped.tree_nodes == uncapped.tree_nodes
    assert capped.prefill_chunk < uncapped.prefill_chunk
    assert list(memory.contexts) == [1024, 2048, 4096]
    for size, plans in memory.contexts.items():
        assert plans["capped"].context_tokens == plans["uncapped"].context_tokens == size
        assert plans["capped"].generation_bytes <= plans["uncapped"].generation_bytes
        assert plans["capped"].cap_bytes < plans["uncapped"].cap_bytes
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job


def test_the_papers_model_is_computed_without_being_here() -> None:
    computed = memory_job._computed([200, 600, 700], 256)
    assert (computed["model"], computed["device"], computed["dtype"]) == ("llama-2-7b-chat", "titan-rtx-24gb", "fp16")
    at_1k = computed["contexts"]["1024"]["generation_bytes"]
    # By hand: 2,048 slots of 524,288 bytes, 2,108 of 16,384 for the head; 768 tokens of prompt: scores 32 · 768² · 6,
    # queries, keys and values 768 · 2 · 5 · 4,096, four residuals and the feature 5 · 768 · 8,192, the mask 768² · 2.
    by_hand = 2048 * 524_288 + 2108 * 16_384 + 32 * 768**2 * 6 + 768 * 2 * 5 * 4096 + 5 * 768 * 8192 + 768**2 * 2
    assert at_1k["baseline-a"] == pytest.approx(by_hand, rel=0.01)
    for part in (computed["conversation"], *computed["contexts"].values()):
        taken = part["generation_bytes"]
        assert taken["baseline-a"] > taken["baseline-b"] > taken["baseline-c"] > 0
        assert part["saved"]["baseline-a"] == pytest.approx(1 - taken["capped"] / taken["baseline-a"], abs=1e-4)
    # 600 tokens and a tree of 64: an arena of 704 slots, and as many for the head's one layer.
    conversation = computed["conversation"]
    assert (conversation["tokens"], conversation["context_tokens"]) == (600, 1024)
    held = conversation["generation_bytes"]["capped"] - 704 * 524_288 - 704 * 16_384
    assert 0 < held < 64 * MIB


def test_the_length_of_a_conversation_counts_both_replies() -> None:
    talks = [Talk("1", ("hello", "hello hello")), Talk("2", ("hello",))]
    two, one = memory_job.conversation_tokens(talks, 100)
    assert 200 < two < 300
    assert 100 < one < 120


def test_savings() -> None:
    assert savings({"capped": 25, "baseline-a": 100, "baseline-b": 50}) == {"baseline-a": 0.75, "baseline-b": 0.5}
    assert computed_bytes.__module__ == "specmemo_chat.bench.measuring.saving"


@pytest.mark.parametrize("given", ["eagle4", "0.5,x", "1.5", "", "nan"])
def test_acceptance_that_makes_no_sense(given: str) -> None:
    with pytest.raises(UsageError, match="acceptance"):
        acceptance_of(given)


# --- what is shown ---

RATIO = {"median": 1.9, "low": 1.8, "high": 2.0, "pairs": 100}
RESULT: dict[str, Any] = {
    "schema": 1,
    "environment": {
        "model": "small", "dtype": "bf16", "device": "cpu", "device_name": "a processor", "threads": 2,
        "torch": "2.13", "transformers": "5.23", "acceptance": "replayed: for a test",
    },
    "prompts": {"source": "pocket", "conversations": 60},
    "replayed": True,
    "notes": ["a note"],
    "not_run": {"ngram": "the text is scripted"},
    "interrupted": True,
    "control": RATIO,
    "methods": {
        "adaptive": {
            "tokens_per_second": 812.5, "speedup_vs_plain": RATIO, "reply_speedup_vs_plain": RATIO,
            "mean_acceptance_length": 3.41, "generation_bytes": 3 << 20, "peak_bytes": 4 << 20,
            "planned_bytes": 5 << 20, "identical_to_plain": [100, 100],
        },
    },
}  # fmt: skip


def test_the_tables_say_what_was_replayed_and_left_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    show(RESULT, Screen(quiet=True), str(tmp_path / "out.json"), None)
    shown = capsys.readouterr().out
    for words in ("REPLAYED", "1.90 [1.80 2.00]", "812.5", "3.0 MiB", "100/100", "not run: ngram", "interrupted"):
        assert words in shown
    assert json.loads((tmp_path / "out.json").read_text()) == RESULT


def test_json_on_stdout_replaces_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    show(RESULT, Screen(), "-", None)
    assert json.loads(capsys.readouterr().out) == RESULT


def test_outputs_are_checked_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        check_outputs(str(tmp_path / "nowhere" / "out.json"), None)
    with pytest.raises(UsageError, match=r"\.gif"):
        check_outputs(None, tmp_path / "picture.gif")
    check_outputs("-", None)
    check_outputs(None, None)


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    show(RESULT, Screen(quiet=True), "-", tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
