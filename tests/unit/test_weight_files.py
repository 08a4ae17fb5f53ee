"""Weights are read into memory of their own: nothing of a file stays mapped, and no more is held than was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from specmemo_chat.errors import ModelError
from specmemo_chat.models import weight_files
from specmemo_chat.models.checkpoint import Checkpoint, Part
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.matrices.dense import PackedLinear
from tests.models import random_model

MAPS = Path("/proc/self/maps")


def save(folder: Path, *, pickled: bool = False) -> None:
    model = random_model("llama", tie_word_embeddings=False).to(torch.bfloat16)
    model.save_pretrained(folder)
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")


def held_bytes(model: Any) -> int:
    """Of everything that the weights of `model` keep alive; a packed matrix counts its values."""
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in model.state_dict().values()
    }
    for module in model.modules():
        if isinstance(module, PackedLinear):
            storages[id(module)] = module._packed.numel() * module._packed.element_size()
        elif hasattr(module, "_right"):
            storages[module._right.untyped_storage().data_ptr()] = module._right.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_loaded_weights_hold_their_own_bytes_only(tmp_path: Path, dtype: str, pickled: bool) -> None:
    save(tmp_path, pickled=pickled)
    target = load_target(str(tmp_path), dtype=dtype, device="cpu")
    count = sum(parameter.numel() for parameter in random_model("llama", tie_word_embeddings=False).parameters())
    # Norms of the fused layers are kept in fp32 beside their weights.
    assert held_bytes(target.model) <= 1.1 * count * (4 if dtype == "fp32" else 2)
    if MAPS.exists():
        assert str(tmp_path) not in MAPS.read_text()


def test_tensors_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_files, "_BLOCK", 100)
    written = {
        "matrix": torch.randn(23, 11), "wide": torch.randn(3, 200).bfloat16(), "row": torch.arange(77),
        "one": torch.tensor(3.0), "none": torch.empty(0, 4),
    }  # fmt: skip
    save_file(written, tmp_path / "model.safetensors")
    with Checkpoint(tmp_path) as checkpoint:
        for name, tensor in written.items():
            read = checkpoint.read(name)
            assert torch.equal(read, tensor)
            assert read.dtype == tensor.dtype
            assert read.untyped_storage().nbytes() == tensor.nbytes
        assert torch.equal(checkpoint.read("matrix", dtype=torch.bfloat16), written["matrix"].bfloat16())
        assert torch.equal(checkpoint.read("matrix", Part(0, 7, 19, 23)), written["matrix"][7:19])
        assert torch.equal(checkpoint.read("wide", Part(1, 50, 100, 200)), written["wide"][:, 50:100])
        padded = checkpoint.read("matrix", Part(0, 16, 32, 23))
        assert torch.equal(padded[:7], written["matrix"][16:])
        assert padded.shape == (16, 11)
        assert not padded[7:].any()
        assert not checkpoint.read("matrix", Part(0, 24, 32, 23)).any()


def test_a_file_that_ends_early_or_holds_an_unknown_type_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"matrix": torch.randn(23, 11)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with Checkpoint(tmp_path) as checkpoint, pytest.raises(ModelError, match=r"model\.safetensors is truncated"):
        checkpoint.read("matrix")
    file.write_bytes(whole.replace(b'"F32"', b'"F77"'))
    with pytest.raises(ModelError, match="type F77, which is not supported"):
        Checkpoint(tmp_path)
    file.write_bytes(whole.replace(b"[23,11]", b"[24,11]"))
    with pytest.raises(ModelError, match="corrupt"):
        Checkpoint(tmp_path)
