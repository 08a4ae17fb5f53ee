"""From examples to batches: which rows a step has is a function of seed and step alone, so that a run can go on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from specmemo_chat.distill.training.packing import Batch, pack_rows
from specmemo_chat.distill.training.replies import Example

# One conversation of this many is held out, and at most this many in all.
_HELD_OUT_EVERY, _MOST_HELD_OUT = 20, 200


def split(examples: dict[int, list[Example]]) -> tuple[list[Example], list[Example]]:
    """Training and held-out examples: whole conversations are held out, at least one where there are two."""
    lines = sorted(line for line, found in examples.items() if found)
    order = lines[:]
    random.Random(0).shuffle(order)
    count = min(_MOST_HELD_OUT, max(1, len(lines) // _HELD_OUT_EVERY)) if len(lines) > 1 else 0
    held = set(order[:count])
    return (
        [example for line in lines if line not in held for example in examples[line]],
        [example for line in sorted(held) for example in examples[line]],
    )


def cut(example: Example, length: int) -> Example:
    """The first `length` tokens of the example."""
    ranges = tuple((start, min(end, length)) for start, end in example.replies if start < length)
    return Example(example.tokens[:length], ranges)


class Batches:
    """The steps of a run: each takes `rows` rows of `row_tokens`, packed with whole examples, in an order that is drawn
    anew for every epoch."""

    def __init__(self, examples: Sequence[Example], row_tokens: int, rows: int, seed: int) -> None:
        self._examples = [cut(example, row_tokens) for example in examples]
        self._examples = [example for example in self._examples if example.replies]
        self._row_tokens = row_tokens
        self._rows = rows
        self._seed = seed
        self._epoch = -1
        self._packed: list[list[int]] = []
        self.per_epoch = max(1, -(-len(self._pack(0)) // rows))

    def _pack(self, epoch: int) -> list[list[int]]:
        """Indices of the examples in each row: first fit over the 32 rows opened last."""
        order = list(range(len(self._examples)))
        random.Random(f"{self._seed} {epoch}").shuffle(order)
        rows: list[list[int]] = []
        free: list[int] = []
        for index in order:
            size = len(self._examples[index].tokens)
            at = next((row for row in range(max(0, len(rows) - 32), len(rows)) if free[row] >= size), None)
            if at is None:
                rows.append([])
                free.append(self._row_tokens)
                at = len(rows) - 1
            rows[at].append(index)
            free[at] -= size
        return rows

    def step(self, number: int) -> list[list[int]]:
        """The rows of step `number` (from 0)."""
        epoch, at = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._packed = epoch, self._pack(epoch)
        return self._packed[at * self._rows : (at + 1) * self._rows]

    def batch(self, rows: Sequence[Sequence[int]]) -> Batch:
        """The tensors of those rows, as wide as the longest."""
        texts = [[_pair(self._examples[index]) for index in row] for row in rows]
        width = max(sum(len(ids) for ids, _ in row) for row in texts)
        return pack_rows(texts, width)


def _pair(example: Example) -> tuple[list[int], list[bool]]:
    wanted = [False] * len(example.tokens)
    for start, end in example.replies:
        wanted[start:end] = [True] * (end - start)
    return list(example.tokens), wanted
