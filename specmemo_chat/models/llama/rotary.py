"""Rotary position embeddings as complex numbers, by frequencies that are settled once for each text.

The dimensions of queries and keys are put in pairs (i, i + d / 2), as which they are rotated; a product of a query and
a key does not depend on their order. For `STRETCHED` positions see models/rotary.py.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch

from specmemo_chat.models.llama.config import LlamaConfig
from specmemo_chat.models.rotary import STRETCHED


class Rotary:
    """The turns of positions. `boundary`: texts of more tokens are turned by the factors for long ones; 0: one set."""

    def __init__(self, config: LlamaConfig, device: torch.device) -> None:
        rope = config.rope
        self.boundary = int(rope["original_max_position_embeddings"]) if rope["rope_type"] == "longrope" else 0
        short, self._scaling = frequencies(config, 0)
        self._short = short.to(device)
        self._long = frequencies(config, self.boundary + 1)[0].to(device) if self.boundary else None

    def turns(self, positions: torch.Tensor) -> torch.Tensor:
        """Of `positions` [R, nodes]: complex numbers [R, nodes, 1, d / 2]."""
        positions = positions[..., None, None]
        factors = self._short
        if self._long is not None:
            factors = torch.where(positions >= STRETCHED, self._long, self._short)
            positions = positions % STRETCHED
        angles = positions * factors
        turns = torch.complex(angles.cos(), angles.sin())
        return turns if self._scaling == 1.0 else turns * self._scaling


def frequencies(config: LlamaConfig, tokens: int) -> tuple[torch.Tensor, float]:
    """Radians per position of each pair of dimensions [head_dim / 2], fp32, for a text of so many tokens, and the
    factor of cosine and sine; by transformers' own functions."""
    rope, head_dim = config.rope, config.head_dim
    if rope["rope_type"] == "default":
        return 1.0 / rope["rope_theta"] ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim), 1.0
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    asked = SimpleNamespace(
        rope_parameters=rope,
        standardize_rope_params=lambda: None,
        per_layer_config={},
        max_position_embeddings=config.max_position_embeddings,
        hidden_size=config.hidden_size,
        num_attention_heads=config.num_attention_heads,
        head_dim=head_dim,
    )
    # Dynamic NTK differs beyond max_position_embeddings only, where no context reaches.
    found, scaling = ROPE_INIT_FUNCTIONS[rope["rope_type"]](asked, torch.device("cpu"), seq_len=tokens or None)
    return found.float(), float(scaling)


def paired(head_dim: int) -> torch.Tensor:
    """The order of a head's dimensions in which each stands beside the one that it is rotated with."""
    return torch.arange(head_dim).view(2, -1).t().flatten()


def paired_outputs(turned: int, kept: int, head_dim: int) -> torch.Tensor:
    """The order of the outputs of a merged QKV in which the dimensions of its first `turned` heads, queries and keys,
    stand in pairs; those of the `kept` heads of values stay as they are."""
    rotated = (torch.arange(turned)[:, None] * head_dim + paired(head_dim)).flatten()
    return torch.cat((rotated, torch.arange(turned * head_dim, (turned + kept) * head_dim)))


def turned_pairs(states: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of `states` [.., d] whose dimensions stand in pairs, by `turns` [.., d / 2], complex
    numbers. Computed in fp32."""
    exact = states.float()
    pairs = torch.view_as_complex(exact.view(*states.shape[:-1], -1, 2))
    if exact is not states:
        pairs.mul_(turns)
        return exact.to(states.dtype)
    result: torch.Tensor = torch.view_as_real(pairs * turns).flatten(-2)
    return result
