"""The benchmark of weights' formats, on a CPU: every figure is there, and its trees hold a path behind wrong leaves."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks import gpu_weights
from benchmarks.tests.test_batching import CONFIG


def test_every_figure_of_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_weights, "ROUNDS", 2)
    shape, output = tmp_path / "config.json", tmp_path / "result.json"
    shape.write_text(json.dumps(CONFIG), encoding="utf-8")
    flags = ["--shape", str(shape), "--device", "cpu", "--nodes", "1,6", "--context", "40", "--tokens", "12"]
    gpu_weights.main([*flags, "--formats", "fp32", "--output", str(output)])
    result = json.loads(output.read_text(encoding="utf-8"))
    assert result["kernels"] == "there are no kernels for cpu"
    figures = result["formats"]["fp32"]
    assert set(figures["steps"]) == {"1", "6"}
    assert figures["steps"]["1"]["of_plain"] == 1
    assert figures["identical"]["6"]["text"]
    assert figures["weight_bytes"] > 0


def test_a_trees_path_stands_behind_wrong_leaves() -> None:
    path = [9, 8, 7, 6]
    tree, places = gpu_weights.branched(path, random.Random(1), 12)
    tree.check()
    assert len(tree) == 12
    assert [tree.tokens[place] for place in places] == path
    assert list(tree.path(places[-1])) == places != list(range(4))
    assert gpu_weights.accepted(tree, [8, *[0] * 11][:12]) == [0, places[1]]
