"""A faster forward: modules of a loaded model are swapped for fused equivalents with the same weights.

A decoding step of a small model is overhead, one of a large model is reading weights. So the projections of one input
become one product (QKV, gate and up), a product is added onto the residual as it is made, the norm is a few calls,
queries and keys are rotated together as complex numbers, and large weights are put once into the order that oneDNN
multiplies in, instead of at every step. On a GPU that leaves half of the kernels. `direct` runs the model without what
transformers has around the layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.models.attention import folded_attention
from specmemo_chat.models.direct import run_directly
from specmemo_chat.models.norms import FusedNorm, GpuNorm, norm_of
from specmemo_chat.models.packing import Packing
from specmemo_chat.models.rotary import settle

# Rotary embeddings with one set of frequencies; of the others cosine and sine are asked for.
_FIXED_ROPES = ("default", "linear", "llama3", "yarn", "proportional", "dynamic")
# Families whose attention, MLP and norm are those of Llama, with bias or query and key norms where they exist.
FUSABLE = ("llama", "mistral", "qwen2", "qwen3")


# Products in fp32, measured on two AVX2 cores (docs/notes/kernels.md). torch's own, which are MKL's, cost the least to
# call: small matrices are multiplied by them. For several rows of a matrix from this size on oneDNN's take down to a
# quarter of their time, from a packed one or, a little slower, from one as it is.
_LARGE_BYTES = 4 << 20
# The rows that large matrices are packed for. Packed for one, the default, they take twice the time for several, and
# for one they are no faster.
_PACKED_ROWS = 32
# On a GPU so many tokens' queries and keys are rotated together: a kernel less for each costs more than memory there.
_TOGETHER = 128
# Rows of a small matrix that lie a multiple of so many bytes apart compete for the same places of the cache; so many
# more values between them end that.
_PAGE_BYTES, _PADDING = 4096, 16


class FusedLinear(nn.Module):
    """A linear layer in fp32 of a small matrix, or of one that something else reads too; [.., in] to [.., out]."""

    def __init__(self, weight: nn.Parameter, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = weight
        self.out_features, self.in_features = weight.shape
        self._right = weight.detach().t()
        self._bias = bias
        self.large = _is_large(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product, with the bias where there is one."""
        if self.large:
            return _multiplied(x, self.weight, self._bias)
        flat = x if x.dim() == 2 else x.reshape(-1, self.in_features)
        out = flat.mm(self._right) if self._bias is None else torch.addmm(self._bias, flat, self._right)
        return out if x.dim() == 2 else out.view(*x.shape[:-1], self.out_features)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        if self.large:
            return residual + self.forward(x)
        if self._bias is not None:
            residual = residual + self._bias
        return torch.addmm(residual, x, self._right)


class PackedLinear(nn.Module):
    """A linear layer on the CPU whose weight lies in oneDNN's blocked order; [.., in] to [.., out]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        rows = _PACKED_ROWS if weight.dtype == torch.float32 else None
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self._bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product, with the bias where there is one."""
        return _multiplied(x, self._packed, self._bias)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed as it is made."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self._packed, self._bias, "add")
        return result


class PlainLinear(nn.Linear):
    """A linear layer as it was, in a precision that nothing is known to do faster."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self.weight = nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            self.bias = nn.Parameter(bias, requires_grad=False)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        return residual + self.forward(x)


class ComplexRotary(nn.Module):
    """Rotary position embeddings as complex numbers [R, nodes, 1, d / 2], in place of cosine and sine."""

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self._rotary: Any = rotary
        self._fixed = getattr(rotary, "rope_type", "") in _FIXED_ROPES
        self.boundary: int = getattr(rotary, "boundary", 0)

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """The turns of `position_ids` [R, nodes]."""
        if self._fixed:
            angles = position_ids[..., None, None] * self._rotary.inv_freq.float()
            turns = torch.complex(angles.cos(), angles.sin())
            scaling = self._rotary.attention_scaling
            return turns if scaling == 1.0 else turns * scaling
        # Of `x` only device and precision count.
        cos, sin = self._rotary(x[..., :0].float(), position_ids)
        half = cos.shape[-1] // 2
        return torch.complex(cos[..., :half], sin[..., :half])[:, :, None]


class FusedAttention(nn.Module):
    """Attention of one layer: one product for queries, keys and values, one rotation for queries and keys.

    The dimensions of queries and keys are put in pairs (i, i + d / 2), as which they are rotated; a product of a query
    and a key does not depend on their order.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.layer_idx: int = attention.layer_idx
        self.head_dim: int = attention.head_dim
        self.scaling: float = attention.scaling
        self._heads = attention.q_proj.out_features // self.head_dim
        self._kv_heads = attention.k_proj.out_features // self.head_dim
        # Whether queries and keys of a chunk are rotated one after the other.
        self.apart: bool = attention.o_proj.weight.is_cuda
        pairs = paired(self.head_dim)
        order = paired_outputs(self._heads + self._kv_heads, self._kv_heads, self.head_dim)
        self.qkv = _merged(attention, ("q_proj", "k_proj", "v_proj"), order)
        self.o_proj = _merged(attention, ("o_proj",))
        normed = hasattr(attention, "q_norm")
        self.q_norm = _norm(attention.q_norm, pairs) if normed else None
        self.k_norm = _norm(attention.k_norm, pairs) if normed else None

    def onto(
        self,
        residual: torch.Tensor,
        hidden: torch.Tensor,
        shape: tuple[int, int],
        position_embeddings: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Any,
        packing: Packing | None,
    ) -> torch.Tensor:
        """`residual` and the attention's output for `hidden`, both [T, hidden] with T = rows · nodes of `shape`; keys
        and values go through `past_key_values.update`."""
        rows, nodes = shape
        query, key, value = self._read(hidden, shape, position_embeddings)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        out, _weights = folded_attention(self, query, key, value, attention_mask, scaling=self.scaling, packing=packing)
        summed: torch.Tensor = self.o_proj.onto(residual, out.reshape(rows * nodes, -1))
        return summed

    def _read(
        self, hidden: torch.Tensor, shape: tuple[int, int], turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries [R, heads, nodes, d], keys and values [R, kv_heads, nodes, d]."""
        heads, kv_heads = self._heads, self._kv_heads
        states = self.qkv.forward(hidden).view(*shape, heads + 2 * kv_heads, self.head_dim)
        value = states[:, :, heads + kv_heads :].transpose(1, 2)
        turned = states[:, :, : heads + kv_heads]
        if self.apart and len(hidden) > _TOGETHER:
            # One after the other: of a chunk the rotation, in fp32, is the most that a layer holds.
            query, key = turned[:, :, :heads], turned[:, :, heads:]
            query = turned_pairs(query if self.q_norm is None else self.q_norm(query), turns).transpose(1, 2)
            key = turned_pairs(key if self.k_norm is None else self.k_norm(key), turns).transpose(1, 2)
            return query, key, value
        if self.q_norm is not None and self.k_norm is not None:
            turned = torch.cat((self.q_norm(turned[:, :, :heads]), self.k_norm(turned[:, :, heads:])), 2)
        turned = turned_pairs(turned, turns).transpose(1, 2)
        return turned[:, :heads], turned[:, heads:], value


class FusedMLP(nn.Module):
    """A gated MLP with one product for gate and up."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        silu = type(mlp.act_fn).__name__ in ("SiLU", "SiLUActivation")
        self._act_fn = functional.silu if silu else mlp.act_fn
        self.gate_up = _merged(mlp, ("gate_proj", "up_proj"))
        self.down_proj = _merged(mlp, ("down_proj",))

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` and the MLP's output for `x`, both [T, hidden]."""
        summed: torch.Tensor = self.down_proj.onto(residual, self._active(x))
        return summed

    def _active(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up.forward(x).chunk(2, -1)
        product: torch.Tensor = self._act_fn(gate).mul_(up)
        return product


class FusedLayer(nn.Module):
    """A decoder layer of fused modules, called as transformers calls its own."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.self_attn = FusedAttention(layer.self_attn)
        self.mlp = FusedMLP(layer.mlp)
        self.input_layernorm = _norm(layer.input_layernorm)
        self.post_attention_layernorm = _norm(layer.post_attention_layernorm)
        if hasattr(layer, "attention_type"):
            self.attention_type = layer.attention_type

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        position_embeddings: Any = None,
        packing: Packing | None = None,
        **_: Any,
    ) -> torch.Tensor:
        """`hidden_states` [R, nodes, hidden] to the same shape."""
        rows, nodes, width = hidden_states.shape
        flat = hidden_states.reshape(-1, width)
        flat = self.self_attn.onto(
            flat,
            self.input_layernorm.forward(flat),
            (rows, nodes),
            position_embeddings,
            attention_mask,
            past_key_values,
            packing,
        )
        flat = self.mlp.onto(flat, self.post_attention_layernorm.forward(flat))
        return flat.view(rows, nodes, width)


def fuse(model: Any) -> None:
    """Swap the modules of `model`, a causal LM of a FUSABLE family, layer by layer.

    Merging needs one layer's weights twice for a moment, packing one matrix's. An output layer that shares the
    embedding's weights stays as it is: packed, it would be a second copy.
    """
    # Not in inference mode: a tensor that is made there can be changed nowhere else.
    with torch.no_grad():
        body = model.model
        on_gpu = model.get_input_embeddings().weight.device.type == "cuda"
        for index in range(len(body.layers)):
            body.layers[index] = FusedLayer(body.layers[index])
            if on_gpu:
                # Else the next layer's larger matrices find no room between what this one's left.
                torch.cuda.empty_cache()
        body.norm = _norm(body.norm)
        embedding = model.get_input_embeddings()
        settle(body)
        body.rotary_emb = ComplexRotary(body.rotary_emb)
        if model.lm_head.weight is not embedding.weight:
            model.lm_head = linear_of(model.lm_head.weight.detach(), _detached(model.lm_head.bias))
        elif embedding.weight.dtype == torch.float32 and embedding.weight.device.type == "cpu":
            # One matrix for both, in the order of the product; an embedding is a few rows of it.
            embedding.weight = nn.Parameter(_ordered(embedding.weight.detach()), requires_grad=False)
            model.lm_head = FusedLinear(embedding.weight, _detached(model.lm_head.bias))
    run_directly(model)


def _merged(owner: Any, names: tuple[str, ...], order: torch.Tensor | None = None) -> Any:
    """The linear layers `names` of `owner` as one, its outputs in `order`; they are removed from it, so that their
    weights are freed."""
    layers = [getattr(owner, name) for name in names]
    for name in names:
        delattr(owner, name)
    weight, bias = layers[0].weight.detach(), _detached(layers[0].bias)
    if len(layers) > 1:
        weight = torch.cat([layer.weight for layer in layers])
        bias = None if bias is None else torch.cat([layer.bias for layer in layers])
    del layers
    if order is not None:
        weight, bias = weight[order], None if bias is None else bias[order]
    return linear_of(weight, bias)


def linear_of(weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    """The fastest module known for a linear layer: `weight` [out, in], `bias` [out]. It takes the weight's place: the
    caller keeps none."""
    if weight.device.type != "cpu":
        return PlainLinear(weight, bias)
    if weight.dtype == torch.float32:
        if _is_large(weight):
            return PackedLinear(weight, bias)
        return FusedLinear(nn.Parameter(_ordered(weight), requires_grad=False), bias)
    if weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return PackedLinear(weight, bias)
    return PlainLinear(weight, bias)


def prepares(module: nn.Module) -> bool:
    """Whether `module` is a layer whose product is prepared anew for each number of rows."""
    return isinstance(module, PackedLinear) or (isinstance(module, FusedLinear) and module.large)


def _is_large(weight: torch.Tensor) -> bool:
    """Whether a matrix is one for oneDNN."""
    available = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return available and weight.nbytes >= _LARGE_BYTES


def _multiplied(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`x` [.., in] times `weight` [out, in], in any order that oneDNN knows."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return result


def _ordered(weight: torch.Tensor) -> torch.Tensor:
    """The same matrix [out, in], laid out as its product is fastest: of a small wide one the inputs of an output do not
    lie beside each other."""
    outputs, inputs = weight.shape
    if outputs <= inputs or weight.nbytes >= _LARGE_BYTES:
        return weight
    padding = 0 if outputs * weight.element_size() % _PAGE_BYTES else _PADDING
    ordered = weight.new_empty((inputs, outputs + padding))[:, :outputs]
    return ordered.copy_(weight.t()).t()


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


def _norm(norm: Any, order: torch.Tensor | None = None) -> FusedNorm | GpuNorm:
    weight = norm.weight.detach()
    return norm_of(weight if order is None else weight[order], norm.variance_epsilon)


def _detached(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else tensor.detach()


def fusable(model_type: str, dtype: str, device: str) -> bool:
    """Whether `fuse` is for this model: unquantised weights of a known family, on a CPU or a GPU of CUDA's."""
    known = ("fp32", "bf16") if device == "cpu" else ("fp32", "bf16", "fp16")
    return (device == "cpu" or device.startswith("cuda")) and dtype in known and model_type in FUSABLE
