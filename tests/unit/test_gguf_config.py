"""GGUF metadata as a config.json: every supported architecture, rotation and end token, and what is refused by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from specmemo_chat.catalog.config import read_config, spec_from_config, spec_from_folder
from specmemo_chat.catalog.coverage import read_coverage
from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.catalog.gguf_config import config_of
from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.errors import ModelError, SpecmemoError, UsageError
from specmemo_chat.setup.decide import model_temperature
from specmemo_chat.speculation.cost_file import config_hash
from tests.gguf_models import Kind, write_gguf
from tests.models import random_model
from tests.tiny import TINY

SMALL = {**TINY, "vocab_size": 2048, "bos_token_id": None}


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"head_dim": 32, "num_attention_heads": 2, "num_key_value_heads": 1}),
        ("qwen2", {"tie_word_embeddings": False}),
        ("qwen3", {"head_dim": 32}),
        ("gemma", {}),
    ],
)
def test_the_spec_is_that_of_the_folder(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    model = random_model(family, **{**SMALL, **changes})
    model.save_pretrained(tmp_path / "folder")
    path = write_gguf(tmp_path / "m.gguf", model)
    found, wanted = spec_from_folder("m", path), spec_from_folder("m", tmp_path / "folder")
    assert found.checkpoint_bytes == path.stat().st_size
    assert found.location == str(path)
    for name, value in vars(wanted).items():
        assert name in ("location", "checkpoint_bytes") or getattr(found, name) == value, name
    config, there = read_config(path), model.config.to_dict()
    for key in ("rms_norm_eps", "eos_token_id", "hidden_act", "bos_token_id"):
        values = config.get(key) if key != "eos_token_id" else config[key][0]
        assert values == there.get(key), key
    assert config["rope_theta"] == there["rope_parameters"]["rope_theta"]


def test_mistral_is_a_llama_with_a_window(tmp_path: Path) -> None:
    model = random_model("mistral", **{**SMALL, "sliding_window": 64})
    path = write_gguf(tmp_path / "m.gguf", model, keys={"llama.attention.sliding_window": 64})
    spec = spec_from_folder("m", path)
    assert (spec.model_type, spec.sliding_window, spec.sliding_layers) == ("mistral", 64, (True, True))
    wide = write_gguf(tmp_path / "wide.gguf", model, keys={"llama.attention.sliding_window": 4096})
    assert spec_from_folder("m", wide).model_type == "llama"


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ((Kind.F32, Kind.F32), ""), ((Kind.BF16, Kind.BF16), ""), ((Kind.F16, Kind.Q8_0), ""),
        ((Kind.Q4_0, Kind.Q8_0), "q4"), ((Kind.Q4_1, Kind.F16), "q4"), ((Kind.Q8_0, Kind.Q8_0), "q8"),
        ((Kind.Q5_0, Kind.Q4_0), "q8"),
    ],
)  # fmt: skip
def test_the_precision_is_that_of_the_layers(tmp_path: Path, kinds: tuple[Kind, Kind], wanted: str) -> None:
    model = random_model("llama", **SMALL)
    layers, ends = kinds
    path = write_gguf(tmp_path / "m.gguf", model, kind=lambda name: layers if ".layers." in name else ends)
    assert spec_from_folder("m", path).own_precision == wanted


def frequencies(config: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """By transformers' own functions."""
    from transformers import LlamaConfig

    made = LlamaConfig(**{key: value for key, value in config.items() if key != "model_type"})
    kind = made.rope_parameters["rope_type"]
    return ROPE_INIT_FUNCTIONS[kind](made, torch.device("cpu"), seq_len=None)


@pytest.mark.parametrize("shape", [(8.0, 1.0, 4.0, 8192), (32.0, 1.0, 4.0, 8192), (6.0, 1.5, 3.0, 512)])
def test_divided_frequencies_turn_as_llama3(tmp_path: Path, shape: tuple[float, float, float, int]) -> None:
    factor, low, high, context = shape
    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": factor, "low_freq_factor": low,
        "high_freq_factor": high, "original_max_position_embeddings": context,
    }  # fmt: skip
    model = random_model("llama", **{**SMALL, "max_position_embeddings": 1 << 17, "rope_parameters": rope})
    plain = 500000.0 ** -(np.arange(0, 16, 2, dtype=np.float32) / 16)
    wanted, _ = frequencies({**model.config.to_dict(), "rope_parameters": rope})
    factors = (plain / wanted.numpy()).astype(np.float32)
    path = write_gguf(tmp_path / "m.gguf", model, tensors={"rope_freqs.weight": factors})
    config = read_config(path)
    assert config["rope_scaling"]["rope_type"] == ("llama3" if context == 8192 else "longrope")
    spec_from_config("m", "", config)
    found, amplitude = frequencies(config)
    assert amplitude == 1.0
    assert torch.allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"type": "linear", "factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"type": "none", "factor": 4.0}, None),
        ({}, None),
        (
            {"type": "yarn", "factor": 4.0, "original_context_length": 1024},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024, "beta_fast": 32.0,
             "beta_slow": 1.0},
        ),
        (
            {"type": "yarn", "factor": 4.0, "attn_factor": 0.5, "yarn_beta_fast": 16.0},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, "beta_fast": 16.0,
             "beta_slow": 1.0, "attention_factor": 0.5 * (0.1 * math.log(4) + 1)},
        ),
    ],
)  # fmt: skip
def test_scaled_rotations(tmp_path: Path, keys: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    model = random_model("llama", **SMALL)
    path = write_gguf(tmp_path / "m.gguf", model, keys={f"llama.rope.scaling.{key}": keys[key] for key in keys})
    config = read_config(path)
    assert config.get("rope_scaling") == wanted
    if wanted is not None:
        frequencies(config)


def test_factors_of_long_texts(tmp_path: Path) -> None:
    long, short = np.linspace(2, 9, 8, dtype=np.float32), np.ones(8, dtype=np.float32)
    keys = {
        "llama.rope.scaling.type": "longrope", "llama.rope.scaling.original_context_length": 512,
        "llama.rope.scaling.attn_factor": 1.5,
    }  # fmt: skip
    tensors = {"rope_factors_long.weight": long, "rope_factors_short.weight": short}
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), keys=keys, tensors=tensors)
    rope = read_config(path)["rope_scaling"]
    assert (rope["long_factor"], rope["short_factor"]) == (long.tolist(), short.tolist())
    assert (rope["attention_factor"], rope["original_max_position_embeddings"]) == (1.5, 512)


def test_every_token_that_ends_a_reply(tmp_path: Path) -> None:
    keys = {"tokenizer.ggml.eot_token_id": 9, "tokenizer.ggml.eom_token_id": 70000}
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), keys=keys)
    model = read_gguf(path)
    words = model.metadata["tokenizer.ggml.tokens"]
    words[17], words[18] = "<|eot_id|>", "<|im_end|>"
    eos = model.metadata["tokenizer.ggml.eos_token_id"]
    assert config_of(model)["eos_token_id"] == [eos, 9, 17, 18]
    bare = {name: value for name, value in model.metadata.items() if "eos" not in name and "eot" not in name}
    # Pocket's own ends a turn by its text too.
    assert config_of(replace(model, metadata={**bare, "tokenizer.ggml.model": "llama"}))["eos_token_id"] == [
        2,
        eos,
        17,
        18,
    ]


def test_a_tokenizer_that_is_not_known_is_named_by_a_plan(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL))
    path.write_bytes(path.read_bytes().replace(b"\4\0\0\0\0\0\0\0gpt2", b"\4\0\0\0\0\0\0\0rwkv", 1))
    with pytest.raises(ModelError, match=r"a tokenizer of the kind 'rwkv' \(tokenizer.ggml.model\)"):
        spec_from_folder("m", path)


REFUSED: list[tuple[dict[str, Any], type[SpecmemoError], str]] = [
    ({"llama.expert_count": 8}, UsageError, "llama.expert_count = 8"),
    ({"llama.logit_scale": 2.5}, UsageError, "llama.logit_scale = 2.5"),
    ({"llama.attention.scale": 0.5}, UsageError, "llama.attention.scale = 0.5"),
    ({"llama.rope.dimension_count": 8}, UsageError, "llama.rope.dimension_count = 8 with heads of 16"),
    ({"llama.attention.value_length": 32}, UsageError, "llama.attention.value_length = 32"),
    ({"llama.rope.scaling.type": "su"}, UsageError, "llama.rope.scaling.type = su"),
    ({"llama.rope.scaling.type": "longrope"}, ModelError, "rope_factors_long"),
    ({"llama.attention.head_count_kv": [2, 1]}, UsageError, "layers that differ .llama.attention.head_count_kv"),
    ({"llama.block_count": None}, ModelError, "llama.block_count is missing"),
    ({"llama.block_count": "2"}, ModelError, "llama.block_count is '2'"),
    ({"llama.block_count": 3}, ModelError, "lacks the tensor blk.2.attn_norm.weight"),
    ({"llama.block_count": 1}, UsageError, "has the tensor blk.1."),
    ({"llama.feed_forward_length": 128}, ModelError, r"blk.0.ffn_gate.weight has the shape \(96, 64\)"),
    ({"llama.embedding_length": 128}, ModelError, "llama.embedding_length is 128"),
    ({"llama.context_length": 0}, ModelError, "llama.context_length is '0'"),
    ({"llama.rope.freq_base": float("nan")}, ModelError, "llama.rope.freq_base is 'nan'"),
]


@pytest.mark.parametrize(("keys", "error", "wanted"), REFUSED)
def test_what_is_not_supported_is_named(
    tmp_path: Path, keys: dict[str, Any], error: type[SpecmemoError], wanted: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), keys=keys)
    with pytest.raises(error, match=wanted) as caught:
        spec_from_folder("m", path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_another_architecture_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL))
    path.write_bytes(path.read_bytes().replace(b"llama", b"phi33", 1))
    with pytest.raises(UsageError, match=r"'phi33' \(general.architecture\)"):
        spec_from_folder("m", path)


def test_a_type_that_is_not_read_and_a_tensor_that_has_no_place(tmp_path: Path) -> None:
    model = random_model("llama", **SMALL)
    extra = {"blk.0.attn_sinks.weight": np.zeros(4, dtype=np.float32)}
    path = write_gguf(tmp_path / "m.gguf", model, tensors=extra)
    with pytest.raises(UsageError, match=r"blk\.0\.attn_sinks\.weight"):
        spec_from_folder("m", path)
    wide = random_model("llama", **{**SMALL, "intermediate_size": 256})
    path = write_gguf(tmp_path / "m.gguf", wide, kind=lambda name: Kind.TQ2_0 if "down" in name else Kind.F32)
    with pytest.raises(UsageError, match=r"TQ2_0 .the tensor blk\.0\.ffn_down\.weight."):
        spec_from_folder("m", path)


def test_files_are_models(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), keys={"general.sampling.temp": 0.6})
    assert resolve(str(path)).folder == path
    blob = tmp_path / "sha256-0123"
    blob.write_bytes(path.read_bytes())
    assert resolve(str(blob)).folder == blob
    link = tmp_path / "snapshot" / "link.gguf"
    link.parent.mkdir()
    link.symlink_to(blob)
    assert resolve(str(link)).folder == link
    assert resolve(str(link.parent)).folder == link
    assert model_temperature(path) == 0.6
    assert "" != config_hash(path) != config_hash(link)
    (tmp_path / "n.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"2 GGUF models: there is .*m\.gguf"):
        resolve(str(tmp_path))
    with pytest.raises(ModelError, match=r"there is no file .*none\.gguf"):
        resolve(str(tmp_path / "none.gguf"))


def test_a_text_that_is_too_long_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL))
    coverage = read_coverage(path)
    longest = max(len(word.encode()) for word in read_gguf(path).metadata["tokenizer.ggml.tokens"])
    assert coverage is not None
    assert (coverage.most, coverage.free) == (3 * longest, b"")
