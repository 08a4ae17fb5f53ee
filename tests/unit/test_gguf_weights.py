"""Weights of GGUF files: every type against the gguf package's numbers, every family against its own model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from specmemo_chat.catalog.gguf_tensors import EIGHT_BIT, FOUR_BIT, LOW, READ
from specmemo_chat.errors import ModelError
from specmemo_chat.models.checkpoint import Part
from specmemo_chat.models.gguf_blocks import GROUPED, values_of
from specmemo_chat.models.gguf_weights import GgufCheckpoint
from tests.gguf_models import Kind, stored_names, write_gguf
from tests.models import random_model
from tests.unit.test_gguf_config import SMALL

WIDE = {**SMALL, "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "head_dim": 64}


def random_blocks(kind: str, count: int) -> np.ndarray:
    """Any bytes are a block; only its fp16 numbers must be finite."""
    values, nbytes = gguf.GGML_QUANT_SIZES[Kind[kind]]
    raw = np.random.default_rng(3).integers(0, 256, (count, nbytes), dtype=np.uint8)
    halves = {
        "Q4_1": (0, 2),
        "Q5_1": (0, 2),
        "Q4_K": (0, 2),
        "Q5_K": (0, 2),
        "Q6_K": (208,),
        "Q2_K": (80, 82),
        "Q3_K": (108,),
    }
    for at in halves.get(kind, (0,)):
        raw[:, at : at + 2] = np.random.default_rng(at).standard_normal((count, 1)).astype(np.float16).view(np.uint8)
    assert values in (32, 256)
    return raw


@pytest.mark.parametrize("kind", LOW + FOUR_BIT + EIGHT_BIT)
def test_every_type_is_decoded_as_the_package_does(kind: str) -> None:
    raw = random_blocks(kind, 500)
    wanted = gguf.dequantize(raw, Kind[kind])
    assert np.array_equal(values_of(kind, raw), wanted)
    if kind in FOUR_BIT:
        codes, scales, minima = GROUPED[kind](raw)
        assert codes.dtype == np.uint8
        assert codes.max() == 15
        grouped = codes.reshape(*scales.shape, 32) * scales[..., None] + minima[..., None]
        assert np.array_equal(grouped.reshape(wanted.shape), wanted)


def test_every_type_that_is_named_is_read() -> None:
    assert set(FOUR_BIT) == set(GROUPED)
    for kind in READ:
        assert kind in ("F32", "F16", "BF16") or values_of(kind, random_blocks(kind, 1)).dtype == np.float32


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}),
        ("mistral", {"sliding_window": 64}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("gemma", {}),
    ],
)
def test_read_gives_the_weights_of_the_model(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    model = random_model(family, **{**SMALL, **changes})
    for parameter in model.parameters():
        # Fresh norms are all alike.
        parameter.data.normal_()
    keys = {"llama.attention.sliding_window": 64} if family == "mistral" else {}
    path = write_gguf(tmp_path / "m.gguf", model, keys=keys)
    state = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight")
    with GgufCheckpoint(path) as checkpoint:
        assert checkpoint.names() == set(state)
        for name, wanted in state.items():
            assert checkpoint.name_of(name) == name
            assert checkpoint.shape(name) == list(wanted.shape)
            # Gemma's norms are stored with 1 added, which costs their last bits.
            assert torch.allclose(checkpoint.read(name), wanted, rtol=0, atol=1e-6 * (family == "gemma"))
        q = "model.layers.1.self_attn.q_proj.weight"
        for part in (Part(0, 16, 48, 64), Part(0, 5, 37, 64), Part(1, 8, 24, 64), Part(0, 48, 80, 64)):
            # What lies behind the end is zeros.
            whole = torch.cat((state[q], torch.zeros_like(state[q]))) if part.dim == 0 else state[q]
            wanted = whole.narrow(part.dim, part.start, part.stop - part.start).bfloat16()
            assert torch.equal(checkpoint.read(q, part, dtype=torch.bfloat16), wanted)
        assert checkpoint.source(q).paired == (family in ("llama", "mistral"))
        assert not checkpoint.source("model.embed_tokens.weight").paired


@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, Kind.F16, Kind.BF16])
def test_sources_give_the_files_order(tmp_path: Path, kind: Kind) -> None:
    model = random_model("llama", **WIDE)
    path = write_gguf(tmp_path / "m.gguf", model, kind=kind)
    with GgufCheckpoint(path) as checkpoint:
        for name, (_, stored) in stored_names(model).items():
            source = checkpoint.source(name)
            if stored.ndim == 1:
                assert source.dtype == torch.float32
                continue
            wanted = torch.from_numpy(gguf.dequantize(gguf.quantize(stored, kind), kind))
            rows = stored.shape[0]
            read = torch.cat([block.float() for block in source.blocks(3, rows - 1)])
            assert torch.equal(read, wanted[3 : rows - 1])
            assert source.grouped == (kind.name in FOUR_BIT)
            if source.grouped:
                parts = [tuple(part.clone() for part in block) for block in source.groups(3, rows - 1)]
                codes, scales, minima = (torch.cat(part) for part in zip(*parts, strict=True))
                assert (codes.dtype, scales.shape) == (torch.uint8, (rows - 4, stored.shape[1] // 32))
                values = codes.view(rows - 4, -1, 32) * scales[..., None] + minima[..., None]
                assert torch.equal(values.view(rows - 4, -1), wanted[3 : rows - 1])


def test_large_tensors_come_in_small_blocks(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **{**WIDE, "vocab_size": 5000}), kind=Kind.Q8_0)
    with GgufCheckpoint(path) as checkpoint:
        blocks = [block.shape for block in checkpoint.source("model.embed_tokens.weight").blocks(0, 5000)]
    assert blocks == [(2048, 256), (2048, 256), (904, 256)]


def test_parts_of_a_split_model(tmp_path: Path) -> None:
    model = random_model("qwen3", **SMALL)
    write_gguf(tmp_path / "m.gguf", model, split_max_tensors=7)
    files = sorted(tmp_path.glob("m-*.gguf"))
    assert len(files) > 2
    with GgufCheckpoint(files[1]) as checkpoint:
        for name in checkpoint.names():
            assert torch.equal(checkpoint.read(name), model.state_dict()[name])


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("qwen3", **SMALL))
    with GgufCheckpoint(path) as checkpoint:
        with path.open("r+b") as stream:
            stream.truncate(200000)
        with pytest.raises(ModelError, match=r"truncated in the tensor output_norm\.weight"):
            checkpoint.read("model.norm.weight")
