"""Rotary frequencies that depend on the length of a text: settled once for each text, never by what a forward holds.

transformers looks at the largest position of a forward: the chunks of one prompt would be turned by different factors.
Here a text is turned whole by one set, the one that transformers takes for a forward of all of it. Which one that is
stands in the positions: those of a long text are `STRETCHED` higher, whatever carries them (packed rows, a graph's
inputs, orders to other workers).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# Added to the positions of a text that is turned by the factors for long ones; more than any context has tokens.
STRETCHED = 1 << 24


class SettledRotary(nn.Module):
    """In place of transformers' rotary embedding of the type longrope or dynamic.

    `boundary`: texts of more tokens are turned by the factors for long ones; 0 where there is one set. That is so for
    dynamic NTK: its factors differ beyond `max_position_embeddings` only, where no context reaches.
    """

    inv_freq: torch.Tensor
    long_inv_freq: torch.Tensor

    def __init__(self, rotary: Any) -> None:
        super().__init__()
        self.rope_type: str = rotary.rope_type
        self.attention_scaling: float = rotary.attention_scaling
        self.boundary = 0
        short = long = rotary.original_inv_freq.detach().to(rotary.inv_freq.device, torch.float32)
        if self.rope_type == "longrope":
            from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

            config = rotary.config
            self.boundary = int(config.rope_parameters["original_max_position_embeddings"])
            long, _ = ROPE_INIT_FUNCTIONS["longrope"](config, None, seq_len=self.boundary + 1)
        self.register_buffer("inv_freq", short, persistent=False)
        self.register_buffer("long_inv_freq", long.to(short.device), persistent=False)

    @torch.no_grad()
    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine [R, nodes, d] of `position_ids` [R, nodes], in the precision of `x`."""
        positions = position_ids[..., None]
        factors = torch.where(positions >= STRETCHED, self.long_inv_freq, self.inv_freq)
        angles = (positions % STRETCHED).float() * factors
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling
        return cos.to(x.dtype), sin.to(x.dtype)


def settle(body: Any) -> int:
    """Give the decoder `body` such a rotation, where its own depends on the length. Returns its boundary in tokens, 0
    where there is none."""
    rotary = getattr(body, "rotary_emb", None)
    if getattr(rotary, "rope_type", "") in ("longrope", "dynamic") and not isinstance(rotary, SettledRotary):
        body.rotary_emb = rotary = SettledRotary(rotary)
    return int(getattr(rotary, "boundary", 0))


def of_whole_texts(positions: torch.Tensor, boundary: int) -> torch.Tensor:
    """The positions [R, L] of texts behind each other, each from 0 on, with those of texts longer than `boundary`
    marked."""
    texts = (positions == 0).cumsum(1)
    lengths = positions.new_zeros(positions.shape[0], positions.shape[1] + 1)
    lengths.scatter_reduce_(1, texts, positions + 1, "amax")
    return positions + STRETCHED * (lengths.gather(1, texts) > boundary)
