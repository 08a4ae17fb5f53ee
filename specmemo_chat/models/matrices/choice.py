"""Which representation a weight gets on which device."""

from __future__ import annotations

import torch

from specmemo_chat.models.matrices.base import Matrix, MatrixBuilder, Table
from specmemo_chat.models.matrices.dense import DenseBuilder

COMPUTED = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def builder(fmt: str, out: int, inputs: int, *, device: torch.device, compute: torch.dtype) -> MatrixBuilder:
    """A builder of a weight [out, in] in the format `fmt` (a precision of plan.dtype)."""
    assert fmt in COMPUTED, fmt
    return DenseBuilder(out, inputs, device=device, compute=compute)


class TableBuilder:
    """Takes the rows of an embedding [words, width]; finishes as a table, or as table and output matrix in one."""

    def __init__(self, fmt: str, words: int, width: int, *, device: torch.device, compute: torch.dtype) -> None:
        assert fmt in COMPUTED, fmt
        self._rows = DenseBuilder(words, width, device=device, compute=compute)
        self.put, self.put_groups = self._rows.put, self._rows.put_groups

    def table(self) -> Table:
        """The embedding alone."""
        return self._rows.table()

    def tied(self) -> tuple[Table, Matrix]:
        """Embedding and output matrix [words, width]."""
        return self._rows.tied()
