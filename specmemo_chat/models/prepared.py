"""Products of torch and oneDNN that take more than their result: what they keep, and what they copy."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from specmemo_chat.models.library import FlatLinear


def fill_products(model: Any, products: int) -> None:
    """Let so many products of `model` be prepared, the most that its worker keeps (memory/products.py): what they take
    is seen before a conversation has come to as many numbers of rows."""
    layers: dict[Any, Any] = {}
    for module in model.modules():
        if getattr(module, "prepares", False) or _is_library(module):
            layers.setdefault((type(module), module.in_features, module.out_features), module)
    if not layers:
        return
    dtype = model.dtype
    with torch.inference_mode():
        for rows in range(1, 1 + -(-products // len(layers))):
            for layer in layers.values():
                layer(torch.zeros((rows, layer.in_features), dtype=dtype))


def _is_library(module: nn.Module) -> bool:
    """Whether torch itself has oneDNN multiply by a layer that was not fused."""
    return (
        type(module) in (nn.Linear, FlatLinear)
        and module.weight.dtype == torch.bfloat16
        and module.weight.device.type == "cpu"
    )
