"""The forward of a model with fused layers, without what transformers puts around them: handling of configs, outputs
and masks, which takes a tenth of a small model's step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from specmemo_chat.models.hooks import FeatureTap


class Logits(NamedTuple):
    """What is left of transformers' output: `logits` [R, n, vocab]."""

    logits: torch.Tensor


class _Direct:
    """Comes before the class of a causal LM whose layers are fused. Model, layers and norm are called as modules:
    hooks run."""

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: Any = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        logits_to_keep: int | torch.Tensor = 0,
        packing: Any = None,
        tap: FeatureTap | None = None,
        **named: Any,
    ) -> Any:
        """Logits for calls that bring the positions and a whole mask, or one for each type of layer; any other call is
        transformers'. `tap` is shown every hidden state, as hooks would show them to it at more cost."""
        model: Any = self
        masks = attention_mask if isinstance(attention_mask, dict) else None
        whole = masks is not None or (attention_mask is not None and attention_mask.dim() == 4)
        if input_ids is None or position_ids is None or not whole:
            inherited: Any = super()
            return inherited.forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                logits_to_keep=logits_to_keep,
                **named,
            )
        body = model.model
        hidden = body.embed_tokens(input_ids)
        turns = body.rotary_emb(hidden, position_ids)
        for index, layer in enumerate(body.layers):
            mask = attention_mask if masks is None else masks[model.config.layer_types[index]]
            if tap is not None:
                tap.see(index, hidden)
            hidden = layer(hidden, mask, past_key_values, turns, packing)
        hidden = body.norm(hidden)
        if tap is not None:
            tap.see(len(body.layers), hidden)
        if isinstance(logits_to_keep, torch.Tensor):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]
        # Of a slice of three dimensions torch multiplies by a copy of the whole matrix, in bf16 on a CPU.
        return Logits(model.lm_head(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1))


def runs_directly(model: Any) -> bool:
    """Whether `model` was given that forward."""
    return isinstance(model, _Direct)


def run_directly(model: Any) -> None:
    """Give `model`, a causal LM whose layers are fused, that forward."""
    own = type(model)
    model.__class__ = type(own.__name__, (_Direct, own), {"__module__": own.__module__})
