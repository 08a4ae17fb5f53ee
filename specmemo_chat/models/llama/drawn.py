"""Random weights of any shape, drawn as they are read: nothing is held twice; the same seed gives the same model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from specmemo_chat.models.checkpoint import Checkpoint
from specmemo_chat.models.llama.config import config_of_values
from specmemo_chat.models.llama.load import expected, load_llama
from specmemo_chat.models.llama.model import LlamaModel
from specmemo_chat.models.matrices.choice import COMPUTED
from specmemo_chat.models.parallel import Share
from specmemo_chat.models.weight_files import Source

_SPREAD = 0.02
_ROWS = 1024


@dataclass(frozen=True)
class _Drawn:
    """A tensor of normal numbers; one dimension (norms' scales and biases): ones."""

    shape: tuple[int, ...]
    seed: int
    device: torch.device
    dtype: torch.dtype = torch.float32
    paired: bool = False
    grouped: bool = False

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        generator = torch.Generator(self.device).manual_seed(self.seed)
        for at in range(0, stop, _ROWS):
            shape = (min(_ROWS, self.shape[0] - at), *self.shape[1:])
            block = torch.ones(shape, device=self.device)
            if len(shape) > 1:
                block.normal_(0.0, _SPREAD, generator=generator)
            kept = block[max(0, start - at) : stop - at]
            if len(kept):
                yield kept

    def groups(self, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        raise NotImplementedError


class DrawnWeights(Checkpoint):
    """The tensors that a model of this config.json needs, drawn on `device`."""

    def __init__(self, values: Mapping[str, Any], seed: int, device: torch.device) -> None:
        shapes = expected(config_of_values(values))
        self._pickled = False
        self._sources: dict[str, Source] = {
            name: _Drawn(tuple(shape), 1000 * seed + index, device)
            for index, (name, shape) in enumerate(shapes.items())
        }


def drawn_model(
    values: Mapping[str, Any], *, dtype: str, device: str, seed: int, compute: str = "", share: Share | None = None
) -> LlamaModel:
    """A model of this config.json with random weights in `dtype`, activations in `compute` where those are packed."""
    place = torch.device(device)
    model, _ = load_llama(
        config_of_values(values),
        DrawnWeights(values, seed, place),
        fmt=dtype,
        compute=COMPUTED[dtype if dtype in COMPUTED else compute or "fp32"],
        device=place,
        share=share or Share(0, 1),
    )
    return model
