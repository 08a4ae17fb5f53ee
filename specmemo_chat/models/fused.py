"""A faster forward on the CPU: modules of a loaded model are swapped for fused equivalents with the same weights.

A decoding step of a small model is overhead, one of a large model is reading weights. So the projections of one input
become one product (QKV, gate and up), the norm is torch's own kernel, queries and keys are rotated together, and bf16
weights are put once into the order that oneDNN multiplies in, instead of at every step. The model around them stays
transformers' own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from specmemo_chat.models.attention import folded_attention

# Families whose attention, MLP and norm are those of Llama, with bias or query and key norms where they exist.
FUSABLE = ("llama", "mistral", "qwen2", "qwen3")


class PackedLinear(nn.Module):
    """A bf16 linear layer on the CPU whose weight lies in oneDNN's blocked order; [.., in] to [.., out]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        self._bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product, with the bias where there is one."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return result


class FusedAttention(nn.Module):
    """Attention of one layer: one product for queries, keys and values, one rotation for queries and keys."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.layer_idx: int = attention.layer_idx
        self.head_dim: int = attention.head_dim
        self.scaling: float = attention.scaling
        self._heads = attention.q_proj.out_features // self.head_dim
        self._kv_heads = attention.k_proj.out_features // self.head_dim
        self.qkv = _merged(attention, ("q_proj", "k_proj", "v_proj"))
        self.o_proj = _merged(attention, ("o_proj",))
        self.q_norm = _norm(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.k_norm = _norm(attention.k_norm) if hasattr(attention, "k_norm") else None

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """`hidden_states` [R, nodes, hidden] to the same shape; keys and values go through `past_key_values.update`."""
        rows, nodes, _width = hidden_states.shape
        heads, kv_heads = self._heads, self._kv_heads
        states = self.qkv(hidden_states).view(rows, nodes, heads + 2 * kv_heads, self.head_dim)
        if self.q_norm is None or self.k_norm is None:
            turned = states[:, :, : heads + kv_heads]
        else:
            turned = torch.cat(
                (self.q_norm(states[:, :, :heads]), self.k_norm(states[:, :, heads : heads + kv_heads])), 2
            )
        turned = _rotated(turned.transpose(1, 2), *position_embeddings)
        query, key = turned[:, :heads], turned[:, heads:]
        value = states[:, :, heads + kv_heads :].transpose(1, 2)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        out, _weights = folded_attention(self, query, key, value, attention_mask, scaling=self.scaling)
        return self.o_proj(out.reshape(rows, nodes, -1)), None


class FusedMLP(nn.Module):
    """A gated MLP with one product for gate and up."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.act_fn = mlp.act_fn
        self.gate_up = _merged(mlp, ("gate_proj", "up_proj"))
        self.down_proj = _merged(mlp, ("down_proj",))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [R, nodes, hidden] to the same shape."""
        gate, up = self.gate_up(x).chunk(2, -1)
        result: torch.Tensor = self.down_proj(self.act_fn(gate) * up)
        return result


def fuse(model: Any) -> None:
    """Swap the modules of `model`, a causal LM of a FUSABLE family on the CPU, layer by layer.

    Merging needs one layer's weights twice for a moment, packing one matrix's. An output layer that shares the
    embedding's weights stays as it is: packed, it would be a second copy.
    """
    with torch.inference_mode():
        for layer in model.model.layers:
            layer.self_attn = FusedAttention(layer.self_attn)
            layer.mlp = FusedMLP(layer.mlp)
            layer.input_layernorm = _norm(layer.input_layernorm)
            layer.post_attention_layernorm = _norm(layer.post_attention_layernorm)
        model.model.norm = _norm(model.model.norm)
        if model.lm_head.weight is not model.get_input_embeddings().weight:
            model.lm_head = _linear(model.lm_head.weight.detach(), _detached(model.lm_head.bias))


def _merged(owner: Any, names: tuple[str, ...]) -> nn.Module:
    """The linear layers `names` of `owner` as one; they are removed from it, so that their weights are freed."""
    layers = [getattr(owner, name) for name in names]
    for name in names:
        delattr(owner, name)
    if len(layers) == 1:
        return _linear(layers[0].weight.detach(), _detached(layers[0].bias))
    weight = torch.cat([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    return _linear(weight, bias)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    if weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return PackedLinear(weight, bias)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear


def _norm(norm: Any) -> nn.Module:
    weight = norm.weight.detach()
    fused = nn.RMSNorm(weight.shape[0], eps=norm.variance_epsilon, device="meta")
    fused.weight = nn.Parameter(weight, requires_grad=False)
    return fused


def _detached(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.detach()


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding: `states` [R, heads, nodes, d], `cos` and `sin` [R, nodes, d]."""
    half = states.shape[-1] // 2
    swapped = torch.cat((-states[..., half:], states[..., :half]), -1)
    return torch.addcmul(states * cos[:, None], swapped, sin[:, None])


def fusable(model_type: str, dtype: str, device: str) -> bool:
    """Whether `fuse` is for this model: one worker on the CPU with unquantised weights of a known family."""
    return device == "cpu" and dtype in ("fp32", "bf16") and model_type in FUSABLE
