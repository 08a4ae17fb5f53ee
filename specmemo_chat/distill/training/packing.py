"""Rows for training: whole dialogues packed side by side, each attending only to itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Example = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class Batch:
    """`tokens`, `targets`, `positions` [rows, length]; `mask` bool [rows, 1, length, length], True = attend.

    `targets` is the next token where the model is trained to produce it, else -1. `count`: tokens that are not padding.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    count: int


def pack_rows(rows: Sequence[Sequence[Example]], length: int) -> Batch:
    """The tensors of rows whose examples are known; each row's fit into `length`."""
    shape = (len(rows), length)
    tokens = torch.zeros(shape, dtype=torch.long)
    targets = torch.full(shape, -1, dtype=torch.long)
    positions = torch.zeros(shape, dtype=torch.long)
    document = torch.full(shape, -1, dtype=torch.long)
    count = 0
    for row, examples in enumerate(rows):
        at = 0
        for number, (ids, wanted) in enumerate(examples):
            size = len(ids)
            tokens[row, at : at + size] = torch.tensor(ids)
            positions[row, at : at + size] = torch.arange(size)
            document[row, at : at + size] = number
            following = [token if want else -1 for token, want in zip(ids[1:], wanted[1:], strict=True)]
            targets[row, at : at + size - 1] = torch.tensor(following, dtype=torch.long)
            at += size
            count += size
    same = document[:, :, None] == document[:, None, :]
    mask = same & torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(tokens, targets, positions, mask[:, None], count)
