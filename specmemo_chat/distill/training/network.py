"""The EAGLE-3 head as it is trained: the published layout's weights, and its levels over whole texts at once.

Li et al. 2025 (arXiv 2503.01840), training-time test: after the first level the head reads its own output instead of
the target's features, as it will when it drafts. Entry i of a text is the pair (feature of token i, token i + 1);
level k puts token i + 1 + k beside the state that level k - 1 left at entry i, and attends to the entries up to i of
level 0 and to its own chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.drafters.eagle_config import HeadConfig
from specmemo_chat.drafters.eagle_format import required
from specmemo_chat.drafters.eagle_head import frequencies

_LAYER = "midlayer."


class HeadNetwork(nn.Module):
    """Weights under the names of `drafters.eagle_format`, fp32; the embedding is the target's and stays as it
    is."""

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
        embed: Callable[[torch.Tensor], torch.Tensor],
        depth: int,
        entries: torch.Tensor,
    ) -> Iterator[torch.Tensor]:
        """The states of `depth` levels [R, E, hidden] at the `entries` [R, E], one after the other.

        `embed` is the target's embedding. `tokens` and `positions` [R, L], `features` [R, L, count · hidden] of the
        target, `mask` bool [R, 1, L, L]. Of the other entries only what is attended to is computed: keys and values
        of level 0. What level k says at an entry whose token i + 1 + k belongs to another text means nothing.
        """
        config = self.config
        states = functional.linear(features, self._weight("fc.weight"))
        mask = _taken(mask[:, 0], entries)[:, None]
        keys: list[torch.Tensor] = []
        values: list[torch.Tensor] = []
        for level in range(depth):
            following = torch.roll(tokens, -1 - level, 1)
            if level:
                following = _taken(following, entries)
            embedded = embed(following).to(states.dtype)
            normed = self._norm("hidden_norm", states)
            residual = normed if config.norm_before_residual else states
            inputs = torch.cat((self._norm("input_layernorm", embedded), normed), -1)
            key, value = self._turned("k", inputs, positions + level), self._split("v", inputs)
            if not level:
                inputs, residual = _taken(inputs, entries), _taken(residual, entries)
                positions = _taken(positions, entries)
            query = self._turned("q", inputs, positions + level)
            query = query.view(len(query), config.kv_heads, -1, *query.shape[2:])
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

    def _split(self, name: str, inputs: torch.Tensor) -> torch.Tensor:
        """The projection `name` of `inputs` [R, E, 2 · hidden], by heads [R, heads, E, d]."""
        out = functional.linear(inputs, self._layer(f"self_attn.{name}_proj"))
        return out.view(*out.shape[:2], -1, self.config.head_dim).transpose(1, 2)

    def _turned(self, name: str, inputs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The same, rotated to their `positions` [R, E]."""
        angles = positions[:, None, :, None] * self._frequencies
        cosine, sine = angles.cos().to(inputs.dtype), angles.sin().to(inputs.dtype)
        first, second = self._split(name, inputs).chunk(2, -1)
        return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)


def _taken(values: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    """`values` [R, L, ...] at the `entries` [R, E] of each row."""
    index = entries.view(*entries.shape, *(1 for _ in values.shape[2:])).expand(-1, -1, *values.shape[2:])
    return values.gather(1, index)


def _attend(
    query: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """Attention of the last level to level 0, under `mask`, and to its own entry of every level since.

    Returns [R, E, heads · d]. `query` [R, kv_heads, group, E, d]; `keys`, `values` [R, kv_heads, L, d] of level 0, [R,
    kv_heads, E, d] of the others; `mask` [R, 1, E, L].
    """
    rows, kv_heads, group, count, width = query.shape
    length = mask.shape[-1]
    query = query * width**-0.5
    folded = query.reshape(rows, kv_heads, group * count, width)
    scores = (folded @ keys[0].transpose(-1, -2)).view(rows, kv_heads, group, count, length).float()
    scores = scores.masked_fill(~mask[:, :, None], float("-inf"))
    chain = [(query * key[:, :, None]).sum(-1, keepdim=True).float() for key in keys[1:]]
    weights = torch.cat((scores, *chain), -1).softmax(-1).to(query.dtype)
    whole = weights[..., :length].reshape(rows, kv_heads, group * count, length) @ values[0]
    out = whole.view(rows, kv_heads, group, count, width)
    for level, value in enumerate(values[1:]):
        out = out + weights[..., length + level, None] * value[:, :, None]
    return out.reshape(rows, kv_heads * group, count, width).transpose(1, 2).flatten(2)
