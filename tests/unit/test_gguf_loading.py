"""Models of GGUF files run as those of folders with the same weights: whole, shared out, and shared out of order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.bench.asking.make_job import BenchChoice, make_job
from specmemo_chat.bench.measuring.job import LIBRARY_METHODS
from specmemo_chat.errors import PlanError, UsageError
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.parallel import Share
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.terminal.console import Screen
from tests.gguf_models import Kind, write_gguf
from tests.models import DEVICE, generate, random_model
from tests.unit.test_gguf_config import SMALL

FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": False}),
    ("mistral", {"sliding_window": 24}),
    ("qwen2", {}),
    ("qwen3", {}),
    ("gemma", {}),
]


def both(tmp_path: Path, family: str, changes: dict[str, Any]) -> tuple[str, str]:
    """The same random model as a folder and as a file."""
    model = random_model(family, **{**SMALL, "eos_token_id": 4, **changes})
    for parameter in model.parameters():
        # Fresh norms and biases are all alike.
        if parameter.dim() == 1:
            parameter.data.uniform_(0.5, 1.0)
    model.save_pretrained(tmp_path / "folder")
    keys = {"llama.attention.sliding_window": 24} if family == "mistral" else {}
    return str(tmp_path / "folder"), str(write_gguf(tmp_path / "m.gguf", model, keys=keys))


@pytest.mark.parametrize(("family", "changes"), FAMILIES)
def test_a_file_gives_the_text_of_its_folder(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    texts = []
    for location in both(tmp_path, family, changes):
        target = load_target(location, dtype="fp32", device=DEVICE)
        assert 4 in target.eos_ids
        assert not target.notes
        texts.append(generate(target, [5, 9, 7, 11] * 9, GenerationSettings(max_new_tokens=24)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("family", "changes"), FAMILIES)
def test_each_worker_takes_the_same_share(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    for rank in range(2):
        found = []
        for location in both(tmp_path, family, changes):
            target = load_target(location, dtype="fp32", device=DEVICE, share=Share(rank, 2))
            found.append([value for _, value in sorted(matrices(target.model))])
        for one, other in zip(*found, strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-6)


def matrices(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Weights and biases by name, whatever holds them."""
    found = []
    for name, module in model.named_modules():
        for key, value in {**vars(module), **module._parameters, **module._buffers}.items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                found.append((f"{name}.{key}", value))
    assert len(found) > 10
    return found


def test_weights_beyond_the_plan_and_publishers_code(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), kind=Kind.BF16)
    with pytest.raises(PlanError, match="were planned"):
        load_target(str(path), dtype="fp32", device=DEVICE, planned_bytes=1000)
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL), keys={"llama.expert_count": 4})
    with pytest.raises(UsageError, match="expert_count"):
        load_target(str(path), dtype="fp32", device=DEVICE)


def test_bench_leaves_out_what_reads_no_file(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_model("llama", **SMALL))
    choice = ModelChoice(model=str(path), device="cpu", dtype="fp32", ctx_size=512)
    wanted = BenchChoice("pocket", None, False, False, 3, 0, None, None, None)
    job = make_job(wanted, choice, SamplingChoice(), Screen(quiet=True), lambda job: {})
    assert {job.not_run[name] for name in LIBRARY_METHODS} == {"not compared with GGUF files"}
    assert "plain" in job.plans
