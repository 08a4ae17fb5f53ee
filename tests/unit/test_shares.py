"""A worker's share of a model: the shares together are the whole, and weigh what was planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.config import spec_from_folder
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.memory.footprint import target_weights
from specmemo_chat.models.checkpoint import Checkpoint, Part
from specmemo_chat.models.loading import MODEL_CLASSES, load_target
from specmemo_chat.models.parallel import Share, resolved_plan, shrink
from specmemo_chat.models.streaming import empty_model, stream_model
from tests.models import random_model

WORLD = 2


def model_class(model_type: str) -> type:
    module, name = MODEL_CLASSES[model_type]
    return getattr(__import__(module, fromlist=[name]), name)


def save(folder: Path, model_type: str, **changes: object) -> torch.nn.Module:
    model = random_model(model_type, **changes)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_the_shares_are_the_whole(architecture: str, tied: bool, tmp_path: Path) -> None:
    # 61 tokens do not divide by two: the last share is padded.
    biases = {"attention_bias": True, "mlp_bias": True} if architecture == "llama" else {}
    whole = dict(save(tmp_path, architecture, tie_word_embeddings=tied, vocab_size=61, **biases).named_parameters())
    shares = []
    for rank in range(WORLD):
        model, plan, _ = stream_model(
            model_class(architecture), tmp_path, torch.float32, torch.device("cpu"), Share(rank, WORLD)
        )
        assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
        assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied
        shares.append(dict(model.named_parameters()))
        split = sum(parameter.nbytes for parameter in model.parameters())
        spec = spec_from_folder("tiny", tmp_path)
        assert split == target_weights(spec, "fp32", "fp32", WORLD)
    for name, parameter in whole.items():
        parts = [share[name] for share in shares]
        style = plan.get(name.rpartition(".")[0])
        if style == "rowwise" and name.endswith("bias"):
            # The products are summed: one worker alone adds the bias.
            assert torch.equal(parts[0], parameter)
            assert not parts[1].any()
        elif style is None:
            assert all(torch.equal(part, parameter) for part in parts)
        else:
            dim = 1 if style == "rowwise" else 0
            joined = torch.cat(parts, dim)
            size = parameter.shape[dim]
            assert torch.equal(joined.narrow(dim, 0, size), parameter)
            assert not joined.narrow(dim, size, joined.shape[dim] - size).any()


def test_a_streamed_model_is_the_pretrained_one(architecture: str, tmp_path: Path) -> None:
    save(tmp_path, architecture)
    model, plan, unused = stream_model(
        model_class(architecture), tmp_path, torch.float32, torch.device("cpu"), Share(0, 1)
    )
    assert (plan, unused) == ({}, [])
    tokens = torch.arange(5, 25)[None]
    model.set_attn_implementation("eager")
    expected = model_class(architecture).from_pretrained(tmp_path, attn_implementation="eager")
    torch.testing.assert_close(model(tokens).logits, expected(tokens).logits)
    assert model.generation_config.eos_token_id == expected.generation_config.eos_token_id


def test_weights_in_several_files_and_in_pickles(tmp_path: Path) -> None:
    whole = save(tmp_path, "llama")
    state = {name: tensor for name, tensor in whole.state_dict().items() if name != "lm_head.weight"}
    files = {name: f"pytorch_model-{index % 2}.bin" for index, name in enumerate(state)}
    (tmp_path / "model.safetensors").unlink()
    for file in set(files.values()):
        torch.save({name: state[name] for name in state if files[name] == file}, tmp_path / file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    with Checkpoint(tmp_path) as checkpoint:
        name = "model.layers.1.mlp.down_proj.weight"
        assert torch.equal(checkpoint.read(name, Part(1, 48, 96, 96)), state[name][:, 48:96])
        assert torch.equal(checkpoint.read(name), state[name])
        assert checkpoint.name_of("lm_head.weight") is None


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    save(tmp_path, "llama", tie_word_embeddings=False)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ModelError, match=r"lack 9 tensors that the config\.json asks for: model\.layers\.2"):
        load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(0, WORLD))
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 128}))
    with pytest.raises(ModelError, match=r"gate_proj\.weight has the shape"):
        load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(0, WORLD))


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "llama")
    with pytest.raises(UsageError, match="do not divide by 5 workers"):
        load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(0, 5))
    with pytest.raises(UsageError, match="one worker only"):
        load_target(str(tmp_path), dtype="nf4", device="cpu", share=Share(0, WORLD))


@pytest.mark.parametrize("name", ["llama-2-70b-chat", "qwen3-8b", "mistral-7b-instruct"])
@pytest.mark.parametrize("world", [8, 4, 2])
def test_a_large_model_without_memory(name: str, world: int) -> None:
    entry = load_catalog()[name]
    kind = model_class(entry.config["model_type"])
    values = {key: value for key, value in entry.config.items() if key not in ("model_type", "torch_dtype")}
    model = empty_model(kind, kind.config_class(**values), torch.bfloat16)
    parts = shrink(model, Share(world - 1, world))
    planned = target_weights(entry.spec(), "bf16", "bf16", world)
    assert sum(parameter.nbytes for parameter in model.parameters()) == planned
    # 7 matrices of every layer, the embedding, the output layer, and the biases beside split outputs.
    assert len(resolved_plan(model)) == 7 * entry.spec().layers + 2
    assert len(parts) == len(resolved_plan(model))
