"""The kernels of products and of tree attention on a GPU: results, and bits that depend on nothing else in a step.

`pytest -m gpu -n 0 tests/gpu/test_kernels.py`
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from benchmarks.gpu_weights import Subject, branched, identical
from specmemo_chat.models.matrices import gpu
from tests import kernel_checks as checks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
DEVICE = "cuda:0"
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
HEADS = ((8, 4, 128), (4, 1, 64), (2, 7, 80))
# A part of the positions ends between the one text and its tree's last node.
LENGTHS = (509, 1100)
CONFIG = {
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "vocab_size": 2001,
    "max_position_embeddings": 4096,
}


@pytest.fixture(autouse=True)
def kernels() -> None:
    if problem := gpu.kernel_problem(torch.device(DEVICE)):
        pytest.skip(problem)


@pytest.fixture
def products() -> Any:
    from specmemo_chat.models.matrices import triton_products

    return triton_products


@pytest.fixture
def attention() -> Any:
    from specmemo_chat.models import triton_attention

    return triton_attention


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_kernels_product_is_torchs(products: Any, fmt: str, dtype: str) -> None:
    for rows, parts in ((1, 1), (16, 4), (17, 2), (64, 1), (65, 2), (129, 1), (300, 1)):
        checks.assert_products(products, fmt, TYPES[dtype], rows, parts, DEVICE)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_row_does_not_depend_on_the_rows_beside_it(products: Any, fmt: str, dtype: str, parts: int) -> None:
    checks.assert_rows_independent(products, fmt, TYPES[dtype], parts, DEVICE)


@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_nor_in_a_large_matrix_for_any_number_of_rows(products: Any, fmt: str) -> None:
    packed, _ = checks.weight(products, fmt, torch.bfloat16, DEVICE, out=3000, inputs=11_008)
    packed = replace(packed, splits=products.splits(3000, 11_008, 132))
    x = torch.randn(128, 11_008, device=DEVICE).bfloat16()
    whole = products.product(x, packed)
    for rows in (*range(1, 66), 80, 100, 127):
        assert torch.equal(products.product(x[128 - rows :], packed), whole[128 - rows :]), rows


@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_captured_product_is_the_eager_one(products: Any, fmt: str) -> None:
    packed, _ = checks.weight(products, fmt, torch.bfloat16, DEVICE)
    x, bias, residual = checks.given(8, torch.bfloat16, DEVICE)
    packed = replace(packed, bias=bias, splits=2)
    eager = products.product(x, packed, residual)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = products.product(x, packed, residual)
    for _ in range(2):
        captured.zero_()
        graph.replay()
        assert torch.equal(captured, eager)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("heads", HEADS)
def test_a_node_attends_to_its_own_path(attention: Any, dtype: str, heads: checks.Heads) -> None:
    for lengths in (LENGTHS, (40, 70)):
        checks.assert_attention(attention, TYPES[dtype], heads, lengths, DEVICE)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("heads", HEADS)
def test_a_node_has_the_same_bits_in_any_tree(attention: Any, dtype: str, heads: checks.Heads) -> None:
    checks.assert_nodes_independent(attention, TYPES[dtype], heads, LENGTHS, DEVICE)


@pytest.mark.parametrize("fmt", ["bf16", "q8", "q4"])
def test_a_text_with_trees_is_the_plain_one_bit_by_bit(fmt: str) -> None:
    subject = Subject(CONFIG, fmt, DEVICE, 500, 32)
    for figures in identical(subject, 48, (1, 2, 8, 16, 32)).values():
        assert figures["text"]
        assert figures["equal_logits"] == figures["of"]


def test_trees_of_the_text_test_have_branches() -> None:
    tree, places = branched([*range(9)], random.Random(8), 32)
    assert len(tree) == 32
    assert any(after > before + 1 for before, after in pairwise(places))
