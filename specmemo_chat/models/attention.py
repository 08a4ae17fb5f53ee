"""Our own attention function for transformers models: grouped heads are folded, never repeated.

transformers' SDPA path repeats K/V for grouped heads when a mask is given (hundreds of MiB at long
context). Folding the group into the query axis needs no copy of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

NAME = "specmemo"


def folded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """`query` [R, heads, nodes, d], `key`/`value` [R, kv_heads, view, d], `attention_mask` bool [R, 1, nodes, view].

    Returns ([R, nodes, heads, d], None). Raises ValueError without a mask: a causal default would be silently wrong.
    """
    if attention_mask is None:
        raise ValueError("specmemo's attention needs an explicit mask")
    rows, heads, nodes, width = query.shape
    kv_heads = key.shape[1]
    group = heads // kv_heads
    if group > 1:
        query = query.reshape(rows, kv_heads, group * nodes, width)
        attention_mask = attention_mask[:, :, None].expand(-1, -1, group, -1, -1).reshape(rows, 1, group * nodes, -1)
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    if group > 1:
        out = out.reshape(rows, heads, nodes, width)
    return out.transpose(1, 2).contiguous(), None


def _given_mask(*_: Any, attention_mask: torch.Tensor | None = None, **__: Any) -> torch.Tensor | None:
    """The mask function of our attention: masks are always made by `masks.tree_mask` and passed whole."""
    return attention_mask


def register() -> None:
    """Make the attention known to transformers. Both registrations are needed: without a mask function of the same
    name the library passes no mask at all."""
    from transformers.masking_utils import AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, folded_attention)
    AttentionMaskInterface.register(NAME, _given_mask)
