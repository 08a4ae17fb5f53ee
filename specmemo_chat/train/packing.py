"""Rows for training: whole dialogues packed side by side, each attending only to itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class Packer:
    """First-fit packing over a window of examples: rows stay about 98 % full."""

    def __init__(self, rows: int, length: int, window: int = 400) -> None:
        self._rows = rows
        self._length = length
        self._window = window
        self._waiting: list[Example] = []

    def batches(self, examples: Iterator[Example]) -> Iterator[Batch]:
        """Endless where `examples` is; examples that are longer than a row are dropped."""
        for example in examples:
            if len(example[0]) <= self._length:
                self._waiting.append(example)
            if len(self._waiting) >= self._window:
                yield self._pack()

    def _pack(self) -> Batch:
        rows: list[list[Example]] = [[] for _ in range(self._rows)]
        free = [self._length] * self._rows
        self._waiting.sort(key=lambda example: len(example[0]), reverse=True)
        left: list[Example] = []
        # Longest first would always take the longest: every third of the window is offered in turn.
        for index, example in enumerate(self._waiting[::3] + self._waiting[1::3] + self._waiting[2::3]):
            size = len(example[0])
            row = next((row for row in range(self._rows) if free[row] >= size), None)
            if row is None or index > self._window:
                left.append(example)
            else:
                rows[row].append(example)
                free[row] -= size
        self._waiting = left
        return pack_rows(rows, self._length)


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
