"""The comparison in one process, on tiny models in fp32: every method says what plain decoding says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.bench.measuring.baseline_bytes import baseline_a, baseline_b, baseline_c
from specmemo_chat.bench.measuring.baselines import usual_plan
from specmemo_chat.bench.measuring.compare import compare, sweep
from specmemo_chat.bench.measuring.contest import Record, contest
from specmemo_chat.bench.measuring.job import Job, MemoryJob, RandomShape
from specmemo_chat.bench.measuring.memory import NAMES, memory_bench
from specmemo_chat.bench.measuring.methods import EngineMethod, Reply, common_prefix
from specmemo_chat.bench.measuring.process import run
from specmemo_chat.bench.measuring.steps import longest_prompt, step_times
from specmemo_chat.bench.measuring.subject import Subject
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.settings import GenerationSettings
from tests.heads import HIDDEN, write_eagle
from tests.models import tiny_plan
from tests.unit.test_bench_replay import CONFIG, HEAD

TALKS = (Talk("a", ("Hello there!", "And again: hello there!")), Talk("b", ("What is 2 plus 3?",)))


def silent(_done: int, _total: int, _what: str) -> None:
    """No progress."""


def plan_for(folder: Path, **changes: Any) -> Plan:
    return tiny_plan(**{"target": str(folder), "context_tokens": 512, "drafters": ("ngram",), **changes})


@pytest.fixture(scope="module")
def head_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """An EAGLE-1 head with random weights for the tiny model."""
    folder = tmp_path_factory.mktemp("head")
    config = json.loads((tiny_folder / "config.json").read_text())
    assert config["hidden_size"] == HIDDEN
    write_eagle(folder, pickled=False)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "vocab_size": config["vocab_size"]}))
    return folder


@pytest.fixture(scope="module")
def job(tiny_folder: Path, head_folder: Path) -> Job:
    chain = plan_for(tiny_folder, drafters=("ngram", "eagle"), draft=str(head_folder), draft_dtype="fp32")
    plans = {
        "plain": plan_for(tiny_folder, drafters=(), node_buckets=(1,)),
        "ngram": plan_for(tiny_folder),
        "eagle": replace(chain, drafters=("eagle",)),
        "chain": chain,
        "adaptive": chain,
    }
    return Job(
        plans=plans,
        methods=(*plans, "transformers", "transformers-prompt-lookup", "transformers-assisted"),
        settings=GenerationSettings(max_new_tokens=12),
        talks=TALKS,
        prompts="test",
        pairs=3,
        threads=1,
        assistant=str(tiny_folder),
    )


@pytest.fixture(scope="module")
def subject(job: Job) -> Subject:
    return Subject(job.plans["plain"], draft_plan=job.plans["chain"], assistant=job.assistant)


def test_every_method_says_what_plain_says(job: Job, subject: Subject) -> None:
    found, record = compare(job, subject, silent)
    assert list(found["methods"]) == list(job.methods)
    assert found["control"]["pairs"] == 3
    assert record.talks == ["a", "a", "b"]
    for name, values in found["methods"].items():
        assert values["identical_to_plain"] == [3, 3], name
        assert values["tokens_per_second"] > 0
        assert values["speedup_vs_plain"]["low"] <= values["speedup_vs_plain"]["median"]
        assert values["mean_acceptance_length"] >= 1.0, name
        assert values["generation_bytes"] > 0
        assert values["peak_bytes"] >= values["generation_bytes"]
        assert (values["planned_bytes"] is None) == name.startswith("transformers")
    methods = found["methods"]
    assert methods["plain"]["speedup_vs_plain"]["median"] == 1.0
    assert methods["plain"]["mean_acceptance_length"] == methods["transformers"]["mean_acceptance_length"] == 1.0
    # The assistant is the model itself: all of its guesses are right, one a step where it is not sure of them.
    assert methods["transformers-assisted"]["mean_acceptance_length"] >= 1.9
    assert methods["chain"]["drafter"] == "ngram+eagle"
    assert methods["eagle"]["generation_bytes"] > methods["plain"]["generation_bytes"]
    json.dumps(found)


def test_sampled_methods_of_the_engine_agree_too(job: Job, subject: Subject) -> None:
    sampled = replace(job, settings=GenerationSettings(max_new_tokens=8, temperature=0.9, seed=5), pairs=2)
    sampled = replace(sampled, methods=("plain", "ngram", "adaptive", "transformers"))
    methods = compare(sampled, subject, silent)[0]["methods"]
    for name in ("plain", "ngram", "adaptive"):
        assert methods[name]["identical_to_plain"] == [2, 2]
    assert methods["transformers"]["identical_to_plain"] is None


def test_the_sweep_compares_every_tree(job: Job, subject: Subject) -> None:
    plan = replace(job.plans["ngram"], node_buckets=(1, 2, 8))
    found, _ = sweep(replace(job, plans={**job.plans, "adaptive": plan}, pairs=2), subject, silent)
    assert list(found["fixed"]) == ["plain", "fixed-2", "fixed-8"]
    assert found["best_fixed"] in found["fixed"]
    assert found["adaptive_vs_best_fixed"]["pairs"] == 2
    assert all(values["identical_to_plain"] == [2, 2] for values in found["fixed"].values())


def test_the_time_of_a_step_by_size(job: Job, subject: Subject) -> None:
    prompt = longest_prompt(subject, TALKS, 400)
    assert len(prompt) == max(len(subject.dialogue(talk).prompt(talk.turns[0])) for talk in TALKS)
    plan = replace(job.plans["ngram"], node_buckets=(1, 2, 8))
    found = step_times(plan, subject, prompt, silent, 3)
    assert found["context_tokens"] == len(prompt)
    assert list(found["nodes"]) == ["1", "2", "8"]
    assert found["nodes"]["1"]["over_plain"]["median"] == 1.0
    assert all(values["seconds"] > 0 for values in found["nodes"].values())


def test_a_second_turn_reuses_the_first(job: Job, subject: Subject) -> None:
    method = EngineMethod("plain", subject.target, None, job.plans["plain"], adaptive=False)
    dialogue = subject.dialogue(TALKS[0])
    settings = GenerationSettings(max_new_tokens=6)
    first = dialogue.prompt("Hello there!")
    method.begin(first, settings)
    assert method.run(6)
    reply = method.end()
    assert len(reply.tokens) == reply.decoded + 1 == reply.steps + 1
    dialogue.answered(reply.tokens)
    second = dialogue.prompt("And again!")
    assert common_prefix(first, second) == len(first)
    method.begin(second, settings)
    assert method._open.statistics.reused_tokens >= len(first) - 1


def test_what_does_not_fit_the_context(job: Job, subject: Subject) -> None:
    long = Talk("long", ("word " * 400,))
    method = EngineMethod("plain", subject.target, None, job.plans["plain"], adaptive=False)
    with pytest.raises(UsageError, match=r"conversation long.*context holds 128"):
        contest(subject, [method], [long], job.settings, 1, silent, context_tokens=128)
    growing = Talk("growing", ("Hi!", "word " * 800))
    record = contest(subject, [method], [growing], job.settings, 1, silent, context_tokens=512)
    assert record.talks == ["growing"]
    record = contest(subject, [method], [growing], job.settings, 2, silent, context_tokens=512)
    assert record.notes == ["conversation growing: turn 2 does not fit the context of 512 tokens"]


class _Interrupting:
    """Plain decoding that is interrupted in its third reply (the warm-up counted)."""

    name = "plain"

    def __init__(self) -> None:
        self.begun = 0

    def enter(self) -> None:
        """Nothing to prepare."""

    def begin(self, prompt: list[int], settings: GenerationSettings) -> None:
        self.begun += 1
        if self.begun == 3:
            raise KeyboardInterrupt

    def run(self, tokens: int) -> bool:
        return True

    def end(self) -> Reply:
        return Reply((1, 2, 3), 0.1, 0.2, 2, 2)


def test_an_interrupt_keeps_what_was_measured(subject: Subject) -> None:
    record = contest(
        subject, [_Interrupting()], [Talk("one", ("Hi!",))], GenerationSettings(), 100, silent, context_tokens=512
    )
    assert record.interrupted
    assert record.talks == ["one"]
    assert len(record.replies["plain"]) == 1


def test_ratios_of_replies_without_a_second_token_are_none() -> None:
    short, long = Reply((1,), 0.1, 0.0, 0, 0), Reply((1, 2, 3), 0.1, 0.2, 2, 1)
    record = Record({"plain": [short, long], "other": [short, long]}, talks=["a", "b"])
    ratio = record.ratio("other")
    assert ratio is not None
    assert ratio.pairs == 1


# --- random shapes and memory ---

SHAPE = RandomShape("small", CONFIG, HEAD, (0.6,), "replayed: for a test")


def replayed_plan(**changes: Any) -> Plan:
    return tiny_plan(
        **{
            "context_tokens": 512,
            "drafters": ("eagle",),
            "draft": "none",
            "draft_dtype": "fp32",
            **changes,
        }
    )


def test_memory_against_the_baselines() -> None:
    uncapped = replayed_plan(node_buckets=(1, 2, 4, 8, 16, 32), growth_tokens=64, prefill_chunk=128)
    capped = replace(uncapped, node_buckets=(1, 2, 4), prefill_chunk=32, allocate_at_load=True)
    plans = {"uncapped": uncapped, "capped": capped}
    filled = {name: replace(plan, context_tokens=384) for name, plan in plans.items()}
    wanted = MemoryJob("small", plans, {384: filled}, {}, SHAPE)
    job = Job(
        plans={"plain": uncapped}, methods=("plain",), settings=GenerationSettings(max_new_tokens=20), talks=TALKS,
        prompts="test", pairs=2, memory=wanted,
    )  # fmt: skip
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job
    subject = Subject(uncapped, SHAPE)
    found, _ = memory_bench(job, wanted, subject, silent)
    assert found["replayed"] is True
    assert "replayed" in found["acceptance"]
    assert list(found["methods"]) == list(NAMES)
    for name in NAMES:
        assert found["methods"][name]["identical_to_uncapped"] == [2, 2], name
    taken = found["contexts"]["384"]["generation_bytes"]
    assert taken["baseline-a"] > taken["baseline-b"] > taken["uncapped"] > taken["capped"] > 0
    assert found["contexts"]["384"]["saved"]["baseline-a"] == pytest.approx(
        1 - taken["capped"] / taken["baseline-a"], abs=1e-4
    )
    # The formulas against what was measured, in fp32, where eager attention needs no copy before its softmax.
    spec = spec_from_config("small", "nowhere", CONFIG)
    shape = Shape(spec, "fp32", "fp32", 384, 32, 128, 0, draft=head_shape(parse(HEAD), "nowhere", "fp32"))
    prompt = 384 - 32 - 1
    assert taken["baseline-a"] == pytest.approx(baseline_a(shape, prompt), rel=0.15)
    assert taken["baseline-b"] == pytest.approx(baseline_b(shape, prompt), rel=0.25)
    assert taken["baseline-c"] == pytest.approx(baseline_c(shape, prompt), rel=0.25)


def test_the_usual_settings() -> None:
    plan = usual_plan(replayed_plan(context_tokens=512, drafters=("ngram", "eagle")))
    assert plan.context_tokens + 60 == 2048
    assert plan.node_buckets == (1, 60)
    assert (plan.tree_depth, plan.tree_width, plan.drafters) == (7, 10, ("eagle",))
    assert usual_plan(replayed_plan(context_tokens=4096)).context_tokens >= 4096


def test_the_process_puts_everything_together() -> None:
    plan = replayed_plan(node_buckets=(1, 2, 4))
    job = Job(
        plans={"plain": replace(plan, drafters=(), draft=None), "eagle": plan, "adaptive": plan},
        methods=("plain", "eagle", "adaptive", "transformers"),
        settings=GenerationSettings(max_new_tokens=12),
        talks=TALKS,
        prompts="test",
        pairs=2,
        threads=1,
        not_run={"ngram": "the text is scripted"},
        shape=SHAPE,
        environment={"model": "small"},
    )
    result = run(job, silent)
    assert result["schema"] == 1
    assert result["replayed"] is True
    assert result["not_run"] == {"ngram": "the text is scripted"}
    assert {"date", "torch", "transformers", "threads", "device", "dtype", "model", "commit"} <= set(
        result["environment"]
    )
    assert result["environment"]["threads"] == 1
    for name in job.methods:
        assert result["methods"][name]["identical_to_plain"] == [2, 2]
    assert "replayed" in result["methods"]["eagle"]["drafter"]
    json.dumps(result)
