"""Embedding and output matrix are tied where transformers ties them, and planned as they are loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from specmemo_chat.catalog.config import spec_from_config, spec_from_folder
from specmemo_chat.drafters import make_drafter
from specmemo_chat.engine.runner import Runner
from specmemo_chat.errors import ModelError, PlanError
from specmemo_chat.memory.terms import Terms
from specmemo_chat.memory.weights import target_weights
from specmemo_chat.models.checkpoint import Checkpoint
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.parallel import Share
from specmemo_chat.setup.draft import find_draft
from tests.models import random_model, target_of, tiny_plan
from tests.tokenizers import save_tokenizer

OUTPUT, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def saved(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """An untied model in `folder`, and its tensors."""
    random_model("llama", tie_word_embeddings=False, vocab_size=61, **changes).save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: dict[str, torch.Tensor], **config: Any) -> None:
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **config}))


def loaded(folder: Path) -> Any:
    return load_target(str(folder), dtype="fp32", device="cpu").model


def logits(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Ours after a text, and those of transformers' own loading."""
    from transformers import LlamaForCausalLM

    tokens = list(range(5, 25))
    target = load_target(str(folder), dtype="fp32", device="cpu")
    ours = Runner(target, target.new_arena(1, 64, 32, 1)).prefill(0, tokens)
    with torch.inference_mode():
        return ours, LlamaForCausalLM.from_pretrained(folder)(torch.tensor([tokens])).logits[:, -1]


def test_another_output_matrix_is_used_and_planned_whatever_the_config_says(tmp_path: Path) -> None:
    rewrite(tmp_path, saved(tmp_path), tie_word_embeddings=True)
    ours, theirs = logits(tmp_path)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)
    model = loaded(tmp_path)
    assert model.lm_head.weight.shape == (61, 64)
    spec = spec_from_folder("m", tmp_path)
    assert not spec.tied_embeddings
    draft = find_draft(str(tmp_path), spec, "fp32", offline=True)
    assert not draft.spec.tied_embeddings
    # On two workers too: each half of both.
    for rank in range(2):
        share = load_target(str(tmp_path), dtype="fp32", device="cpu", share=Share(rank, 2))
        assert share.model.nbytes == target_weights(spec, "fp32", "fp32", 2)
        assert share.notes == ()


@pytest.mark.parametrize("kept", [(OUTPUT, EMBEDDING), (EMBEDDING,), (OUTPUT,)], ids=["both", "embedding", "output"])
def test_equal_or_lone_matrices_are_one(tmp_path: Path, kept: tuple[str, ...]) -> None:
    tensors = saved(tmp_path)
    tensors[OUTPUT] = tensors[EMBEDDING]
    for name in {OUTPUT, EMBEDDING} - set(kept):
        del tensors[name]
    rewrite(tmp_path, tensors, tie_word_embeddings=True)
    spec = spec_from_folder("m", tmp_path)
    assert spec.tied_embeddings
    target = load_target(str(tmp_path), dtype="fp32", device="cpu")
    assert target.model.lm_head.weight is target.model.get_input_embeddings().weight
    assert target.notes == ()
    ours, theirs = logits(tmp_path)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_a_missing_output_matrix_is_not_made_up(tmp_path: Path) -> None:
    tensors = saved(tmp_path)
    del tensors[OUTPUT]
    rewrite(tmp_path, tensors)
    with pytest.raises(ModelError, match=r"lack 1 tensor that .* lm_head\.weight") as caught:
        loaded(tmp_path)
    assert '"tie_word_embeddings": true' in (caught.value.remedy or "")


def test_missing_biases_are_named(tmp_path: Path) -> None:
    rewrite(tmp_path, saved(tmp_path), attention_bias=True)
    with pytest.raises(ModelError, match=r"lack 8 tensors .*self_attn\.q_proj\.bias"):
        loaded(tmp_path)


def test_tensors_without_a_place_are_told(tmp_path: Path) -> None:
    tensors = saved(tmp_path, attention_bias=True)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    rewrite(tmp_path, tensors, attention_bias=False)
    (note,) = load_target(str(tmp_path), dtype="fp32", device="cpu").notes
    assert "model.layers.0.self_attn.k_proj.bias" in note
    assert "and 5 more" in note
    assert "inv_freq" not in note


@pytest.mark.parametrize("equal", [True, False])
def test_pickled_weights_are_tied_or_refused(tmp_path: Path, equal: bool) -> None:
    tensors = saved(tmp_path)
    if equal:
        tensors[OUTPUT] = tensors[EMBEDDING]
    rewrite(tmp_path, {}, tie_word_embeddings=True)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert spec_from_folder("m", tmp_path).tied_embeddings
    if equal:
        model = loaded(tmp_path)
        assert model.lm_head.weight is model.get_input_embeddings().weight
        return
    with pytest.raises(ModelError, match="an output matrix that is not the embedding") as caught:
        loaded(tmp_path)
    assert '"tie_word_embeddings": false' in (caught.value.remedy or "")


def test_more_than_was_planned_is_not_loaded(tmp_path: Path) -> None:
    """A plan of a config alone, as of a draft that is downloaded after it, does not know of the second matrix."""
    rewrite(tmp_path, saved(tmp_path), tie_word_embeddings=True)
    config = json.loads((tmp_path / "config.json").read_text())
    alone, whole = spec_from_config("m", "m", config), spec_from_folder("m", tmp_path)
    planned = target_weights(alone, "fp32", "fp32")
    with pytest.raises(PlanError, match="nothing was loaded"):
        load_target(str(tmp_path), dtype="fp32", device="cpu", planned_bytes=planned)
    plan = tiny_plan(terms=Terms(draft_weights=planned), draft=str(tmp_path), drafters=("model",), draft_dtype="fp32")
    plan = replace(plan, target=str(tmp_path))
    save_tokenizer(tmp_path, "prepend")
    with pytest.raises(PlanError, match="nothing was loaded"):
        make_drafter(plan, target_of(random_model("llama")))
    load_target(str(tmp_path), dtype="fp32", device="cpu", planned_bytes=target_weights(whole, "fp32", "fp32"))


def test_a_full_device_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)

    def full(*_arguments: object, **_named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Checkpoint, "read", full)
    with pytest.raises(PlanError, match="has no memory left for the weights"):
        loaded(tmp_path)
