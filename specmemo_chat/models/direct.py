"""The forward of a fused model as its layers need it, without what transformers puts around them: handling of configs
and outputs, hooks and masks, which takes a tenth of a small model's step."""

from __future__ import annotations

from typing import Any

import torch

from specmemo_chat.models.fused import FusedLayer
from specmemo_chat.models.packing import Packing


def is_direct(model: Any) -> bool:
    """Whether `model`, a causal LM, has only fused layers."""
    layers = getattr(getattr(model, "model", None), "layers", ())
    return bool(layers) and all(isinstance(layer, FusedLayer) for layer in layers)


def direct_forward(
    model: Any,
    tokens: torch.Tensor,
    masks: Any,
    positions: torch.Tensor,
    cache: Any,
    kept: int | torch.Tensor,
    packing: Packing | None,
) -> torch.Tensor:
    """Logits [R, n, vocab] for `tokens` [R, N] at `positions` [R, N]; `masks` and `kept` (`logits_to_keep`) as
    transformers' own forward takes them. Layers and norm are called as modules: hooks on them run."""
    body = model.model
    hidden = body.embed_tokens(tokens)
    turns = body.rotary_emb(hidden, positions)
    by_type = isinstance(masks, dict)
    for index, layer in enumerate(body.layers):
        mask = masks[model.config.layer_types[index]] if by_type else masks
        hidden = layer(hidden, mask, cache, turns, packing)
    hidden = body.norm(hidden)
    if isinstance(kept, torch.Tensor):
        hidden = hidden[:, kept]
    elif kept:
        hidden = hidden[:, -kept:]
    logits: torch.Tensor = model.lm_head(hidden)
    return logits
