"""A whole model on the kernels, in Triton's interpreter: its text does not depend on the trees of its steps."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from benchmarks.gpu_weights import Subject, identical
from specmemo_chat.models import target
from specmemo_chat.models.matrices import choice, gpu

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs the extra kernels-test"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="tests/gpu runs the kernels themselves here"),
]
CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 256,
}


def test_a_text_with_trees_is_the_plain_one_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    from specmemo_chat.models import triton_attention

    monkeypatch.setattr(triton_attention, "_BLOCK", 16)
    monkeypatch.setattr(triton_attention, "_PART", 32)
    for module in (gpu, target):
        monkeypatch.setattr(module, "kernel_problem", lambda device: "")
    monkeypatch.setattr(choice, "has_q4", lambda: False)
    monkeypatch.setattr(choice, "q8_matrix", lambda *given, fine: gpu.q8(*given))
    subject = Subject(CONFIG, "q4", "cpu", 27, 8)
    assert subject.target.by_paths
    for matrix in subject.matrices():
        assert isinstance(matrix, gpu.KernelMatrix)
    (figures,) = identical(subject, 5, (1, 8)).values()
    assert figures == {"text": True, "equal_logits": 5, "of": 5}
