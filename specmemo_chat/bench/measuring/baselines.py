"""The baselines of `--memory`: how others hold keys and values (docs/notes/memory.md).

A: the usual EAGLE settings: room for 2,048 tokens allocated at once, a tree of 60 nodes, 7 levels and 10 children, the
   whole history read in one forward at every turn, logits of all its rows, eager attention.
B: A with SDPA and the last row's logits only: the fair one.
C: transformers' plain `generate` with its DynamicCache: the floor.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from specmemo_chat.bench.measuring.baseline_bytes import DEPTH, NODES, WIDTH, slots
from specmemo_chat.bench.measuring.methods import EngineMethod
from specmemo_chat.drafters.base import Drafter
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings

EAGER, SDPA = "specmemo-bench-eager", "specmemo-bench-sdpa"


class _Ungrouped(Target):
    """A target whose masks are not repeated for grouped heads: the stock attentions repeat keys and values instead."""

    def __init__(self, model: Any, eos_ids: frozenset[int]) -> None:
        super().__init__(model, eos_ids)
        self._group = 1


class UsualEagle(EngineMethod):
    """Baseline A (`eager`: its attention, and the logits of all prompt rows) or B, over an unmodified transformers
    model that other methods may run with their own attention. Nothing of an earlier turn is reused."""

    def __init__(
        self, name: str, model: Any, eos_ids: frozenset[int], drafter: Drafter | None, plan: Plan, *, eager: bool
    ) -> None:
        register()
        self._model = model
        self._attention = EAGER if eager else SDPA
        # Once for all methods over this model, and no method is held by it.
        if _all_rows not in model._forward_pre_hooks.values():
            model.register_forward_pre_hook(_all_rows, with_kwargs=True)
        super().__init__(name, _Ungrouped(model, eos_ids), drafter, plan, adaptive=False)

    def enter(self) -> None:
        if self._model.config._attn_implementation != self._attention:
            self._model.set_attn_implementation(self._attention)

    def begin(self, prompt: list[int], settings: GenerationSettings) -> None:
        self._cached = []
        super().begin(prompt, settings)


def _all_rows(model: Any, args: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """Under eager attention the forward computes the logits of every row, as it does by default."""
    return (args, {**named, "logits_to_keep": 0}) if model.config._attn_implementation == EAGER else None


def usual_plan(plan: Plan) -> Plan:
    """`plan` with the usual EAGLE settings, for a conversation of `plan.context_tokens`."""
    room = slots(plan.context_tokens)
    return replace(
        plan,
        context_tokens=room - NODES,
        growth_tokens=1,
        node_buckets=(1, NODES),
        tree_depth=DEPTH,
        tree_width=WIDTH,
        prefill_chunk=room,
        allocate_at_load=True,
        drafters=tuple(name for name in plan.drafters if name != "ngram"),
    )


def register() -> None:
    """Make both attentions known to transformers."""
    from transformers.masking_utils import AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    for name in (EAGER, SDPA):
        AttentionInterface.register(name, partial(_attend, name == EAGER))
        AttentionMaskInterface.register(name, _given)


def _given(*_: Any, attention_mask: Any = None, **__: Any) -> Any:
    return attention_mask


def _repeated(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Keys or values [R, kv_heads, S, d] with every head's own copy, as the stock attentions make them."""
    group = heads // states.shape[1]
    return states if group == 1 else states.repeat_interleave(group, 1)


def _attend(
    eager: bool,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """`eager`: scores of all pairs and a softmax in fp32, so [R, heads, N, S] stands in memory; otherwise SDPA."""
    heads = query.shape[1]
    key, value = _repeated(key, heads), _repeated(value, heads)
    if not eager:
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
        return out.transpose(1, 2).contiguous(), None
    scores = torch.matmul(query, key.transpose(2, 3)) * (scaling or query.shape[-1] ** -0.5)
    if attention_mask is not None:
        scores = scores + attention_mask
    scores = functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.matmul(scores, value).transpose(1, 2).contiguous(), None
