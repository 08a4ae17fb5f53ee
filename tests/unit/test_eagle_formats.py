"""Draft heads in every published layout give the logits of a plain reference; what is missing or wrong is named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from specmemo_chat.drafters.eagle_config import Rope, draft_kind, parse, read_config
from specmemo_chat.drafters.eagle_format import read_head, write_head
from specmemo_chat.drafters.eagle_head import EagleHead, frequencies, load_head
from specmemo_chat.drafters.level_tree import Appended
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.models.target import Target
from tests.eagle_reference import eagle3_reference, eagle_reference
from tests.heads import HEADS, HIDDEN, layer_config, save, write_eagle, write_eagle3
from tests.models import VOCABULARY, random_model, target_of

TEXT = [3, 17, 5, 44, 8, 21, 9]


def head_logits(head: EagleHead, tokens: list[int], features: torch.Tensor, extra: int) -> list[torch.Tensor]:
    """The same from the code under test."""
    config = head.config
    arena = KVArena(
        1,
        1,
        config.kv_heads,
        config.head_dim,
        dtype=torch.float32,
        device="cpu",
        limit_tokens=32,
        growth_tokens=16,
        scratch_tokens=8,
    )
    logits = []
    states = head.states(features[None])
    for chunk in (range(3), range(3, len(tokens)), range(len(tokens), len(tokens) + 1)):
        given = [[*tokens, extra][at] for at in chunk]
        step = states[:, chunk.start : chunk.stop] if chunk.start < len(tokens) else out[:, -1:]  # noqa: F821
        placed = Appended(arena, [0], [given], torch.device("cpu"))
        window = arena.window([0], placed.slots, placed.view)
        out = head(torch.tensor([given]), step, head.turns(placed.positions), arena, window, placed.mask)
        arena.extend(0, len(given))
        logits.extend(head.logits(out)[0])
    return logits


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama"))


def features_of(width: int) -> torch.Tensor:
    return torch.randn((len(TEXT), width), generator=torch.Generator().manual_seed(5))


def check(mine: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert len(mine) == len(expected) == len(TEXT) + 1
    for ours, theirs in zip(mine, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"qkv_bias": True, "pickled": False}], ids=str)
def test_eagle_1_heads_give_the_reference_logits(tmp_path: Path, target: Target, options: dict[str, bool]) -> None:
    weights = write_eagle(tmp_path, **options)
    head = load_head(tmp_path, target, "fp32")
    features = features_of(HIDDEN)
    assert head.config.feature_layers(32) == (32,)
    check(head_logits(head, TEXT, features, 11), eagle_reference(weights, target.model, TEXT, features, [11]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"draft_vocab": 24},
        {"draft_vocab": 24, "head_dim": 24},
        {"layers": (0, 2)},
        {"layout": "speculators", "draft_vocab": 24, "norm_before_residual": True},
        {"layout": "speculators", "norm_before_fc": True, "norm_output": True},
        {"prefix": "model.", "fc_norm": True, "norm_output": True},
    ],
    ids=str,
)
def test_eagle_3_heads_give_the_reference_logits(tmp_path: Path, target: Target, options: dict[str, Any]) -> None:
    weights = write_eagle3(tmp_path, **options)
    head = load_head(tmp_path, target, "fp32")
    layers = options.get("layers", (0, 1, 2))
    features = features_of(HIDDEN * len(layers))
    assert head.config.feature_layers(target.layers) == layers
    switches = {name: value for name, value in options.items() if name.startswith(("norm", "fc"))}
    expected = eagle3_reference(
        weights, target.model.model.embed_tokens.weight, TEXT, features, [11], count=len(layers), **switches
    )
    check(head_logits(head, TEXT, features, 11), expected)
    if "draft_vocab" in options:
        assert head.target_ids.tolist() == weights["t2d"].nonzero()[:, 0].tolist()
    else:
        assert head.target_ids.tolist() == list(range(VOCABULARY))


def test_a_head_of_another_width_brings_its_own_embedding(tmp_path: Path) -> None:
    wide = target_of(random_model("llama", hidden_size=96))
    weights = write_eagle3(tmp_path, target_hidden=96)
    head = load_head(tmp_path, wide, "fp32")
    features = features_of(96 * 3)
    expected = eagle3_reference(weights, weights["embed_tokens.weight"], TEXT, features, [11])
    check(head_logits(head, TEXT, features, 11), expected)


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
def test_what_is_written_is_read_again(tmp_path: Path, target: Target, kind: str) -> None:
    if kind == "eagle":
        write_eagle(tmp_path / "first", qkv_bias=True)
    else:
        write_eagle3(tmp_path / "first", draft_vocab=24, head_dim=24, norm_before_residual=True, fc_norm=True)
    config, tensors = read_head(tmp_path / "first")
    write_head(tmp_path / "second", config, tensors)
    again, copies = read_head(tmp_path / "second")
    assert again == config
    assert copies.keys() == tensors.keys()
    assert all(torch.equal(copies[name], tensors[name]) for name in tensors)
    load_head(tmp_path / "second", target, "bf16")
    written = load_file(tmp_path / "second" / "model.safetensors")
    values = json.loads((tmp_path / "second" / "config.json").read_text())
    if kind == "eagle3":
        assert torch.equal(written["t2d"], load_file(tmp_path / "first" / "model.safetensors")["t2d"])
        assert values["architectures"] == ["LlamaForCausalLMEagle3"]
        assert values["eagle_aux_hidden_state_layer_ids"] == [0, 1, 2]
        assert values["eagle_config"]["eagle_aux_hidden_state_layer_ids"] == [-1, 0, 1]
    else:
        assert "layers.0.self_attn.q_proj.weight" in written
        assert values["bias"] is True


def test_published_configs_are_told_apart() -> None:
    flat = layer_config()
    assert draft_kind(flat) == "eagle"
    assert draft_kind({**flat, "draft_vocab_size": 32000}) == "eagle3"
    assert draft_kind({**flat, "architectures": ["Eagle3LlamaForCausalLM"]}) == "eagle3"
    assert draft_kind({"speculators_model_type": "eagle3", "transformer_layer_config": flat}) == "eagle3"
    assert draft_kind({**flat, "num_hidden_layers": 16}) == "model"
    config = parse({**flat, "draft_vocab_size": 32})
    # No key: the convention of the reference.
    assert config.feature_layers(32) == (2, 16, 29)
    assert config.head_dim == HIDDEN // HEADS
    assert parse(flat).fc_bias
    assert parse(flat).rope == Rope(10000.0)


def test_scaled_positions_are_transformers_own() -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.llama.configuration_llama import LlamaConfig

    llama3 = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    for scaling in (llama3, {"rope_type": "linear", "factor": 4.0}):
        config = LlamaConfig(
            hidden_size=512,
            num_attention_heads=4,
            head_dim=128,
            max_position_embeddings=131072,
            rope_parameters={"rope_theta": 500000.0, **scaling},
        )
        expected, _ = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, "cpu")
        rope = parse({**layer_config(), "rope_theta": 500000.0, "rope_scaling": scaling}).rope
        torch.testing.assert_close(frequencies(rope, 128), expected)


def broken(folder: Path, change: Any) -> None:
    """Rewrite a head's tensors with one changed."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save(folder, json.loads((folder / "config.json").read_text()), tensors, pickled=False)


@pytest.mark.parametrize("name", ["d2t", "midlayer.hidden_norm.weight", "fc.weight"])
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    write_eagle3(tmp_path, draft_vocab=24)
    broken(tmp_path, lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=re.escape(f"has no tensor {name}")) as caught:
        read_head(tmp_path)
    assert "model.safetensors" in caught.value.message


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path: Path) -> None:
    write_eagle3(tmp_path)
    broken(tmp_path, lambda tensors: tensors.update({"midlayer.self_attn.k_proj.weight": torch.zeros(32, 64)}))
    with pytest.raises(ModelError, match=r"k_proj\.weight has the shape \[32, 64\], its config asks for \[32, 128\]"):
        read_head(tmp_path)


def test_extra_tensors_are_left_alone(tmp_path: Path) -> None:
    write_eagle3(tmp_path)
    broken(tmp_path, lambda tensors: tensors.update({"something.else": torch.zeros(3)}))
    assert "something.else" not in read_head(tmp_path)[1]


def test_damaged_files_are_errors_with_a_name(tmp_path: Path) -> None:
    write_eagle3(tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        read_head(tmp_path / "cut")
    write_eagle(tmp_path / "pickle")
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin cannot be read"):
        read_head(tmp_path / "pickle")
    (tmp_path / "pickle" / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="no weights"):
        read_head(tmp_path / "pickle")
    (tmp_path / "pickle" / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json is not JSON"):
        read_head(tmp_path / "pickle")
    with pytest.raises(ModelError, match="cannot be read"):
        read_config(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_hidden_layers": 2}, "2 layers"),
        ({"hidden_act": "relu6"}, "relu6"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ({"layer_types": ["sliding_attention"]}, "sliding"),
        ({"model_type": "deepseek_v2"}, "deepseek_v2"),
        ({"norm_before_fc": True, "fc_norm": True}, "exclude"),
        ({"hidden_size": "wide"}, "makes no sense"),
    ],
    ids=str,
)
def test_what_would_give_other_numbers_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    write_eagle3(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | change))
    with pytest.raises(ModelError, match=reason):
        read_head(tmp_path)


def test_a_config_without_its_sizes_is_no_head(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 1}))
    with pytest.raises(ModelError, match="no 'hidden_size'"):
        read_config(tmp_path)


def test_a_head_of_another_model_is_refused(tmp_path: Path, target: Target) -> None:
    write_eagle3(tmp_path)
    with pytest.raises(ModelError, match="features of width 64, and the model's are 96"):
        load_head(tmp_path, target_of(random_model("llama", hidden_size=96)), "fp32")
    with pytest.raises(ModelError, match="vocabulary"):
        load_head(tmp_path, target_of(random_model("llama", vocab_size=50)), "fp32")
    with pytest.raises(UsageError, match="q3"):
        load_head(tmp_path, target, "q3")


def test_incomplete_heads_are_not_written(tmp_path: Path) -> None:
    write_eagle3(tmp_path / "first")
    config, tensors = read_head(tmp_path / "first")
    with pytest.raises(ModelError, match=r"fc\.weight is missing"):
        write_head(tmp_path / "second", config, {name: tensors[name] for name in tensors if name != "fc.weight"})
    with pytest.raises(ModelError, match=r"norm\.weight has the shape"):
        write_head(tmp_path / "second", config, tensors | {"norm.weight": torch.zeros(3)})
    assert not (tmp_path / "second").exists()
