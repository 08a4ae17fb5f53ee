"""An own plain module for Llama-like families: llama, mistral, qwen2, qwen3, gemma.

A decoding step of a small model is overhead, one of a large model is reading weights. So the projections of one input
are one product (QKV, gate and up), a product is added onto the residual as it is made, the norm is a few calls, queries
and keys are rotated together, and weights lie as their device multiplies by them (models/matrices). transformers' class
is the reference in tests. Names of parts are transformers'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.models.attention import folded_attention
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.llama.config import LlamaConfig
from specmemo_chat.models.llama.rotary import Rotary, turned_pairs
from specmemo_chat.models.packing import Packing

# On a GPU so many tokens' queries and keys are rotated together: a kernel less for each costs more than memory there.
_TOGETHER = 128

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_new": lambda value: functional.gelu(value, approximate="tanh"),
    "gelu_pytorch_tanh": lambda value: functional.gelu(value, approximate="tanh"),
    "relu": functional.relu,
}


class Logits(NamedTuple):
    """`logits` [R, n, vocab], as transformers' output has them."""

    logits: torch.Tensor


class LlamaAttention(nn.Module):
    """Attention of one layer: one product for queries, keys and values, one rotation for queries and keys. `qkv`: a
    Matrix whose query and key dimensions stand in pairs; `o_proj` a Matrix."""

    def __init__(
        self, config: LlamaConfig, index: int, qkv: Any, o_proj: Any, norms: tuple[Any, Any] | None, world: int
    ) -> None:
        super().__init__()
        self.layer_idx = index
        self.head_dim = config.head_dim
        self._heads = config.num_attention_heads // world
        self._kv_heads = config.num_key_value_heads // world
        self.qkv = qkv
        self.o_proj = o_proj
        self.q_norm: Any = norms and norms[0]
        self.k_norm: Any = norms and norms[1]

    def onto(
        self,
        residual: torch.Tensor,
        norm: Any,
        shape: tuple[int, int],
        turns: torch.Tensor,
        mask: torch.Tensor,
        cache: Any,
        packing: Packing | None,
    ) -> torch.Tensor:
        """`residual` [T, hidden], T = rows · nodes of `shape`, and the attention's output for norm(residual), summed;
        keys and values go through `cache.update`."""
        query, key, value = self._read(self.qkv.normed(residual, norm), shape, turns)
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        out, _weights = folded_attention(self, query, key, value, mask, packing=packing)
        summed: torch.Tensor = self.o_proj.onto(residual, out.reshape(len(residual), -1))
        return summed

    def _read(
        self, states: torch.Tensor, shape: tuple[int, int], turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries [R, heads, nodes, d], keys and values [R, kv_heads, nodes, d] of the merged product [T, all]."""
        heads, kv_heads = self._heads, self._kv_heads
        tokens = len(states)
        states = states.view(*shape, heads + 2 * kv_heads, self.head_dim)
        value = states[:, :, heads + kv_heads :].transpose(1, 2)
        turned = states[:, :, : heads + kv_heads]
        if tokens > _TOGETHER and states.device.type != "cpu":
            # One after the other: of a chunk the rotation, in fp32, is the most that a layer holds.
            query, key = turned[:, :, :heads], turned[:, :, heads:]
            query = turned_pairs(query if self.q_norm is None else self.q_norm(query), turns).transpose(1, 2)
            key = turned_pairs(key if self.k_norm is None else self.k_norm(key), turns).transpose(1, 2)
            return query, key, value
        if self.q_norm is not None and self.k_norm is not None:
            turned = torch.cat((self.q_norm(turned[:, :, :heads]), self.k_norm(turned[:, :, heads:])), 2)
        turned = turned_pairs(turned, turns).transpose(1, 2)
        return turned[:, :heads], turned[:, heads:], value


class LlamaMLP(nn.Module):
    """A gated MLP with one product for gate and up; both are Matrices."""

    def __init__(self, config: LlamaConfig, gate_up: Any, down_proj: Any) -> None:
        super().__init__()
        self._activation = _ACTIVATIONS[config.activation]
        self.gate_up = gate_up
        self.down_proj = down_proj

    def onto(self, residual: torch.Tensor, norm: Any) -> torch.Tensor:
        """`residual` [T, hidden] and the MLP's output for norm(residual), summed."""
        summed: torch.Tensor = self.down_proj.onto(residual, self._active(residual, norm))
        return summed

    def _active(self, x: torch.Tensor, norm: Any) -> torch.Tensor:
        gate, up = self.gate_up.normed(x, norm).chunk(2, -1)
        return self._activation(gate).mul_(up)


class LlamaLayer(nn.Module):
    """A decoder layer."""

    def __init__(self, attention: LlamaAttention, mlp: LlamaMLP, norms: tuple[Any, Any]) -> None:
        super().__init__()
        self.self_attn = attention
        self.mlp = mlp
        self.input_layernorm, self.post_attention_layernorm = norms

    def forward(
        self,
        flat: torch.Tensor,
        shape: tuple[int, int],
        turns: torch.Tensor,
        mask: torch.Tensor,
        cache: Any,
        packing: Packing | None,
    ) -> torch.Tensor:
        """`flat` [T, hidden], T = rows · nodes of `shape`, to the same."""
        flat = self.self_attn.onto(flat, self.input_layernorm, shape, turns, mask, cache, packing)
        return self.mlp.onto(flat, self.post_attention_layernorm)


class LlamaBody(nn.Module):
    """The model without its output layer."""

    def __init__(self, config: LlamaConfig, embed_tokens: Any, layers: list[LlamaLayer], norm: Any) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = embed_tokens
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.rotary = Rotary(config, norm.device)
        self._scale = config.embedding_scale

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        masks: torch.Tensor | dict[str, torch.Tensor],
        cache: Any = None,
        packing: Packing | None = None,
        tap: FeatureTap | None = None,
    ) -> torch.Tensor:
        """The final hidden states [R, nodes, hidden] of `tokens` at `positions`, both [R, nodes]; one mask, or one for
        each type of layer. `tap` is shown every hidden state."""
        hidden: torch.Tensor = self.embed_tokens(tokens)
        if self._scale != 1.0:
            hidden = hidden * torch.tensor(self._scale, dtype=hidden.dtype)
        turns = self.rotary.turns(positions)
        rows, nodes, width = hidden.shape
        shape, flat = (rows, nodes), hidden.view(-1, width)
        types = self.config.layer_types
        for index, layer in enumerate(self.layers):
            if tap is not None:
                tap.see(index, flat.view(rows, nodes, width))
            mask = masks[types[index]] if isinstance(masks, dict) and types is not None else masks
            flat = layer.forward(flat, shape, turns, mask, cache, packing)
        hidden = self.norm(flat).view(rows, nodes, width)
        if tap is not None:
            tap.see(len(self.layers), hidden)
        return hidden


class LlamaModel(nn.Module):
    """A causal LM. `compute`: the precision of activations, keys and values. `lm_head`: a Matrix."""

    def __init__(self, config: LlamaConfig, body: LlamaBody, lm_head: Any, compute: torch.dtype) -> None:
        super().__init__()
        self.config = config
        self.model = body
        self.lm_head = lm_head
        self.dtype = compute
        self.device: torch.device = body.norm.device

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | dict[str, torch.Tensor],
        position_ids: torch.Tensor,
        past_key_values: Any = None,
        logits_to_keep: int | torch.Tensor = 0,
        packing: Packing | None = None,
        tap: FeatureTap | None = None,
    ) -> Logits:
        """Logits of the last `logits_to_keep` tokens (0: of all) or of those at its indices. Masks as `Target` makes
        them; keys and values go through `past_key_values.update` (None: the tokens see each other alone)."""
        hidden = self.model.forward(input_ids, position_ids, attention_mask, past_key_values, packing, tap)
        if isinstance(logits_to_keep, torch.Tensor):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]
        return Logits(self.lm_head(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1))

    @property
    def nbytes(self) -> int:
        """Of all weights; a matrix that is embedding and output layer counts once."""
        parts = {id(getattr(part, "weight", part)): part.nbytes for part in self._parts()}
        return sum(parts.values())

    def _parts(self) -> Iterator[Any]:
        for module in self.modules():
            if module is not self and hasattr(module, "nbytes"):
                yield module

    @property
    def base_model(self) -> LlamaBody:
        return self.model

    def get_input_embeddings(self) -> Any:
        """The Table of the embedding."""
        return self.model.embed_tokens

    def set_input_embeddings(self, table: Any) -> None:
        self.model.embed_tokens = table

    def get_output_embeddings(self) -> Any:
        """The Matrix of the output layer."""
        return self.lm_head

    def set_output_embeddings(self, matrix: Any) -> None:
        self.lm_head = matrix
