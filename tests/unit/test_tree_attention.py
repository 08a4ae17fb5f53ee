"""The kernels of tree attention in Triton's interpreter."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
import torch

from tests import kernel_checks as checks

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs the extra kernels-test"),
    pytest.mark.skipif(torch.cuda.is_available(), reason="tests/gpu runs the kernels themselves here"),
]
# Key heads, queries of each, width: of a group that fills no tile, with a width that is no power of two, and of one.
HEADS = ((1, 3, 24), (2, 1, 16))
# In blocks of 16, two a part: texts in one part and in two, the second's tree across the end of a part.
SHORT, LONG = (15, 9), (37, 60)


@pytest.fixture
def attention(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from specmemo_chat.models import triton_attention

    monkeypatch.setattr(triton_attention, "_BLOCK", 16)
    monkeypatch.setattr(triton_attention, "_PART", 2)
    return triton_attention


@pytest.mark.parametrize(
    ("dtype", "lengths", "heads"),
    [
        (torch.float32, SHORT, HEADS[1]),
        (torch.float32, LONG, HEADS[0]),
        (torch.float16, LONG, HEADS[1]),
        (torch.bfloat16, SHORT, HEADS[0]),
    ],
)
def test_a_node_attends_to_its_own_path(
    attention: ModuleType, dtype: torch.dtype, lengths: tuple[int, int], heads: tuple[int, int, int]
) -> None:
    checks.assert_attention(attention, dtype, heads, lengths)


@pytest.mark.parametrize("lengths", [SHORT, LONG])
def test_a_node_has_the_same_bits_in_any_tree_and_in_plain_decoding(
    attention: ModuleType, lengths: tuple[int, int]
) -> None:
    checks.assert_nodes_independent(attention, torch.float16, HEADS[0], lengths)
