"""The network of a draft head: one decoder layer over (token, feature) pairs.

EAGLE-1 and -2 (Li et al. 2024, arXiv 2401.15077, 2406.16858): fc(embedding, feature) through a layer without an input
norm; the output is the next feature, and the target's own lm_head reads it. EAGLE-3 (arXiv 2503.01840): fc mixes
several features of the target; the layer's attention reads embedding and state beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.drafters.eagle_config import HeadConfig, Rope
from specmemo_chat.drafters.eagle_format import prefix, read_head
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.models.attention import folded_attention
from specmemo_chat.models.fused import FusedNorm, PlainLinear, linear_of, paired, paired_outputs, turned_pairs
from specmemo_chat.models.target import Target

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": lambda value: functional.gelu(value, approximate="tanh"),
}


def load_head(folder: Path, target: Target, dtype: str) -> EagleHead:
    """The head in the local `folder`, in `dtype` (fp32, bf16, fp16), beside `target` on its device.

    Raises ModelError for files that are missing or wrong or a head of another model, UsageError for a precision that
    heads do not have.
    """
    if dtype not in _DTYPES:
        raise UsageError(f"a draft head cannot be loaded in {dtype}", "heads run in bf16, fp16 or fp32")
    config, tensors = read_head(folder)
    width = target.config.hidden_size
    if config.target_hidden != width:
        raise ModelError(
            f"the draft head in {folder} reads features of width {config.target_hidden}, and the model's are {width}",
            "give a head that was trained for this model",
        )
    for name, tensor in tensors.items():
        kept = torch.int64 if name == "d2t" else _DTYPES[dtype]
        tensors[name] = tensor.to(device=target.device, dtype=kept)
    head = EagleHead(config, tensors, target)
    ids = head.target_ids.cpu()
    if int(ids.min()) < 0 or int(ids.max()) >= target.vocab_size or int(ids.bincount().max()) > 1:
        raise ModelError(
            f"{folder}: the draft head's vocabulary (d2t) is no selection of the model's {target.vocab_size} tokens",
            "give a head that was trained for this model",
        )
    return head


class EagleHead(nn.Module):
    """A head beside its target; `tensors` under the names of `eagle_format`, all on one device and in one precision.

    Projections that read the same input are merged: a step of one layer is mostly overhead. The target's embedding and
    lm_head are called, never copied (under tensor parallelism they are sharded).
    """

    def __init__(self, config: HeadConfig, tensors: dict[str, torch.Tensor], target: Target) -> None:
        super().__init__()
        self.config = config
        self._target = target
        self.dtype = tensors["fc.weight"].dtype
        self.device = tensors["fc.weight"].device
        ids = torch.arange(config.draft_vocab if config.kind == "eagle3" else target.vocab_size, device=self.device)
        # The target's token for each of the head's own.
        self.target_ids = ids + tensors["d2t"] if "d2t" in tensors else ids
        # Bytes of the weights that are the head's own.
        self.nbytes = self.target_ids.nbytes + sum(t.nbytes for name, t in tensors.items() if name != "d2t")
        layer = prefix(config)
        attention = layer + "self_attn."
        heads, kv_heads, head_dim = config.heads, config.kv_heads, config.head_dim
        # As in the target's fused layers: dimensions in pairs are rotated by few calls.
        self._complex = self.device.type == "cpu" and self.dtype == torch.float32
        order = paired_outputs(heads + kv_heads, kv_heads, head_dim) if self._complex else None
        self.qkv = _merged(tensors, [attention + f"{name}_proj" for name in "qkv"], order)
        for name in (attention + "q_norm.weight", attention + "k_norm.weight"):
            if self._complex and name in tensors:
                tensors[name] = tensors[name][paired(head_dim)]
        self.out = _merged(tensors, [attention + "o_proj"])
        self.gate_up = _merged(tensors, [layer + "mlp.gate_proj", layer + "mlp.up_proj"])
        self.down = _merged(tensors, [layer + "mlp.down_proj"])
        self.fc = _merged(tensors, ["fc"])
        norms = [name for name in tensors if name.endswith("norm.weight")]
        norms += [f"fc_norm.{index}.weight" for index in range(config.feature_count if config.fc_norm else 0)]
        self._norms = {name.removesuffix(".weight"): self._normer(tensors[name]) for name in norms}
        self._layer = layer
        self._embedding = tensors.get("embed_tokens.weight")
        self.lm_head = _merged(tensors, ["lm_head"]) if "lm_head.weight" in tensors else None
        self._frequencies = frequencies(config.rope, config.head_dim).to(self.device)
        self._activation = _ACTIVATIONS[config.activation]

    def states(self, features: torch.Tensor) -> torch.Tensor:
        """The target's features [R, N, feature_count · target_hidden] as states of the head [R, N, hidden]."""
        config = self.config
        features = features.to(self.dtype)
        if config.kind == "eagle":
            return features
        if config.norm_before_fc:
            features = self._norm("input_norm", features)
        elif config.fc_norm:
            parts = features.chunk(config.feature_count, -1)
            features = torch.cat([self._norm(f"fc_norm.{index}", part) for index, part in enumerate(parts)], -1)
        mixed: torch.Tensor = self.fc(features)
        return mixed

    def forward(
        self,
        tokens: torch.Tensor,
        states: torch.Tensor,
        positions: torch.Tensor,
        arena: KVArena,
        rows: Sequence[int],
        slots: torch.Tensor,
        mask: torch.Tensor,
        view: int,
    ) -> torch.Tensor:
        """One forward over pairs of `tokens` [R, N] and `states` [R, N, hidden] at `positions` [R, N], written to
        `slots` [R, N] of `rows` in `arena`. `mask` is bool [R, 1, N, view].

        Returns the next states [R, N, hidden]: what the recurrence feeds back, and what `logits` reads.
        """
        config = self.config
        if config.kind == "eagle":
            hidden = self.fc(torch.cat((self._embed(tokens), states), -1))
            residual = inputs = hidden
        else:
            normed = self._norm(self._layer + "hidden_norm", states)
            residual = normed if config.norm_before_residual else states
            inputs = torch.cat((self._norm(self._layer + "input_layernorm", self._embed(tokens)), normed), -1)
        hidden = residual + self._attend(inputs, positions, arena, rows, slots, mask, view)
        gate, up = self.gate_up(self._norm(self._layer + "post_attention_layernorm", hidden)).chunk(2, -1)
        hidden = hidden + self.down(self._activation(gate) * up)
        return self._norm("norm", hidden) if config.norm_output else hidden

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits [.., draft_vocab] over the head's own vocabulary, for states [.., hidden] of `forward`."""
        if self.lm_head is None:
            lm_head: Any = self._target.model.get_output_embeddings()
            shared: torch.Tensor = lm_head(states.to(self._target.dtype))
            return shared
        if not self.config.norm_output:
            states = self._norm("norm", states)
        own: torch.Tensor = self.lm_head(states)
        return own

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._embedding is not None:
            return functional.embedding(tokens, self._embedding)
        embedded: torch.Tensor = self._target.model.get_input_embeddings()(tokens)
        return embedded.to(self.dtype)

    def _norm(self, name: str, values: torch.Tensor) -> torch.Tensor:
        return self._norms[name](values)

    def _normer(self, weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        eps = self.config.eps
        if weight.device.type == "cpu" and weight.dtype == torch.float32:
            return FusedNorm(weight, eps).forward
        return lambda values: functional.rms_norm(values, weight.shape, weight, eps)

    def _attend(
        self,
        inputs: torch.Tensor,
        positions: torch.Tensor,
        arena: KVArena,
        rows: Sequence[int],
        slots: torch.Tensor,
        mask: torch.Tensor,
        view: int,
    ) -> torch.Tensor:
        config = self.config
        heads, kv_heads = config.heads, config.kv_heads
        projected = self.qkv(inputs).view(*inputs.shape[:2], heads + 2 * kv_heads, config.head_dim)
        turning, value = projected[:, :, : heads + kv_heads], projected[:, :, heads + kv_heads :]
        if self._layer + "self_attn.q_norm" in self._norms:
            query = self._norm(self._layer + "self_attn.q_norm", turning[:, :, :heads])
            key = self._norm(self._layer + "self_attn.k_norm", turning[:, :, heads:])
            turning = torch.cat((query, key), 2)
        angles = positions[..., None, None] * self._frequencies
        if self._complex:
            turned = turned_pairs(turning, torch.complex(angles.cos(), angles.sin())).transpose(1, 2)
        else:
            turned = _rotate(turning, angles.cos().to(self.dtype), angles.sin().to(self.dtype)).transpose(1, 2)
        query, key = turned[:, :heads], turned[:, heads:]
        keys, values = arena.write(0, rows, slots, key, value.transpose(1, 2), view)
        attended, _ = folded_attention(self, query, keys, values, mask)
        out: torch.Tensor = self.out(attended.flatten(2))
        return out


def frequencies(rope: Rope, head_dim: int) -> torch.Tensor:
    """Radians per position of each pair of dimensions [head_dim / 2], fp32 (llama3: Llama 3.1's smooth scaling of
    wavelengths beyond the original context)."""
    plain = 1.0 / rope.theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if rope.kind == "linear":
        return plain / rope.factor
    if rope.kind == "llama3":
        turns = rope.original_context * plain / (2 * math.pi)
        smooth = (turns - rope.low_frequency) / (rope.high_frequency - rope.low_frequency)
        smooth = smooth.clamp(0.0, 1.0)
        return (1 - smooth) * plain / rope.factor + smooth * plain
    return plain


def _rotate(values: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """`values` [R, N, heads, d] turned by angles of which `cosine` and `sine` [R, N, 1, d / 2] are given."""
    first, second = values.chunk(2, -1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), -1)


def _merged(tensors: dict[str, torch.Tensor], names: list[str], order: torch.Tensor | None = None) -> nn.Module:
    """One linear layer that computes those called `names` beside each other, its outputs in `order`. Takes their
    weights out of `tensors`, so that they are not held twice."""
    weights = [tensors.pop(f"{name}.weight") for name in names]
    biases = [tensors.get(f"{name}.bias") for name in names]
    bias: torch.Tensor | None = None
    if any(each is not None for each in biases):
        bias = torch.cat(
            [weights[at].new_zeros(weights[at].shape[0]) if each is None else each for at, each in enumerate(biases)]
        )
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    del weights
    if order is not None:
        weight, bias = weight[order], None if bias is None else bias[order]
    make: Callable[..., nn.Module] = linear_of if weight.device.type == "cpu" else PlainLinear
    return make(weight, bias)
