"""The EAGLE-3 head as it is trained: the published layout's weights, and its levels over whole texts at once.

Li et al. 2025 (arXiv 2503.01840), training-time test: after the first level the head reads its own output instead of
the target's features, as it will when it drafts. Entry i of a text is the pair (feature of token i, token i + 1);
level k puts token i + 1 + k beside the state that level k - 1 left at entry i, and attends to the entries up to i of
level 0 and to its own chain.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.drafters.eagle_config import HeadConfig
from specmemo_chat.drafters.eagle_format import required
from specmemo_chat.drafters.eagle_head import frequencies

_LAYER = "midlayer."


class HeadNetwork(nn.Module):
    """Weights under the names of `drafters.eagle_format`, fp32; the embedding [vocab, hidden] is the target's and stays
    as it is."""

    def __init__(self, config: HeadConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        self._weights = nn.ParameterDict()
        for name, shape in required(config).items():
            if name == "d2t":
                continue
            weight = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=generator) * 0.02
            self._weights[name.replace(".", "/")] = nn.Parameter(weight)
        self._frequencies: torch.Tensor
        self.register_buffer("_frequencies", frequencies(config.rope, config.head_dim), persistent=False)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights under their published names."""
        return {name.replace("/", "."): weight for name, weight in self._weights.items()}

    def start_from(self, lm_head: torch.Tensor) -> None:
        """Begin with the target's own lm_head rows [draft_vocab, hidden]: what the head's state is to be read by."""
        with torch.no_grad():
            self._weight("lm_head.weight").copy_(lm_head)

    def _weight(self, name: str) -> torch.Tensor:
        weight: torch.Tensor = self._weights[name.replace(".", "/")]
        return weight

    def _layer(self, name: str) -> torch.Tensor:
        return self._weight(f"{_LAYER}{name}.weight")

    def levels(
        self,
        tokens: torch.Tensor,
        features: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        embedding: torch.Tensor,
        depth: int,
    ) -> Iterator[torch.Tensor]:
        """The states of `depth` levels [R, L, hidden], one after the other.

        `tokens` and `positions` [R, L], `features` [R, L, count · hidden] of the target, `mask` bool [R, 1, L, L]. What
        level k says at an entry whose token i + 1 + k belongs to another text means nothing.
        """
        config = self.config
        states = functional.linear(features, self._weight("fc.weight"))
        keys: list[torch.Tensor] = []
        values: list[torch.Tensor] = []
        for level in range(depth):
            embedded = functional.embedding(torch.roll(tokens, -1 - level, 1), embedding).to(states.dtype)
            normed = self._norm("hidden_norm", states)
            residual = normed if config.norm_before_residual else states
            inputs = torch.cat((self._norm("input_layernorm", embedded), normed), -1)
            query, key, value = self._projected(inputs, positions + level)
            keys.append(key)
            values.append(value)
            attended = _attend(query, keys, values, mask)
            hidden = residual + functional.linear(attended, self._layer("self_attn.o_proj"))
            inner = self._norm("post_attention_layernorm", hidden)
            gate = functional.silu(functional.linear(inner, self._layer("mlp.gate_proj")))
            up = functional.linear(inner, self._layer("mlp.up_proj"))
            states = hidden + functional.linear(gate * up, self._layer("mlp.down_proj"))
            yield states

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits [N, draft_vocab] of `states` [N, hidden], over the head's own vocabulary."""
        normed = functional.rms_norm(states, (states.shape[-1],), self._weight("norm.weight"), self.config.eps)
        return functional.linear(normed, self._weight("lm_head.weight"))

    def _norm(self, name: str, values: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(values, (values.shape[-1],), self._layer(name), self.config.eps)

    def _projected(self, inputs: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Rotated queries [R, kv_heads, group, L, d] and keys, and values [R, kv_heads, L, d]."""
        config = self.config
        rows, length = positions.shape
        angles = positions[:, None, :, None] * self._frequencies
        cosine, sine = angles.cos().to(inputs.dtype), angles.sin().to(inputs.dtype)

        def split(name: str) -> torch.Tensor:
            out = functional.linear(inputs, self._layer(f"self_attn.{name}_proj"))
            return out.view(rows, length, -1, config.head_dim).transpose(1, 2)

        def turned(states: torch.Tensor) -> torch.Tensor:
            first, second = states.chunk(2, -1)
            return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)

        query = turned(split("q")).view(rows, config.kv_heads, -1, length, config.head_dim)
        return query, turned(split("k")), split("v")


def _attend(
    query: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """Attention of the last level to level 0, under `mask`, and to its own entry of every level since.

    Returns [R, L, heads · d]. `query` [R, kv_heads, group, L, d]; `keys`, `values` [R, kv_heads, L, d] of each level.
    """
    rows, kv_heads, group, length, width = query.shape
    query = query * width**-0.5
    folded = query.reshape(rows, kv_heads, group * length, width)
    scores = (folded @ keys[0].transpose(-1, -2)).view(rows, kv_heads, group, length, length).float()
    scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
    chain = [(query * key[:, :, None]).sum(-1, keepdim=True).float() for key in keys[1:]]
    weights = torch.cat((scores, *chain), -1).softmax(-1).to(query.dtype)
    whole = weights[..., :length].reshape(rows, kv_heads, group * length, length) @ values[0]
    out = whole.view(rows, kv_heads, group, length, width)
    for level, value in enumerate(values[1:]):
        out = out + weights[..., length + level, None] * value[:, :, None]
    return out.reshape(rows, kv_heads * group, length, width).transpose(1, 2).flatten(2)
