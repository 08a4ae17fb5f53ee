"""What packed models and heads take is what was planned for them, to the byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.bench.asking.shape_case import shape_case
from specmemo_chat.bench.measuring.shapes import random_head
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.weights import draft_weights, target_weights
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.matrices.rates import measure
from specmemo_chat.models.target import Target
from specmemo_chat.setup.configuration import read
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.planning import check_flags
from specmemo_chat.terminal.console import Screen

CONFIG: dict[str, Any] = {
    "model_type": "llama", "max_position_embeddings": 512, "rope_theta": 10000.0, "hidden_size": 96,
    "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32, "vocab_size": 300, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["q8", "q4"])
@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"attention_bias": True}], ids=str)
def test_a_packed_model_takes_the_bytes_that_were_planned(dtype: Any, changes: dict[str, Any]) -> None:
    config = {**CONFIG, **changes}
    model = drawn_model(config, dtype=dtype, compute="fp32", device="cpu", seed=1)
    spec = spec_from_config("m", "m", config)
    assert target_weights(spec, dtype, "fp32", cpu=True) == model.nbytes


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
@pytest.mark.parametrize("dtype", ["bf16", "q8", "q4"])
def test_a_packed_head_takes_the_bytes_that_were_planned(dtype: Any, kind: str) -> None:
    target = Target(drawn_model(CONFIG, dtype="fp32", device="cpu", seed=1), frozenset())
    config = {**CONFIG, "num_hidden_layers": 1, "architectures": ["LlamaForCausalLM" + "Eagle3" * (kind == "eagle3")]}
    if kind == "eagle3":
        config["draft_vocab_size"] = 128
    head_config = parse(config)
    head = random_head(head_config, target, dtype, 1)
    shape = replace(head_shape(head_config, "a head", dtype), computed="fp32")
    assert head.nbytes == draft_weights(shape, cpu=True)
    assert head.dtype == (torch.bfloat16 if dtype == "bf16" else torch.float32)


@pytest.mark.parametrize("dtype", ["q8", "q4"])
def test_a_benchmark_of_a_shape_is_planned_in_it(dtype: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG))
    choice = ModelChoice(dtype=dtype, device="cpu", ctx_size=128)
    plan = shape_case(str(file), None, choice, Screen(quiet=True)).plan()
    assert plan.dtype == dtype
    assert plan.draft_dtype == plan.kv_dtype or plan.draft_dtype == "fp32"


@pytest.mark.parametrize(("old", "new"), [("int8", "q8"), ("nf4", "q4")])
def test_old_names_are_taken_from_config_toml_and_said(old: str, new: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'dtype = "{old}"\n')
    assert read(file) == {"dtype": old}
    request = check_flags(ModelChoice(dtype=read(file)["dtype"]))
    assert (request.dtype, request.notes) == (new, (f"--dtype {old} is called {new} now",))


def test_products_are_measured_in_every_precision() -> None:
    found = measure(("fp32", "bf16", "q8", "q4"), torch.float32, side=64)
    assert list(found) == ["fp32", "bf16", "q8", "q4"]
    for points in found.values():
        assert [point[0] for point in points] == sorted(point[0] for point in points)
        times = [point[1] for point in points]
        assert times == sorted(times)
        assert times[0] > 0
