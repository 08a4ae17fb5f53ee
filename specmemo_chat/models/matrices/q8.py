"""Weights in 8 bits: int8 codes [out, in] with one fp32 scale an output row.

On a CPU inputs are quantised too, a scale a row, and multiplied as integers by oneDNN (W8A8): the sums are exact, so a
row's result does not depend on the rows beside it, and eight rows cost little more than one. Where that is not exact or
not fast (models/matrices/choice.py) inputs of 7 bits are used, or bf16 inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.models.matrices.base import Matrix, Rows, Table
from specmemo_chat.models.matrices.quantise import from_groups, to_rows
from specmemo_chat.models.norms import FusedNorm

Norm = Callable[[torch.Tensor], torch.Tensor]

# oneDNN asks for the weights' zero point; they have none.
_ZERO = torch.zeros(1, dtype=torch.int64)


class Q8Matrix(nn.Module):
    """What the matrices of this file have in common; a Matrix. `codes` int8 [out, in], `scales` fp32 [out]."""

    prepares = False

    def __init__(self, codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = codes.shape
        self._scales = scales
        self._bias = bias

    @property
    def nbytes(self) -> int:
        """Of codes, scales and bias."""
        return self._held() + self._scales.nbytes + (0 if self._bias is None else self._bias.nbytes)

    def _held(self) -> int:
        raise NotImplementedError

    def _multiplied(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [T, in] to [T, out] in fp32, without the bias."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        if x.dim() != 2:
            return self.forward(x.flatten(0, -2)).view(*x.shape[:-1], -1)
        return self._biased(self._multiplied(x)).to(x.dtype)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed in fp32."""
        return self._biased(self._multiplied(x)).add_(residual).to(residual.dtype)

    def normed(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The product of norm(x)."""
        return self.forward(norm(x))

    def _biased(self, out: torch.Tensor) -> torch.Tensor:
        return out if self._bias is None else out.add_(self._bias)


class IntegerProduct(Q8Matrix):
    """W8A8 by oneDNN. `zero`: the code of 0 in uint8 inputs, 128 for 8 bits, 64 for 7. `fine`: an input is two rows of
    codes, 2 · zero · hi + lo, summed after the product: where a few channels are much larger than the others, one is
    too coarse (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438, has them)."""

    prepares = True

    def __init__(
        self, codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, zero: int = 128, fine: bool = True
    ) -> None:
        # The steps from 0 to the largest code, and what makes of steps codes that a conversion rounds by cutting off.
        self._steps = (zero - 1) * (2 * zero + 1) if fine else zero - 1
        self._shift = (zero * (2 * zero + 1) if fine else zero) + 0.5
        super().__init__(codes, scales / self._steps, bias)
        self._packed = torch.ops.onednn.qlinear_prepack(codes, None)
        self._zero, self._fine = zero, fine
        self._most = torch.tensor(float(self._steps))
        self._norm: tuple[FusedNorm, torch.Tensor] | None = None
        self._multiply = torch.ops.onednn.qlinear_pointwise.default

    def _held(self) -> int:
        size: int = torch.ops.mkldnn._nbytes(self._packed)
        return size

    def _multiplied(self, x: torch.Tensor) -> torch.Tensor:
        exact = x.float()
        largest = exact.abs().amax(-1, True)
        out: torch.Tensor = self._summed(exact * (self._most / largest)).mul_(largest)
        return out

    def normed(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The product of norm(x)."""
        if not self._fine or not isinstance(norm, FusedNorm):
            return self.forward(norm(x))
        exact = x.float()
        # A value is at most its row's length: fine steps need no look at the largest.
        if self._norm is None or self._norm[0] is not norm:
            self._norm = norm, norm.scale.abs().max()
        bound = self._norm[1]
        length = torch.hypot(torch.linalg.vector_norm(exact, 2, -1, True), norm.least)
        out = self._summed(exact.div(length * (bound / self._most)).mul_(norm.scale))
        # Of a row that is not finite the result is none either.
        return self._biased(out.mul_(torch.add(bound, length, alpha=0))).to(x.dtype)

    def _summed(self, steps: torch.Tensor) -> torch.Tensor:
        """The product of inputs in steps [T, in], which it overwrites, in fp32 [T, out]."""
        steps.add_(self._shift)
        if not self._fine:
            return self._product(steps.to(torch.uint8))
        wide = steps.to(torch.int32)
        # The conversion to a byte keeps the lower one.
        codes = torch.cat((wide >> 8, wide) if self._zero == 128 else (wide >> 7, wide & 127))
        high, low = self._product(codes.to(torch.uint8)).chunk(2)
        return low.add_(high, alpha=2 * self._zero)

    def _product(self, codes: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self._multiply(
            codes, 1.0, self._zero, self._packed, self._scales, _ZERO, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return out


class MixedProduct(Q8Matrix):
    """Inputs in bf16 and int8 weights as they are, by torch's own operator."""

    def __init__(self, codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(codes, scales, bias)
        self._codes = codes
        self._ones = torch.ones(len(codes), dtype=torch.bfloat16)

    def _held(self) -> int:
        return self._codes.nbytes + self._ones.nbytes

    def _multiplied(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.ops.aten._weight_int8pack_mm(
            x.to(torch.bfloat16).contiguous(), self._codes, self._ones
        )
        return out.float().mul_(self._scales)


class Q8Table(nn.Module):
    """An embedding in 8 bits; a Table. `codes` int8 [words, width], `scales` fp32 [words]."""

    def __init__(self, codes: torch.Tensor, scales: torch.Tensor, compute: torch.dtype) -> None:
        super().__init__()
        # An output matrix may hold the same codes.
        self.weight = self._codes = codes
        self._scales, self._compute = scales[:, None], compute
        self.num_embeddings = len(codes)

    @property
    def nbytes(self) -> int:
        return self._codes.nbytes + self._scales.nbytes

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [..] to [.., width]."""
        scales = functional.embedding(tokens, self._scales)
        return functional.embedding(tokens, self._codes).float().mul_(scales).to(self._compute)


class Q8Builder:
    """Takes the rows of a weight [out, in]; see MatrixBuilder. `make(codes, scales, bias)` is the device's matrix."""

    def __init__(
        self, out: int, inputs: int, *, device: torch.device, compute: torch.dtype, make: Callable[..., Matrix]
    ) -> None:
        # Rows behind a vocabulary's end belong to no word.
        self._codes: torch.Tensor | None = torch.zeros((out, inputs), dtype=torch.int8, device=device)
        self._scales = torch.zeros(out, device=device)
        self._compute, self._make = compute, make

    def put(self, rows: Rows, block: torch.Tensor) -> None:
        """Rows [n, in] in any floating precision."""
        assert self._codes is not None
        self._codes[rows], self._scales[rows] = to_rows(block.to(self._codes.device))

    def put_groups(self, rows: Rows, codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor) -> None:
        """Rows on a 4-bit grid, which is left."""
        self.put(rows, from_groups(codes, scales, minima))

    def finish(self, bias: torch.Tensor | None = None) -> Matrix:
        """The matrix."""
        return self._make(self._take(), self._scales, bias)

    def table(self) -> Table:
        """An embedding."""
        return Q8Table(self._take(), self._scales, self._compute)

    def tied(self) -> tuple[Table, Matrix]:
        """Embedding and output matrix: the rows as they are for the one, and as the device multiplies by them for the
        other."""
        codes = self._take()
        return Q8Table(codes, self._scales, self._compute), self._make(codes, self._scales, None)

    def _take(self) -> torch.Tensor:
        assert self._codes is not None
        codes, self._codes = self._codes, None
        return codes
