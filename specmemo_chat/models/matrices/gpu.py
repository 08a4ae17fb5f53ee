"""Weights in memory on a GPU: multiplied by the Triton kernels, or by plain torch where these do not run.

Kernels: NVIDIA from sm80 (Ampere) on, and ROCm. Without them (Turing and older, Metal, no C compiler) q8 goes through
torch's product of int8 matrices where the device has it; all else is unpacked a block of outputs at a time. A row's
result never depends on the rows beside it in a step.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from specmemo_chat.models.matrices.base import Matrix
from specmemo_chat.sizes import MIB

if TYPE_CHECKING:
    from specmemo_chat.models.matrices.triton_products import Packed

Norm = Callable[[torch.Tensor], torch.Tensor]
# Rows that a step without kernels multiplies at once: torch chooses a product by the number of rows.
_TILE = 16
_STEP_ROWS = 128
# Bytes of fp32 values that are unpacked at once, and of integer sums.
_BLOCK = 16 * MIB


def dense(weight: torch.Tensor, bias: torch.Tensor | None) -> Matrix:
    """The matrix of a weight [out, in] in the precision of the computation."""
    return _matrix(weight, None, bias)


def q8(codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None) -> Matrix:
    """The matrix of int8 `codes` [out, in] and fp32 `scales` [out], which it keeps as they are."""
    return _matrix(codes, scales, bias)


def q4(codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor, bias: torch.Tensor | None) -> Matrix:
    """The matrix of uint8 `codes` [out, in / 2], where byte b of a group holds its value b and, in the high half,
    b + 16, and the groups' `scales` and `minima` [out, in / 32]."""
    halves = torch.stack((scales.to(torch.bfloat16), minima.to(torch.bfloat16)), -1)
    return _matrix(codes, halves.view(torch.int32)[..., 0], bias)


@cache
def kernel_problem(device: torch.device) -> str:
    """Why the Triton kernels do not run on `device`; "" where they do: tried once, which compiles one."""
    if device.type != "cuda":
        return f"there are no kernels for {device.type}"
    if not torch.version.hip and torch.cuda.get_device_capability(device) < (8, 0):
        return "kernels need an NVIDIA GPU of compute capability 8.0 or newer"
    try:
        from triton.errors import TritonError

        from specmemo_chat.models.matrices.triton_products import Packed, product
    except ImportError:
        return "Triton is not installed"
    ones = torch.ones((16, 64), dtype=torch.float16, device=device)
    try:
        right = bool((product(ones, Packed(ones)) == 64).all())
    except (RuntimeError, OSError, subprocess.SubprocessError, TritonError) as error:
        return f"Triton fails here: {str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}"
    return "" if right else "Triton's products are wrong here"


@cache
def has_int_products(device: torch.device) -> bool:
    """Whether torch multiplies int8 matrices on `device`, tried once."""
    left = torch.arange(32 * 64).remainder(255).sub_(127).to(device, torch.int8).view(32, 64)
    try:
        sums = torch._int_mm(left, left.t()).cpu()
    except (RuntimeError, NotImplementedError):
        return False
    wide = left.cpu().int()
    return torch.equal(sums, wide @ wide.t())


def notes(device: torch.device, fmt: str) -> tuple[str, ...]:
    """What is to be said about weights in the format `fmt` on a GPU that should have kernels (a plan says where there
    are none) and has none."""
    problem = kernel_problem(device)
    if fmt not in ("q8", "q4") or "Triton" not in problem:
        return ()
    if fmt == "q8" and has_int_products(device):
        return ()
    times, remedy = ("five", "") if fmt == "q8" else ("twelve", "; --dtype q8 is faster")
    return (
        f"{problem}: {fmt} weights are unpacked at every step, which takes up to {times} times fp16's time{remedy}",
    )


def _matrix(codes: torch.Tensor, scales: torch.Tensor | None, bias: torch.Tensor | None) -> Matrix:
    device, (outs, inputs) = codes.device, codes.shape
    if not kernel_problem(device):
        return KernelMatrix(codes, scales, bias)
    if codes.dtype == torch.int8 and outs >= 8 and not inputs % 8 and has_int_products(device):
        return IntMatrix(codes, scales, bias)
    return UnpackedMatrix(codes, scales, bias)


class _GpuMatrix(nn.Module):
    """What the matrices here have in common; a Matrix. Codes and scales as `triton_products.Packed` has them."""

    prepares = False

    def __init__(self, codes: torch.Tensor, scales: torch.Tensor | None, bias: torch.Tensor | None) -> None:
        super().__init__()
        outs, width = codes.shape
        self.out_features, self.in_features = outs, 2 * width if codes.dtype == torch.uint8 else width
        # An embedding may hold the same codes.
        self.weight = self._codes = codes
        self._scales, self._bias = scales, bias

    @property
    def nbytes(self) -> int:
        """Of codes, scales and bias."""
        return sum(tensor.nbytes for tensor in (self._codes, self._scales, self._bias) if tensor is not None)

    def _product(self, x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        return self._product(x.reshape(-1, self.in_features), None).view(*x.shape[:-1], self.out_features)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        return self._product(x, residual)

    def normed(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The product of norm(x)."""
        return self.forward(norm(x))


class KernelMatrix(_GpuMatrix):
    """Multiplied by the Triton kernel, in any format."""

    @cached_property
    def _packed(self) -> Packed:
        from specmemo_chat.models.matrices.triton_products import Packed, splits

        device = self._codes.device
        processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
        parts = splits(self.out_features, self.in_features, processors)
        return Packed(self._codes, self._scales, self._bias, parts)

    def _product(self, x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        from specmemo_chat.models.matrices.triton_products import product

        return product(x, self._packed, residual)


class IntMatrix(_GpuMatrix):
    """q8 without kernels: an input row goes in as two of int8, hi + lo / 254, whose integer sums are exact."""

    def _product(self, x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        assert self._scales is not None
        count, wide = len(x), x.float()
        step = wide.abs().amax(1, keepdim=True).clamp_(min=1e-30).div_(127)
        high = (wide / step).round_()
        low = torch.addcmul(wide, high, step, value=-1).div_(step).mul_(254).round_()
        rows = torch.cat((high, low)).to(torch.int8)
        # torch wants more than 16 rows.
        rows = functional.pad(rows, (0, 0, 0, -len(rows) % 32))
        out = wide.new_empty((count, self.out_features))
        width = max(8, _BLOCK // (4 * len(rows)) // 8 * 8)
        for first in range(0, self.out_features, width):
            stop = min(first + width, self.out_features)
            # torch wants outputs by eights: the last ones are multiplied again.
            first = max(0, stop - -(-(stop - first) // 8) * 8)
            sums = torch._int_mm(rows, self._codes[first:stop].t()).float()
            torch.add(sums[:count], sums[count : 2 * count], alpha=1 / 254, out=out[:, first:stop])
        out.mul_(step).mul_(self._scales)
        for term in (self._bias, residual):
            if term is not None:
                out += term
        return out.to(x.dtype)


class UnpackedMatrix(_GpuMatrix):
    """Multiplied by torch, a block of unpacked outputs at a time, a step in tiles of rows."""

    def _product(self, x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        rows, height = len(x), self.out_features
        if self._codes.dtype != x.dtype:
            height = max(1, _BLOCK // (4 * self.in_features))
        tile = _TILE if rows <= _STEP_ROWS else rows
        padded = functional.pad(x, (0, 0, 0, -rows % tile))
        out = x.new_empty((len(padded), self.out_features))
        for first in range(0, self.out_features, height):
            block = slice(first, first + height)
            weight = unpacked(self._codes[block], None if self._scales is None else self._scales[block], x.dtype).t()
            for at in range(0, len(padded), tile):
                out[at : at + tile, block] = padded[at : at + tile].mm(weight)
        out = out[:rows]
        for term in (self._bias, residual):
            if term is not None:
                out = out + term
        return out


def unpacked(codes: torch.Tensor, scales: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor:
    """Rows as `triton_products.Packed` has them, as [n, in] in `dtype`, rounded once."""
    if scales is None:
        return codes.to(dtype)
    if codes.dtype == torch.int8:
        return (codes.float() * scales[:, None]).to(dtype)
    pairs = codes.view(*scales.shape, 1, -1)
    scale, minimum = scales[..., None].view(torch.bfloat16).float()[..., None, None].unbind(2)
    return torch.cat((pairs & 15, pairs >> 4), 2).float().mul_(scale).add_(minimum).flatten(1).to(dtype)
