"""Products of torch and oneDNN that take more than their result: what they keep, and what they copy."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from specmemo_chat.models.fused import prepares


def fill_products(model: Any, products: int) -> None:
    """Let so many products of `model` be prepared, the most that its worker keeps (memory/products.py): what they take
    is seen before a conversation has come to as many numbers of rows."""
    layers: dict[Any, Any] = {}
    for module in model.modules():
        if prepares(module) or _is_library(module):
            layers.setdefault((type(module), module.in_features, module.out_features), module)
    if not layers:
        return
    dtype = model.get_input_embeddings().weight.dtype
    with torch.inference_mode():
        for rows in range(1, 1 + -(-products // len(layers))):
            for layer in layers.values():
                layer(torch.zeros((rows, layer.in_features), dtype=dtype))


class FlatLinear(nn.Linear):
    """A linear layer of rows behind each other: of a slice of three dimensions torch multiplies by a copy of the whole
    matrix, in bf16 on a CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., in] to [.., out]."""
        return super().forward(x.flatten(0, -2)).view(*x.shape[:-1], -1)


def flatten_output(model: Any) -> None:
    """Let the output layer of a `model` whose modules are transformers' own be a FlatLinear, where it is plain."""
    if type(model.lm_head) is nn.Linear:
        model.lm_head.__class__ = FlatLinear


def _is_library(module: nn.Module) -> bool:
    """Whether torch itself has oneDNN multiply by a layer that was not fused."""
    return (
        type(module) in (nn.Linear, FlatLinear)
        and module.weight.dtype == torch.bfloat16
        and module.weight.device.type == "cpu"
    )
