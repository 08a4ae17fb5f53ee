"""Weights in the precision of the computation, laid out as each device multiplies by them fastest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.models.matrices import gpu
from specmemo_chat.models.matrices.base import Matrix, Rows

# Products in fp32, measured on two AVX2 cores (docs/notes/kernels.md). torch's own, which are MKL's, cost the least to
# call: small matrices are multiplied by them. For several rows of a matrix from this size on oneDNN's take down to a
# quarter of their time, from a packed one or, a little slower, from one as it is.
_LARGE_BYTES = 4 << 20
# The rows that large matrices are packed for. Packed for one, the default, they take twice the time for several, and
# for one they are no faster.
_PACKED_ROWS = 32
# Rows of a small matrix that lie a multiple of so many bytes apart compete for the same places of the cache; so many
# more values between them end that.
_PAGE_BYTES, _PADDING = 4096, 16

Norm = Callable[[torch.Tensor], torch.Tensor]


class DenseMatrix(nn.Module):
    """What the matrices of this file have in common; a Matrix."""

    prepares = False
    weight: torch.Tensor

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._bias = bias

    @property
    def nbytes(self) -> int:
        """Of weight and bias."""
        return self.weight.nbytes + (0 if self._bias is None else self._bias.nbytes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        raise NotImplementedError

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        return residual + self.forward(x)

    def normed(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The product of norm(x)."""
        return self.forward(norm(x))


class FusedLinear(DenseMatrix):
    """In fp32 a small matrix, or one that something else reads too."""

    def __init__(self, weight: nn.Parameter, bias: torch.Tensor | None) -> None:
        super().__init__(weight, bias)
        self.weight = weight
        self._right = weight.detach().t()
        self.prepares = _is_large(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        if self.prepares:
            return _multiplied(x, self.weight, self._bias)
        flat = x if x.dim() == 2 else x.reshape(-1, self.in_features)
        out = flat.mm(self._right) if self._bias is None else torch.addmm(self._bias, flat, self._right)
        return out if x.dim() == 2 else out.view(*x.shape[:-1], self.out_features)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        if self.prepares:
            return residual + self.forward(x)
        if self._bias is not None:
            residual = residual + self._bias
        return torch.addmm(residual, x, self._right)


class PackedLinear(DenseMatrix):
    """On the CPU a matrix in oneDNN's blocked order."""

    prepares = True

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight, bias)
        rows = _PACKED_ROWS if weight.dtype == torch.float32 else None
        self._bytes = weight.nbytes + (0 if bias is None else bias.nbytes)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)

    @property
    def nbytes(self) -> int:
        return self._bytes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        return _multiplied(x, self._packed, self._bias)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed as it is made."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self._packed, self._bias, "add")
        return result


class PlainLinear(DenseMatrix):
    """A matrix as it is, in a precision or on a device that nothing is known to do faster."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__(weight, bias)
        self.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight, requires_grad=False)
        # torch has oneDNN multiply.
        self.prepares = weight.dtype == torch.bfloat16 and weight.device.type == "cpu"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]. Flat: of a slice of three dimensions torch multiplies by a copy of the whole
        matrix, in bf16 on a CPU."""
        if x.dim() == 2:
            return functional.linear(x, self.weight, self._bias)
        return functional.linear(x.flatten(0, -2), self.weight, self._bias).view(*x.shape[:-1], -1)


class DenseTable(nn.Module):
    """An embedding in the precision of the computation; a Table."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.num_embeddings = weight.shape[0]

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids [..] to [.., width]."""
        return functional.embedding(tokens, self.weight)


class DenseBuilder:
    """Takes the rows of a weight [out, in] in the precision of the computation; see MatrixBuilder."""

    def __init__(self, out: int, inputs: int, *, device: torch.device, compute: torch.dtype) -> None:
        # Rows behind a vocabulary's end belong to no word.
        self._weight: torch.Tensor | None = torch.zeros((out, inputs), dtype=compute, device=device)

    def put(self, rows: Rows, block: torch.Tensor) -> None:
        """Rows [n, in] in any floating precision."""
        assert self._weight is not None
        if isinstance(rows, slice):
            self._weight[rows] = block
        else:
            # A quarter of the time of an assignment to an index.
            block = block.to(self._weight.device, self._weight.dtype)
            self._weight.index_copy_(0, rows.to(self._weight.device), block)

    def put_groups(self, rows: Rows, codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor) -> None:
        """Rows on a 4-bit grid."""
        grouped = codes.view(len(codes), -1, codes.shape[1] // scales.shape[1]).float()
        self.put(rows, grouped.mul_(scales[..., None]).add_(minima[..., None]).flatten(1))

    def finish(self, bias: torch.Tensor | None = None) -> Matrix:
        """The matrix."""
        return dense(self._take(), bias)

    def table(self) -> DenseTable:
        """An embedding."""
        return DenseTable(nn.Parameter(self._take(), requires_grad=False))

    def tied(self) -> tuple[DenseTable, Matrix]:
        """One matrix for embedding and output layer: packed it would be a second copy."""
        weight = self._take()
        exact = weight.dtype == torch.float32 and weight.device.type == "cpu"
        # In the order of the product; an embedding is a few rows of it.
        shared = nn.Parameter(_ordered(weight) if exact else weight, requires_grad=False)
        if weight.device.type == "cuda":
            return DenseTable(shared), gpu.dense(shared, None)
        return DenseTable(shared), FusedLinear(shared, None) if exact else PlainLinear(shared, None)

    def _take(self) -> torch.Tensor:
        assert self._weight is not None
        weight, self._weight = self._weight, None
        return weight


def dense(weight: torch.Tensor, bias: torch.Tensor | None) -> Matrix:
    """The fastest matrix known for `weight` [out, in] and `bias` [out]. It takes the weight's place: the caller keeps
    none."""
    if weight.device.type == "cuda":
        return gpu.dense(weight, bias)
    if weight.device.type == "cpu" and weight.dtype == torch.float32:
        if _is_large(weight):
            return PackedLinear(weight, bias)
        return FusedLinear(nn.Parameter(_ordered(weight), requires_grad=False), bias)
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return PackedLinear(weight, bias)
    return PlainLinear(weight, bias)


def _is_large(weight: torch.Tensor) -> bool:
    """Whether a matrix is one for oneDNN."""
    available = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return available and weight.nbytes >= _LARGE_BYTES


def _multiplied(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`x` [.., in] times `weight` [out, in], in any order that oneDNN knows."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return result


def _ordered(weight: torch.Tensor) -> torch.Tensor:
    """The same matrix [out, in], laid out as its product is fastest: of a small wide one the inputs of an output do not
    lie beside each other."""
    outputs, inputs = weight.shape
    if outputs <= inputs or weight.nbytes >= _LARGE_BYTES:
        return weight
    padding = 0 if outputs * weight.element_size() % _PAGE_BYTES else _PADDING
    ordered = weight.new_empty((inputs, outputs + padding))[:, :outputs]
    return ordered.copy_(weight.t()).t()
