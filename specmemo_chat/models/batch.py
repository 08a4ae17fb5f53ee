"""The input of one forward over an arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from specmemo_chat.models.packing import Packing


@dataclass(frozen=True)
class Batch:
    """`tokens` [R, N] at `positions` [R, N] (each with its text's `Target.stretch`), written to `slots` [R, N] of the
    arena's `rows`.

    `mask` is bool [R, 1, N, view], True = attend, or a table of paths where the target attends by these. With
    `packing`, tokens, positions and slots are [1, T] and the mask's N is the longest row. `prompt`: they are a chunk of
    one text, without a node of a tree.
    """

    rows: Sequence[int]
    tokens: torch.Tensor
    positions: torch.Tensor
    slots: torch.Tensor
    mask: torch.Tensor
    view: int
    packing: Packing | None = None
    prompt: bool = False

    @property
    def stored(self) -> tuple[int, ...]:
        """How many tokens of each row a packed forward stores; () where it is not packed."""
        return self.packing.stored if self.packing is not None else ()
