"""What a weight in memory can do, whatever its format: the one interface between a model and its packed weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

# Where a block of rows goes: a range, or an index [n].
Rows = slice | torch.Tensor


class Matrix(Protocol):
    """The weight [out, in] of a linear layer with its bias, laid out as its device multiplies by it.

    Inputs and results have the compute precision. `nbytes` is all that it holds. `prepares`: the product is prepared
    anew for each number of rows (oneDNN), so that numbers of rows should repeat.
    """

    out_features: int
    in_features: int

    @property
    def nbytes(self) -> int: ...
    @property
    def prepares(self) -> bool: ...

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [T, in] to [T, out]."""
        ...

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        ...

    def normed(self, x: torch.Tensor, norm: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The product of norm(x) for `x` [T, in]: [T, out]. A format of quantised inputs quantises as it norms."""
        ...


class Table(Protocol):
    """An embedding [words, width]."""

    @property
    def nbytes(self) -> int: ...

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [..] to their rows [.., width] in the compute precision."""
        ...


class MatrixBuilder(Protocol):
    """Takes a weight [out, in] block by block of its rows, in the file's order, and packs it. Beside what it makes it
    holds one matrix in the format's own size, never in the file's precision."""

    def put(self, rows: Rows, block: torch.Tensor) -> None:
        """Rows [n, in] in any floating precision."""
        ...

    def put_groups(self, rows: Rows, codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor) -> None:
        """Rows that lie on a 4-bit grid already: `codes` uint8 [n, in] of 0 to 15, `scales` and `minima` fp32
        [n, in / 32]; a value is code · scale + minimum."""
        ...

    def finish(self, bias: torch.Tensor | None) -> Matrix:
        """The matrix with its `bias` [out]; the builder keeps nothing."""
        ...
