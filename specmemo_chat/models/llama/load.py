"""Build a LlamaModel from weight files: tensor by tensor, block by block, and of each only one worker's share.

Neither host nor device ever holds more than the share, one matrix in its own format and a block of a file. Workers that
share a model out (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053) split QKV, gate, up and the vocabulary by their
outputs, the others by their inputs; the products of the latter are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from specmemo_chat.errors import Flag, ModelError, UsageError
from specmemo_chat.memory.matrices import GROUP
from specmemo_chat.models.checkpoint import EMBEDDING, OUTPUT, Part, Weights
from specmemo_chat.models.llama.config import LlamaConfig
from specmemo_chat.models.llama.model import LlamaAttention, LlamaBody, LlamaLayer, LlamaMLP, LlamaModel
from specmemo_chat.models.llama.rotary import paired, paired_outputs
from specmemo_chat.models.matrices.base import Rows
from specmemo_chat.models.matrices.choice import TableBuilder, builder
from specmemo_chat.models.norms import norm_of
from specmemo_chat.models.parallel import GatheredOutput, Share, SplitEmbedding, SummedOutput
from specmemo_chat.models.weight_files import Source
from specmemo_chat.sizes import counted

Shapes = dict[str, list[int]]
_Q, _K, _V, _O = (f"self_attn.{name}_proj" for name in "qkvo")
_GATE, _UP, _DOWN = (f"mlp.{name}_proj" for name in ("gate", "up", "down"))


def expected(config: LlamaConfig) -> Shapes:
    """The shape of every tensor that the model needs, by its name; without the output matrix where it is tied."""
    spec = config.spec
    h, inner = spec.hidden, spec.intermediate
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    biased = {_Q: spec.qkv_bias, _K: spec.qkv_bias, _V: spec.qkv_bias, _O: spec.o_bias}
    biased |= dict.fromkeys((_GATE, _UP, _DOWN), spec.mlp_bias)
    matrices = {_Q: (q, h), _K: (kv, h), _V: (kv, h), _O: (h, q), _GATE: (inner, h), _UP: (inner, h), _DOWN: (h, inner)}
    shapes: Shapes = {EMBEDDING: [spec.vocab, h]}
    for index in range(spec.layers):
        prefix = f"model.layers.{index}."
        for name, (out, inputs) in matrices.items():
            shapes[f"{prefix}{name}.weight"] = [out, inputs]
            if biased[name]:
                shapes[f"{prefix}{name}.bias"] = [out]
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{prefix}{name}.weight"] = [h]
        if spec.qk_norm:
            for name in ("q_norm", "k_norm"):
                shapes[f"{prefix}self_attn.{name}.weight"] = [spec.head_dim]
    shapes["model.norm.weight"] = [h]
    if not spec.tied_embeddings:
        shapes[OUTPUT] = [spec.vocab, h]
    return shapes


def load_llama(
    config: LlamaConfig, weights: Weights, *, fmt: str, compute: torch.dtype, device: torch.device, share: Share
) -> tuple[LlamaModel, list[str]]:
    """The model with its matrices in the format `fmt` (a precision of plan.dtype) and activations in `compute`, and the
    names of the tensors that it has no place for.

    Raises ModelError for tensors that are missing or have other shapes, UsageError for a model that cannot be shared
    out so; nothing was read then.
    """
    unused = _check(config, weights)
    _check_shares(config, share)
    # Not in inference mode: a tensor that is made there can be changed nowhere else.
    with torch.inference_mode(False), torch.no_grad():
        return _Loader(config, weights, fmt, compute, device, share).model(), unused


def _check(config: LlamaConfig, weights: Weights) -> list[str]:
    """The tensors that the model has no place for. Raises ModelError for those that it lacks, or of other shapes."""
    unused, missing = weights.names(), []
    tied = config.tie_word_embeddings
    if tied:
        weights.check_tied()
    for name, shape in expected(config).items():
        source = _stored(weights, name, tied=tied)
        if source is None:
            missing.append(name)
            continue
        unused.discard(source)
        if weights.shape(source) != shape:
            raise ModelError(
                f"the tensor {source} has the shape {weights.shape(source)}, and the model's config wants {shape}",
                "download the model again",
            )
    if missing:
        raise ModelError(
            f"the weights lack {counted(len(missing), 'tensor')} that the config.json asks for: "
            f"{', '.join(missing[:3])}",
            'if it is the embedding, set "tie_word_embeddings": true in config.json'
            if missing == [OUTPUT]
            else "download the model again, with the config.json that belongs to it",
        )
    if tied:
        unused.discard(OUTPUT)
    # Older files hold what is computed.
    return sorted(name for name in unused if not name.endswith("rotary_emb.inv_freq"))


def _check_shares(config: LlamaConfig, share: Share) -> None:
    spec = config.spec
    for what, size in (("heads", spec.heads), ("key-value heads", spec.kv_heads), ("MLP columns", spec.intermediate)):
        if size % share.world:
            raise UsageError(
                f"the model has {size} {what}, which do not divide by {share.world} workers", Flag("--gpus", "1")
            )


def _stored(weights: Weights, name: str, *, tied: bool) -> str | None:
    """Where the files hold the model's tensor `name`: one matrix for both may be stored under either name."""
    found = weights.name_of(name)
    return weights.name_of(OUTPUT) if found is None and tied and name == EMBEDDING else found


class _Loader:
    def __init__(
        self,
        config: LlamaConfig,
        weights: Weights,
        fmt: str,
        compute: torch.dtype,
        device: torch.device,
        share: Share,
    ) -> None:
        self._config, self._weights, self._share = config, weights, share
        self._fmt, self._compute, self._device = fmt, compute, device

    def model(self) -> LlamaModel:
        config, share = self._config, self._share
        table, lm_head = self._ends()
        layers = [self._layer(index) for index in range(config.num_hidden_layers)]
        body = LlamaBody(config, table, layers, self._norm("model.norm.weight"))
        if share.world > 1:
            body.embed_tokens = SplitEmbedding(body.embed_tokens, share)
            lm_head = GatheredOutput(lm_head, share, config.vocab_size)
        return LlamaModel(config, body, lm_head, self._compute).eval()

    def _ends(self) -> tuple[Any, Any]:
        """Embedding and output matrix; of several workers each has a part of the vocabulary, the last one's filled
        up."""
        spec = self._config.spec
        part = self._share.part(0, spec.vocab)
        rows = TableBuilder(self._fmt, part.stop - part.start, spec.hidden, device=self._device, compute=self._compute)
        self._fill(rows, self._source(EMBEDDING), part, slice(0, part.stop - part.start))
        if spec.tied_embeddings:
            return rows.tied()
        table = rows.table()
        return table, self._matrix([OUTPUT.removesuffix(".weight")], [spec.vocab], spec.hidden, whole=True)

    def _layer(self, index: int) -> LlamaLayer:
        config, spec, prefix = self._config, self._config.spec, f"model.layers.{index}."
        q, kv, world = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim, self._share.world
        turned = (spec.heads + spec.kv_heads) // world
        order = paired_outputs(turned, spec.kv_heads // world, spec.head_dim)
        qkv = self._matrix([prefix + name for name in (_Q, _K, _V)], [q, kv, kv], spec.hidden, order=order)
        out = self._matrix([prefix + _O], [spec.hidden], q, by_input=True, fine=False)
        pairs = paired(spec.head_dim)
        norms = None
        if spec.qk_norm:
            norms = (
                self._norm(f"{prefix}self_attn.q_norm.weight", pairs),
                self._norm(f"{prefix}self_attn.k_norm.weight", pairs),
            )
        attention = LlamaAttention(config, index, qkv, out, norms, world)
        gate_up = self._matrix([prefix + _GATE, prefix + _UP], [spec.intermediate] * 2, spec.hidden)
        # A few of its inputs are much larger than the others.
        down = self._matrix([prefix + _DOWN], [spec.hidden], spec.intermediate, by_input=True)
        if self._device.type == "cuda":
            # Else the next layer's larger matrices find no room between what this one's left.
            torch.cuda.empty_cache()
        ends = (
            self._norm(prefix + "input_layernorm.weight"),
            self._norm(prefix + "post_attention_layernorm.weight"),
        )
        return LlamaLayer(attention, LlamaMLP(config, gate_up, down), ends)

    def _norm(self, name: str, order: torch.Tensor | None = None) -> Any:
        weight = self._vector(name)
        config = self._config
        return norm_of(weight if order is None else weight[order], config.eps, config.norm_offset)

    def _vector(self, name: str, part: Part | None = None) -> torch.Tensor:
        source = self._weights.name_of(name)
        assert source is not None
        return self._weights.read(source, part, dtype=self._compute, device=self._device)

    def _matrix(
        self,
        names: Sequence[str],
        outs: Sequence[int],
        inputs: int,
        *,
        order: torch.Tensor | None = None,
        by_input: bool = False,
        whole: bool = False,
        fine: bool = True,
    ) -> Any:
        """The layers `names`, of `outs` outputs each, as one matrix, its outputs in `order` of this worker's. Split
        `by_input`, or by outputs; `whole`: by the vocabulary, of which the last part is filled up. `fine`: its inputs
        need more than 8 bits."""
        share = self._share
        parts = [share.part(1, inputs) if by_input else share.part(0, out) for out in outs]
        wide = inputs // share.world if by_input else inputs
        out = sum(outs) if by_input else sum(part.stop - part.start for part in parts)
        # An output matrix in 4 bits costs too much of the quality.
        fmt = "q8" if whole and self._fmt == "q4" else self._fmt
        made = builder(fmt, out, wide, device=self._device, compute=self._compute, fine=fine)
        place = None if order is None else order.argsort()
        bias: torch.Tensor | None = None
        first = 0
        for name, part, size in zip(names, parts, outs, strict=True):
            source = self._source(f"{name}.weight")
            stored: Rows = slice(first, first + (size if by_input else part.stop - part.start))
            rows = stored if place is None else place[stored]
            self._fill(made, source, part, stored if source.paired else rows)
            first += size if by_input else part.stop - part.start
            if not whole and self._weights.name_of(f"{name}.bias") is not None:
                bias = torch.zeros(out, dtype=self._compute, device=self._device) if bias is None else bias
                # The products of workers that split by inputs are summed: the first adds the bias.
                if not by_input or not share.rank:
                    bias[rows] = self._vector(f"{name}.bias", None if by_input else part)
        matrix: Any = made.finish(bias)
        return SummedOutput(matrix) if by_input and share.world > 1 else matrix

    def _source(self, name: str) -> Source:
        stored = _stored(self._weights, name, tied=self._config.tie_word_embeddings)
        assert stored is not None, name
        return self._weights.source(stored)

    def _fill(self, made: Any, source: Source, part: Part, rows: Rows) -> None:
        """Give `made` this worker's `part` of the tensor `source`; `rows`: where its rows go."""
        first, stop = (part.start, min(part.stop, part.size)) if part.dim == 0 else (0, source.shape[0])
        columns = slice(part.start, part.stop) if part.dim else slice(None)
        at = 0
        if source.grouped and self._fmt == "q4":
            each = source.shape[1] // GROUP
            groups = slice(part.start // GROUP, part.stop // GROUP) if part.dim else slice(0, each)
            for codes, scales, minima in source.groups(first, max(first, stop)):
                there = _within(rows, at, len(codes))
                made.put_groups(there, codes[:, columns], scales[:, groups], minima[:, groups])
                at += len(codes)
            return
        for block in source.blocks(first, max(first, stop)):
            made.put(_within(rows, at, len(block)), block[:, columns])
            at += len(block)


def _within(rows: Rows, start: int, count: int) -> Rows:
    """`count` of the places `rows`, from number `start` on."""
    if isinstance(rows, slice):
        return slice(rows.start + start, rows.start + start + count)
    return rows[start : start + count]
