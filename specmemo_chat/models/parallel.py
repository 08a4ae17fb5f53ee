"""Tensor parallelism: each worker holds its share of the target's matrices, by transformers' own plan for the model.

The plan (`model.tp_plan`) says which linear layers are split by their outputs and which by their inputs. It is carried
out here on plain tensors: the same in every supported version of transformers, without accelerate, with tied
embeddings, and with one collective for each split of a layer (Megatron-LM, Shoeybi et al. 2019, arXiv 1909.08053).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.models.checkpoint import Part

# transformers' names of the ways to split.
BY_OUTPUT = ("colwise",)
GATHERED = ("colwise_gather_output", "colwise_rep")
BY_INPUT = ("rowwise",)
VOCABULARY = ("embedding_rowwise",)
WHOLE = ("replicated_with_grad_allreduce", "replicate")


@dataclass(frozen=True)
class Share:
    """Worker `rank` of `world`."""

    rank: int
    world: int

    def part(self, dim: int, size: int) -> Part:
        """This worker's part of `size` entries; the last worker's may be padded, so that all parts are equal."""
        each = -(-size // self.world)
        return Part(dim, self.rank * each, (self.rank + 1) * each, size)


def resolved_plan(model: nn.Module) -> dict[str, str]:
    """The way to split each module of `model` that is split, by the module's name."""
    plan: dict[str, str] = dict(getattr(model, "tp_plan", None) or {})
    # transformers 5.23 splits every embedding by the vocabulary, earlier versions only tied ones.
    plan.setdefault("model.embed_tokens", "embedding_rowwise")
    found = {}
    for name, module in model.named_modules():
        style = plan.get(re.sub(r"\.\d+\.", ".*.", name))
        if style is not None and style not in WHOLE and isinstance(module, nn.Linear | nn.Embedding):
            found[name] = style
    return found


def shrink(model: Any, share: Share) -> dict[str, Part]:
    """Cut the modules of `model` (its parameters on the meta device) down to this worker's share.

    Returns where each cut parameter lies in the whole one. Raises UsageError for a model that cannot be split so.
    """
    parts: dict[str, Part] = {}
    for name, style in resolved_plan(model).items():
        module = model.get_submodule(name)
        if style in BY_OUTPUT + GATHERED:
            dim, size, attribute = 0, module.out_features, "out_features"
        elif style in BY_INPUT:
            dim, size, attribute = 1, module.in_features, "in_features"
        elif style in VOCABULARY:
            dim, size, attribute = 0, module.num_embeddings, "num_embeddings"
        else:
            raise UsageError(
                f"{type(model).__name__} cannot be shared out: its plan wants {name} split by {style!r}",
                Flag("--gpus", "1"),
            )
        if size % share.world and style in BY_OUTPUT + BY_INPUT:
            raise UsageError(
                f"{name} has {size} columns, which do not divide by {share.world} workers", Flag("--gpus", "1")
            )
        part = share.part(dim, size)
        parts[f"{name}.weight"] = part
        shape = list(module.weight.shape)
        shape[dim] = part.stop - part.start
        module.weight = nn.Parameter(module.weight.new_empty(shape), requires_grad=False)
        setattr(module, attribute, shape[dim])
        # A bias is split with the outputs; beside a split input it is whole.
        if getattr(module, "bias", None) is not None and dim == 0:
            parts[f"{name}.bias"] = part
            module.bias = nn.Parameter(module.bias.new_empty(shape[0]), requires_grad=False)
        if isinstance(module, nn.Embedding):
            # The number of a padding token means nothing in a part, and is used in training only.
            module.padding_idx = None
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.get_input_embeddings().weight
    return parts


def connect(model: Any, share: Share, plan: dict[str, str]) -> None:
    """Put the collectives into `model`, whose share is loaded: a layer that is split by its inputs sums its outputs,
    the embedding sums what the workers looked up, the output layer gathers the vocabulary. `plan` as `resolved_plan`
    gave it before modules were fused."""
    for name, style in plan.items():
        owner_name, _, attribute = name.rpartition(".")
        owner = model.get_submodule(owner_name)
        if style in BY_INPUT:
            setattr(owner, attribute, SummedOutput(getattr(owner, attribute)))
        elif style in GATHERED:
            setattr(owner, attribute, GatheredOutput(getattr(owner, attribute), share, model.config.vocab_size))
        elif style in VOCABULARY:
            setattr(owner, attribute, SplitEmbedding(getattr(owner, attribute), share))


class SummedOutput(nn.Module):
    """A linear layer that is split by its inputs: the workers' products are summed. Its bias is zero on all workers but
    the first."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in / world] to [.., out], the same on every worker."""
        out: torch.Tensor = self.linear(x).contiguous()
        dist.all_reduce(out)
        return out

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` and the output for `x`, summed: as fused layers call it."""
        return residual + self.forward(x)


class GatheredOutput(nn.Module):
    """An output layer that is split by the vocabulary: the workers' logits are gathered."""

    def __init__(self, linear: nn.Module, share: Share, vocab: int) -> None:
        super().__init__()
        self.linear = linear
        self._world = share.world
        self._vocab = vocab

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., hidden] to [.., vocab], the same on every worker."""
        own: torch.Tensor = self.linear(x).contiguous()
        gathered = own.new_empty((self._world, *own.shape))
        dist.all_gather(list(gathered.unbind(0)), own)
        return gathered.movedim(0, -2).flatten(-2)[..., : self._vocab]


class SplitEmbedding(nn.Module):
    """An embedding that is split by the vocabulary: each worker looks up its own tokens."""

    def __init__(self, embedding: nn.Embedding, share: Share) -> None:
        super().__init__()
        self.embedding = embedding
        self._first = share.rank * embedding.num_embeddings

    @property
    def weight(self) -> torch.Tensor:
        """This worker's part [vocab / world, hidden]."""
        return self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`tokens` [..] to [.., hidden], the same on every worker."""
        own = tokens - self._first
        others = (own < 0) | (own >= self.embedding.num_embeddings)
        out: torch.Tensor = self.embedding(own.masked_fill(others, 0)).masked_fill_(others[..., None], 0)
        dist.all_reduce(out)
        return out
