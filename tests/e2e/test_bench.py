"""`specmemo bench` as people and scripts use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_cli import specmemo
from tests.reference import check_keys

QUICK = ["--dtype", "fp32", "--threads", "1", "--pairs", "2", "-n", "8"]


def test_json_on_stdout_has_the_keys_of_the_reference(tiny_folder: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"question_id": 81, "category": "writing", "turns": ["Hello there!", "And again!"]}\n')
    arguments = ["--model", str(tiny_folder), "--prompts", str(prompts), "--methods", "adaptive,eagle,transformers"]
    done = specmemo("bench", *arguments, *QUICK, "--json", timeout=280)
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    check_keys("`specmemo bench --json`", values, values | {"sweep": {}, "steps": {}, "memory": {}})
    assert values["schema"] == 1
    assert {"date", "torch", "transformers", "threads", "device", "dtype", "commit"} <= set(values["environment"])
    assert {"median", "low", "high", "pairs"} <= set(values["control"])
    assert list(values["methods"]) == ["plain", "adaptive", "transformers"]
    assert "eagle" in values["not_run"]
    for method in values["methods"].values():
        assert {
            "tokens_per_second", "speedup_vs_plain", "mean_acceptance_length", "generation_bytes", "peak_bytes",
            "planned_bytes", "identical_to_plain",
        } <= set(method)  # fmt: skip
        assert method["identical_to_plain"] == [2, 2]


BAD = [
    (["--methods", "llama.cpp"], 2, "llama.cpp"),
    (["--prompts", "nowhere.jsonl"], 2, "nowhere.jsonl"),
    (["--pairs", "0"], 2, "pairs"),
    (["--shape", "9000b"], 2, "9000b"),
    (["--shape", "1.1b", "--model", "qwen3-1.7b"], 2, "give one"),
    (["--shape", "1.1b", "--acceptance", "2"], 2, "probabilities"),
    (["--acceptance", "eagle"], 2, "replays"),
    (["--json", "nowhere/out.json"], 2, "no folder"),
    (["--plot", "bench.gif"], 2, ".gif"),
    (["--shape", "7b", "--max-memory", "1GiB"], 3, "7b"),
    (["--model", "no-such-model"], 4, "no-such-model"),
    (["--device", "cuda:99"], 5, "cuda"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(case[0])[-30:] for case in BAD])
def test_bad_input(arguments: list[str], code: int, words: str) -> None:
    done = specmemo("bench", *arguments, "--offline", timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert words in " ".join(done.stderr.split())
    assert done.stdout == ""
