"""The network of a draft head: one decoder layer over (token, feature) pairs.

EAGLE-1 and -2 (Li et al. 2024, arXiv 2401.15077, 2406.16858): fc(embedding, feature) through a layer without an input
norm; the output is the next feature, and the target's own lm_head reads it. EAGLE-3 (arXiv 2503.01840): fc mixes
several features of the target; the layer's attention reads embedding and state beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.drafters.eagle_config import HeadConfig, Rope
from specmemo_chat.drafters.eagle_format import prefix, read_head
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.models.attention import folded, folded_attention
from specmemo_chat.models.llama.rotary import paired, paired_outputs, turned_pairs
from specmemo_chat.models.matrices.choice import COMPUTED, TableBuilder, builder
from specmemo_chat.models.matrices.dense import PlainLinear, dense
from specmemo_chat.models.norms import norm_of
from specmemo_chat.models.target import Target

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": lambda value: functional.gelu(value, approximate="tanh"),
}


def load_head(folder: Path, target: Target, dtype: str) -> EagleHead:
    """The head in the local `folder`, its weights in `dtype` (of a plan), beside `target` on its device; where they are
    packed it computes as the target does.

    Raises ModelError for files that are missing or wrong or a head of another model, UsageError for a precision that
    heads do not have.
    """
    if dtype not in get_args(Dtype):
        raise UsageError(f"a draft head cannot be loaded in {dtype}", f"heads run in {', '.join(get_args(Dtype))}")
    compute = COMPUTED.get(dtype, target.dtype)
    config, tensors = read_head(folder)
    width = target.config.hidden_size
    if config.target_hidden != width:
        raise ModelError(
            f"the draft head in {folder} reads features of width {config.target_hidden}, and the model's are {width}",
            "give a head that was trained for this model",
        )
    for name, tensor in tensors.items():
        kept = torch.int64 if name == "d2t" else compute
        if dtype in COMPUTED or tensor.dim() == 1:
            tensors[name] = tensor.to(device=target.device, dtype=kept)
    head = EagleHead(config, tensors, target, dtype)
    ids = head.target_ids.cpu()
    if int(ids.min()) < 0 or int(ids.max()) >= target.vocab_size or int(ids.bincount().max()) > 1:
        raise ModelError(
            f"{folder}: the draft head's vocabulary (d2t) is no selection of the model's {target.vocab_size} tokens",
            "give a head that was trained for this model",
        )
    return head


class EagleHead(nn.Module):
    """A head beside its target; `tensors` under the names of `eagle_format`, all on one device and in one precision.
    In q8 or q4 (`fmt`) that is true of the norms' alone: the others are packed for the target's device.

    Projections that read the same input are merged: a step of one layer is mostly overhead. The target's embedding and
    lm_head are called, never copied (under tensor parallelism they are sharded).
    """

    def __init__(self, config: HeadConfig, tensors: dict[str, torch.Tensor], target: Target, fmt: str = "fp32") -> None:
        super().__init__()
        self.config = config
        self._target = target
        packed = fmt not in COMPUTED
        self.dtype = target.dtype if packed else tensors["fc.weight"].dtype
        self.device = target.device if packed else tensors["fc.weight"].device
        ids = torch.arange(config.draft_vocab if config.kind == "eagle3" else target.vocab_size, device=self.device)
        # The target's token for each of the head's own.
        self.target_ids = ids + tensors["d2t"] if "d2t" in tensors else ids
        norms = {name: tensor for name, tensor in tensors.items() if name.endswith("norm.weight") or "fc_norm." in name}
        merged = partial(_merged, tensors, fmt=fmt, device=self.device, compute=self.dtype)
        layer = prefix(config)
        attention = layer + "self_attn."
        heads, kv_heads, head_dim = config.heads, config.kv_heads, config.head_dim
        # As in the target's fused layers: dimensions in pairs are rotated by few calls.
        self._fused = self.device.type == "cpu"
        order = paired_outputs(heads + kv_heads, kv_heads, head_dim) if self._fused else None
        self.qkv = merged([attention + f"{name}_proj" for name in "qkv"], order)
        for name in (attention + "q_norm.weight", attention + "k_norm.weight"):
            if self._fused and name in norms:
                norms[name] = norms[name][paired(head_dim)]
        self.out = merged([attention + "o_proj"])
        self.gate_up = merged([layer + "mlp.gate_proj", layer + "mlp.up_proj"])
        self.down = merged([layer + "mlp.down_proj"])
        self.fc = merged(["fc"])
        self._norms = {name.removesuffix(".weight"): self._normer(weight) for name, weight in norms.items()}
        self._layer = layer
        if config.kind == "eagle3":
            # What the attention reads beside each other is normalised together.
            both = [norms[f"{layer}{name}.weight"] for name in ("input_layernorm", "hidden_norm")]
            self._pair_norm = self._normer(torch.stack(both))
        self._embedding = _table(tensors.pop("embed_tokens.weight", None), fmt, self.device, self.dtype)
        self.lm_head = merged(["lm_head"]) if "lm_head.weight" in tensors else None
        held = [self.qkv, self.out, self.gate_up, self.down, self.fc, self.lm_head, self._embedding, *norms.values()]
        # Bytes of the weights that are the head's own.
        self.nbytes: int = self.target_ids.nbytes + sum(part.nbytes for part in held if part is not None)
        self._frequencies = frequencies(config.rope, config.head_dim).to(self.device)
        self._one = torch.ones((), device=self.device)
        self._activation = _ACTIVATIONS[config.activation]

    @cached_property
    def shapes_repeat(self) -> bool:
        """Whether forwards should have few different numbers of tokens."""
        return any(getattr(module, "prepares", False) for module in self.modules())

    @property
    def logit_bytes(self) -> int:
        """Bytes of one token's `logits`."""
        dtype = self._target.dtype if self.lm_head is None else self.dtype
        return len(self.target_ids) * dtype.itemsize

    def states(self, features: torch.Tensor) -> torch.Tensor:
        """The target's features [R, N, feature_count · target_hidden] as states of the head [R, N, hidden]."""
        config = self.config
        features = features.to(self.dtype)
        if config.kind == "eagle":
            return features
        if config.norm_before_fc:
            features = self._norms["input_norm"](features)
        elif config.fc_norm:
            parts = features.chunk(config.feature_count, -1)
            features = torch.cat([self._norms[f"fc_norm.{index}"](part) for index, part in enumerate(parts)], -1)
        mixed: torch.Tensor = self.fc(features)
        return mixed

    def turns(self, positions: torch.Tensor) -> torch.Tensor:
        """What positions [R, N] turn queries and keys by, [R, N, 1, head_dim / 2]: angles, on a CPU complex numbers."""
        angles = positions[..., None, None] * self._frequencies
        return torch.polar(self._one, angles) if self._fused else angles

    def forward(
        self,
        tokens: torch.Tensor,
        states: torch.Tensor,
        turns: torch.Tensor,
        arena: KVArena,
        window: Window,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """One forward over pairs of `tokens` [R, N] and `states` [R, N, hidden], written to the `window` of `arena`.
        `turns` are those of their positions, or of the one position of each row; `mask` [R, 1, N, view] is bool or what
        is added to scores.

        Returns the next states [R, N, hidden]: what the recurrence feeds back, and what `logits` reads.
        """
        rows, nodes, _ = states.shape
        residual, query, keys, values = self._read(tokens, states, turns, arena, window)
        return self._continue(residual, query, keys, values, mask).view(rows, nodes, -1)

    def append(
        self,
        tokens: torch.Tensor,
        states: torch.Tensor,
        turns: torch.Tensor,
        arena: KVArena,
        window: Window,
        ends: Sequence[int],
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Pairs of a text that is committed, of several rows behind each other: `tokens` [1, T], `states` [1, T,
        hidden], the last pair of row i at `ends[i]`. `mask` [R, 1, 1, view] is added to the scores of these.

        Returns the states [R, hidden] after them. Nobody reads those of the other pairs: of these the layer makes keys
        and values only, which takes a fraction of a forward.
        """
        residual, query, keys, values = self._read(tokens, states, turns, arena, window)
        if len(ends) == 1:
            residual, query = residual[ends[0] : ends[0] + 1], query[:, :, ends[0] : ends[0] + 1]
        else:
            at = torch.tensor(ends, device=residual.device)
            residual, query = residual.index_select(0, at), query[0].index_select(1, at).transpose(0, 1)[:, :, None]
        return self._continue(residual, query, keys, values, mask)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits [.., draft_vocab] over the head's own vocabulary, for states [.., hidden] of `forward`."""
        if self.lm_head is None:
            lm_head: Any = self._target.model.get_output_embeddings()
            # Flat: of a slice of three dimensions torch multiplies by a copy of the whole matrix, in bf16 on a CPU.
            flat: torch.Tensor = lm_head(states.to(self._target.dtype).flatten(0, -2))
            return flat.view(*states.shape[:-1], -1)
        if not self.config.norm_output:
            states = self._norms["norm"](states)
        own: torch.Tensor = self.lm_head.forward(states)
        return own

    @cached_property
    def _embed_as_target(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """The call of the target's embedding, which is no module of the head's own."""
        called: Callable[[torch.Tensor], torch.Tensor] = self._target.model.get_input_embeddings().__call__
        return called

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._embedding is not None:
            own: torch.Tensor = self._embedding.forward(tokens)
            return own
        return self._embed_as_target(tokens).to(self.dtype)

    def _normer(self, weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """RMSNorm over the last dimension by `weight` [.., width]."""
        return norm_of(weight, self.config.eps).forward

    def _read(
        self, tokens: torch.Tensor, states: torch.Tensor, turns: torch.Tensor, arena: KVArena, window: Window
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The layer up to its attention: what that is added to [R · N, hidden], the queries [R, heads, N, d], and the
        keys and values [R, kv_heads, view, d] that the window sees."""
        config = self.config
        rows, nodes, width = states.shape
        embedded = self._embed(tokens).view(rows * nodes, -1)
        states = states.reshape(rows * nodes, width)
        if config.kind == "eagle":
            residual = inputs = self.fc.forward(torch.cat((embedded, states), -1))
        else:
            normed = self._pair_norm(torch.stack((embedded, states), 1))
            residual = normed[:, 1] if config.norm_before_residual else states
            inputs = normed.view(rows * nodes, -1)
        heads, kv_heads = config.heads, config.kv_heads
        projected = self.qkv.forward(inputs).view(rows, nodes, heads + 2 * kv_heads, config.head_dim)
        turning, value = projected[:, :, : heads + kv_heads], projected[:, :, heads + kv_heads :]
        if self._layer + "self_attn.q_norm" in self._norms:
            query = self._norms[self._layer + "self_attn.q_norm"](turning[:, :, :heads])
            key = self._norms[self._layer + "self_attn.k_norm"](turning[:, :, heads:])
            turning = torch.cat((query, key), 2)
        if self._fused:
            turned = turned_pairs(turning, turns).transpose(1, 2)
        else:
            turned = _rotate(turning, turns.cos().to(self.dtype), turns.sin().to(self.dtype)).transpose(1, 2)
        query, key = turned[:, :heads], turned[:, heads:]
        keys, values = arena.store(0, window, key, value.transpose(1, 2))
        return residual, query, keys, values

    def _continue(
        self, residual: torch.Tensor, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The rest of the layer, from what `_read` gives: states [R · N, hidden]."""
        if mask.dtype != torch.bool and mask.shape[2] > 1:
            mask = folded(mask, self.config.heads // self.config.kv_heads)
        attended, _ = folded_attention(self, query, keys, values, mask)
        hidden: torch.Tensor = self.out.onto(residual, attended.reshape(len(residual), -1))
        gate, up = self.gate_up.forward(self._norms[self._layer + "post_attention_layernorm"](hidden)).chunk(2, -1)
        hidden = self.down.onto(hidden, self._activation(gate) * up)
        if self.config.norm_output:
            hidden = self._norms["norm"](hidden)
        return hidden


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


def _table(weight: torch.Tensor | None, fmt: str, device: torch.device, compute: torch.dtype) -> Any:
    """An embedding [words, width] in the precision `fmt`."""
    if weight is None:
        return None
    rows = TableBuilder(fmt, *weight.shape, device=device, compute=compute)
    rows.put(slice(0, len(weight)), weight)
    return rows.table()


def _merged(
    tensors: dict[str, torch.Tensor],
    names: list[str],
    order: torch.Tensor | None = None,
    *,
    fmt: str,
    device: torch.device,
    compute: torch.dtype,
) -> Any:
    """One linear layer that computes those called `names` beside each other, its outputs in `order`. Takes their
    weights out of `tensors`, so that they are not held twice."""
    weights = [tensors.pop(f"{name}.weight") for name in names]
    biases = [tensors.get(f"{name}.bias") for name in names]
    bias: torch.Tensor | None = None
    if any(each is not None for each in biases):
        bias = torch.cat(
            [torch.zeros(len(weights[at]), dtype=compute, device=device) if each is None else each
             for at, each in enumerate(biases)]
        )  # fmt: skip
    if fmt not in COMPUTED:
        made = builder(fmt, sum(map(len, weights)), weights[0].shape[1], device=device, compute=compute)
        place, first = None if order is None else order.argsort(), 0
        while weights:
            weight = weights.pop(0)
            rows = slice(first, first + len(weight))
            made.put(rows if place is None else place[rows], weight)
            first += len(weight)
        return made.finish(bias if order is None or bias is None else bias[order])
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    del weights
    if order is not None:
        weight, bias = weight[order], None if bias is None else bias[order]
    make: Callable[..., Any] = dense if weight.device.type == "cpu" else PlainLinear
    return make(weight, bias)
