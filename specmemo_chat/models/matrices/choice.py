"""Which representation a weight gets on which device."""

from __future__ import annotations

from functools import partial

import torch

from specmemo_chat.models.matrices import gpu
from specmemo_chat.models.matrices.base import Matrix, MatrixBuilder, Table
from specmemo_chat.models.matrices.dense import DenseBuilder
from specmemo_chat.models.matrices.products import has_q4, q8_matrix
from specmemo_chat.models.matrices.q4 import Groups, Q4Builder, Q4Matrix
from specmemo_chat.models.matrices.q8 import Q8Builder

COMPUTED = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def builder(
    fmt: str, out: int, inputs: int, *, device: torch.device, compute: torch.dtype, fine: bool = True
) -> MatrixBuilder:
    """A builder of a weight [out, in] in the format `fmt` (a precision of plan.dtype). `fine`: where inputs are
    quantised, these need more than 8 bits (all but the attention's output do).

    Raises UsageError for q4 where the inputs do not come in groups of 32.
    """
    if fmt in COMPUTED:
        return DenseBuilder(out, inputs, device=device, compute=compute)
    if fmt == "q8":
        return _q8(out, inputs, device, compute, fine)
    assert fmt == "q4", fmt
    if device.type == "cpu" and has_q4():
        return Q4Builder(out, inputs, device=device, make=partial(Q4Matrix, compute=compute), origin=8)
    return Q4Builder(out, inputs, device=device, make=_unpacked_q4, origin=0)


def _unpacked_q4(groups: Groups, bias: torch.Tensor | None) -> Matrix:
    return gpu.q4(*groups, bias)


def _q8(out: int, inputs: int, device: torch.device, compute: torch.dtype, fine: bool = True) -> Q8Builder:
    make = partial(q8_matrix, fine=fine) if device.type == "cpu" else gpu.q8
    return Q8Builder(out, inputs, device=device, compute=compute, make=make)


class TableBuilder:
    """Takes the rows of an embedding [words, width]; finishes as a table, or as table and output matrix in one. In a q4
    model it is q8."""

    def __init__(self, fmt: str, words: int, width: int, *, device: torch.device, compute: torch.dtype) -> None:
        self._rows: DenseBuilder | Q8Builder = (
            DenseBuilder(words, width, device=device, compute=compute)
            if fmt in COMPUTED
            else _q8(words, width, device, compute)
        )
        self.put, self.put_groups = self._rows.put, self._rows.put_groups

    def table(self) -> Table:
        """The embedding alone."""
        return self._rows.table()

    def tied(self) -> tuple[Table, Matrix]:
        """Embedding and output matrix [words, width]."""
        return self._rows.tied()
