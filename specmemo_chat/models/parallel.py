"""Several workers with a share of the target each: what is a part of what, and the collectives between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from specmemo_chat.models.checkpoint import Part


@dataclass(frozen=True)
class Share:
    """Worker `rank` of `world`."""

    rank: int
    world: int

    def part(self, dim: int, size: int) -> Part:
        """This worker's part of `size` entries; the last worker's may be padded, so that all parts are equal."""
        each = -(-size // self.world)
        return Part(dim, self.rank * each, (self.rank + 1) * each, size)


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
