"""A worker's share of a model: the shares together are the whole, and weigh what was planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.config import spec_from_folder
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.memory.weights import target_weights
from specmemo_chat.models.checkpoint import Checkpoint, HeldWeights, Part
from specmemo_chat.models.llama.config import config_of_values
from specmemo_chat.models.llama.load import expected, load_llama
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.parallel import Share
from tests.models import random_model

WORLD = 2


def save(folder: Path, model_type: str, **changes: object) -> torch.nn.Module:
    model = random_model(model_type, **changes)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    return model


def product(matrix: Any, inputs: int) -> torch.Tensor:
    """The weight [out, in] of a matrix without its bias, by what it makes of unit vectors."""
    return (matrix.forward(torch.eye(inputs)) - matrix.forward(torch.zeros(1, inputs))).T


@pytest.mark.parametrize("tied", [True, False])
def test_the_shares_are_the_whole(architecture: str, tied: bool, tmp_path: Path) -> None:
    # 61 tokens do not divide by two: the last share is padded.
    biases = {"attention_bias": True, "mlp_bias": True} if architecture == "llama" else {}
    save(tmp_path, architecture, tie_word_embeddings=tied, vocab_size=61, **biases)
    whole: Any = load_target(str(tmp_path), dtype="fp32", device="cpu").model
    shares: list[Any] = []
    spec = spec_from_folder("tiny", tmp_path)
    for rank in range(WORLD):
        target = load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(rank, WORLD))
        shares.append(target.model)
        assert target.model.nbytes == target_weights(spec, "fp32", "fp32", WORLD)
    tables = torch.cat([share.model.embed_tokens.embedding.weight for share in shares])
    assert torch.equal(tables[:61], whole.model.embed_tokens.weight)
    assert not tables[61:].any()
    outputs = torch.cat([product(share.lm_head.linear, 64) for share in shares])
    torch.testing.assert_close(outputs[:61], product(whole.lm_head, 64))
    for at, layer in enumerate(whole.model.layers):
        parts = [share.model.layers[at] for share in shares]
        x = torch.randn(3, 64)
        # Gate and up of each worker stand beside each other.
        made = [part.mlp.gate_up.forward(x).chunk(2, -1) for part in parts]
        joined = torch.cat([torch.cat([pair[side] for pair in made], -1) for side in (0, 1)], -1)
        torch.testing.assert_close(joined, layer.mlp.gate_up.forward(x))
        for name, inputs in (("mlp.down_proj", 96), ("self_attn.o_proj", 64)):
            x = torch.randn(3, inputs)
            split = x.chunk(WORLD, -1)
            # The products are summed: one worker alone adds the bias.
            summed = sum(part.get_submodule(name).linear.forward(own) for part, own in zip(parts, split, strict=True))
            torch.testing.assert_close(summed, layer.get_submodule(name).forward(x), atol=1e-4, rtol=1e-5)
        x = torch.randn(3, 64)
        turned = [part.self_attn.qkv.forward(x).view(3, -1, 16) for part in parts]
        heads, kv = 4 // WORLD, 2 // WORLD
        joined = torch.cat(
            [
                part[:, first:last]
                for first, last in ((0, heads), (heads, heads + kv), (heads + kv, None))
                for part in turned
            ],
            1,
        )
        torch.testing.assert_close(joined.flatten(1), layer.self_attn.qkv.forward(x))


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
    with pytest.raises(UsageError, match="4 heads, which do not divide by 5 workers"):
        load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(0, 5))


@pytest.mark.parametrize("name", ["llama-2-70b-chat", "qwen3-8b", "mistral-7b-instruct"])
@pytest.mark.parametrize("world", [8, 4, 2])
def test_a_large_model_without_memory(name: str, world: int) -> None:
    entry = load_catalog()[name]
    config = config_of_values(entry.config)
    meta = torch.device("meta")
    tensors = {at: torch.empty(shape, dtype=torch.bfloat16, device=meta) for at, shape in expected(config).items()}
    model, _ = load_llama(
        config, HeldWeights(tensors), fmt="bf16", compute=torch.bfloat16, device=meta, share=Share(world - 1, world)
    )
    assert model.nbytes == target_weights(entry.spec(), "bf16", "bf16", world)
