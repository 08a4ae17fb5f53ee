"""Weights in 4 bits: codes of 0 to 15, and a bf16 scale and minimum for each group of 32 inputs.

On a CPU they are multiplied by torch's operator, whose result for a row does not depend on the rows beside it; its cost
grows with them. While a prompt is read, they are multiplied by weights that are unpacked block by block.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from specmemo_chat.memory.matrices import BLOCK_VALUES, GROUP, TILE
from specmemo_chat.models.matrices.base import Matrix, Rows
from specmemo_chat.models.matrices.quantise import check_groups, to_groups

Norm = Callable[[torch.Tensor], torch.Tensor]

# Unpacking takes as long as the operator with so many rows.
_CHUNK_ROWS = 48
# A chunk is multiplied by so many rows at a time, its last ones filled up: a library sums in other orders for other
# numbers of rows.
_SLAB_ROWS = 128
_HALF = GROUP // 2
_MIDDLE = 8
# Whether the forward that runs reads a prompt. A step never does: its rows' results would depend on their number.
_reading = False


@contextmanager
def reading(prompt: bool) -> Iterator[None]:
    """Products inside are of a chunk of a `prompt`."""
    global _reading
    before, _reading = _reading, prompt
    try:
        yield
    finally:
        _reading = before


class Groups(NamedTuple):
    """A weight [out, in] as it waits for its device: `codes` uint8 [out, in / 2], where byte b of a group holds its
    value b and, in the high half, b + 16; `scales` and `offsets` bf16 [out, in / 32]. An offset is the value of the
    code that the device counts from."""

    codes: torch.Tensor
    scales: torch.Tensor
    offsets: torch.Tensor

    def values(self) -> torch.Tensor:
        """The codes one by one: uint8 [out, in]."""
        grouped = self.codes.view(len(self.codes), -1, _HALF)
        return torch.cat((grouped & 15, grouped >> 4), -1).flatten(1)


class Q4Matrix(nn.Module):
    """A Matrix: on a CPU by torch's operator and, for chunks of prompts, by unpacked blocks in the precision
    `compute`. Offsets are the values of code 8."""

    prepares = False

    def __init__(self, groups: Groups, bias: torch.Tensor | None, compute: torch.dtype) -> None:
        super().__init__()
        self.out_features, half = groups.codes.shape
        self.in_features = 2 * half
        self._bias = bias
        self._packed, self._grid = _packed(groups)
        # A product in other precisions is slow on a CPU.
        self._chunk = compute if compute == torch.bfloat16 else torch.float32
        self._layout = _layout()

    @property
    def nbytes(self) -> int:
        """Of codes, grid and bias."""
        bias = 0 if self._bias is None else self._bias.nbytes
        return self._packed.nbytes + self._grid.nbytes + bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [.., in] to [.., out]."""
        if x.dim() != 2:
            return self.forward(x.flatten(0, -2)).view(*x.shape[:-1], -1)
        out = self._multiplied(x).to(x.dtype)
        return out if self._bias is None else out.add_(self._bias)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`residual` [T, out] and the product of `x` [T, in], summed."""
        return self.forward(x).add_(residual)

    def normed(self, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        """The product of norm(x)."""
        return self.forward(norm(x))

    def _multiplied(self, x: torch.Tensor) -> torch.Tensor:
        if _reading and len(x) > _CHUNK_ROWS and self._layout is not None:
            return self._chunk_multiplied(x, self._layout)
        out: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(
            x.to(torch.bfloat16).contiguous(), self._packed, GROUP, self._grid
        )
        return out if out.shape[1] == self.out_features else out[:, : self.out_features].contiguous()

    def _chunk_multiplied(self, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        padded, inputs = self._packed.shape[0], self.in_features
        slabs = x.new_zeros((-(-len(x) // _SLAB_ROWS), _SLAB_ROWS, inputs), dtype=self._chunk)
        slabs.view(-1, inputs)[: len(x)].copy_(x)
        out = slabs.new_empty((*slabs.shape[:2], self.out_features))
        step = min(padded, max(TILE, BLOCK_VALUES // inputs // TILE * TILE))
        codes = torch.empty((inputs, step), dtype=torch.uint8)
        weight = torch.empty((inputs // GROUP, GROUP, step), dtype=self._chunk)
        for first in range(0, padded, step):
            count = min(step, padded - first)
            packed, grid = self._packed[first : first + count], self._grid[:, first : first + count]
            unpacked = _unpacked(packed, grid, layout, codes[:, :count], weight[..., :count])
            stop = min(self.out_features, first + count)
            for slab, part in zip(slabs, out, strict=True):
                part[:, first:stop] = (slab @ unpacked)[:, : stop - first]
        return out.view(-1, self.out_features)[: len(x)]


class Q4Builder:
    """Takes the rows of a weight [out, in]; see MatrixBuilder. `make(groups, bias)` is the device's matrix; `origin`
    the code whose value an offset is there.

    Raises UsageError for inputs that do not come in groups of 32.
    """

    def __init__(
        self, out: int, inputs: int, *, device: torch.device, make: Callable[..., Matrix], origin: int
    ) -> None:
        check_groups(out, inputs)
        self._make, self._origin = make, origin
        scales = torch.zeros((out, inputs // GROUP), dtype=torch.bfloat16, device=device)
        codes = torch.zeros((out, inputs // 2), dtype=torch.uint8, device=device)
        self._groups: Groups | None = Groups(codes, scales, torch.zeros_like(scales))

    def put(self, rows: Rows, block: torch.Tensor) -> None:
        """Rows [n, in] in any floating precision."""
        assert self._groups is not None
        self.put_groups(rows, *to_groups(block.to(self._groups.codes.device)))

    def put_groups(self, rows: Rows, codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor) -> None:
        """Rows on a 4-bit grid; the codes stay as they are."""
        assert self._groups is not None
        grouped = codes.view(len(codes), -1, 2, _HALF)
        device, rounded = self._groups.codes.device, scales.bfloat16()
        self._groups.codes[rows] = (grouped[:, :, 0] | grouped[:, :, 1] << 4).flatten(1).to(device)
        self._groups.scales[rows] = rounded.to(device)
        # A finer scale than bf16 holds is rounded about the middle of the codes: their values move either way.
        offsets = minima.add(scales, alpha=_MIDDLE).add_(rounded.float(), alpha=self._origin - _MIDDLE)
        self._groups.offsets[rows] = offsets.bfloat16().to(device)

    def finish(self, bias: torch.Tensor | None = None) -> Matrix:
        """The matrix."""
        assert self._groups is not None
        groups, self._groups = self._groups, None
        return self._make(groups, bias)


def _packed(groups: Groups) -> tuple[torch.Tensor, torch.Tensor]:
    """What the operator takes: its codes [padded, in / 2], and scales with the value of code 8, bf16 [in / 32, padded,
    2]. Outputs are filled up to tiles, which the operator knows without a rest; of each it makes a block of its own."""
    out, half = groups.codes.shape
    padded = -(-out // TILE) * TILE
    grid = torch.zeros((half // _HALF, padded, 2), dtype=torch.bfloat16)
    grid[:, :out, 0], grid[:, :out, 1] = groups.scales.t(), groups.offsets.t()
    # In the place of the codes, where those need no filling up.
    packed = groups.codes if padded == out else groups.codes.new_zeros((padded, half))
    step = max(TILE, BLOCK_VALUES // (2 * half) // TILE * TILE)
    for first in range(0, padded, step):
        block = packed[first : first + step]
        values = block.new_zeros((len(block), 2 * half), dtype=torch.int32)
        held = groups._replace(codes=groups.codes[first : first + step]).values()
        values[: len(held)] = held
        block.copy_(torch.ops.aten._convert_weight_to_int4pack_for_cpu(values, 1).view(torch.uint8).view(block.shape))
    return packed, grid


class Layout(NamedTuple):
    """How the operator packs on this processor: `size` outputs a block, whose bytes [in, size / 2] hold two outputs
    each. `order`: the outputs in the low halves, then those in the high ones; None: in their own order."""

    size: int
    order: torch.Tensor | None


@functools.cache
def _layout() -> Layout | None:
    """Found by packing the digits of each value's own number; None where it is of another kind."""
    inputs = GROUP
    numbers = torch.arange(TILE * 2 * inputs, dtype=torch.int32).view(2 * TILE, inputs)
    low = torch.zeros(numbers.numel() // 2, dtype=torch.int64)
    high = low.clone()
    for shift in range(0, 12, 4):
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers >> shift & 15, 1)
        packed = packed.view(torch.uint8).flatten()
        low |= (packed & 15).long() << shift
        high |= (packed >> 4).long() << shift
    found = torch.stack((low, high))
    half = int((found[0] % inputs == 0).long().cumprod(0).sum())
    if not half or TILE % (2 * half):
        return None
    order = found[:, :half].flatten() // inputs
    blocks = torch.arange(2 * TILE // (2 * half))[:, None, None] * (2 * half)
    wanted = (order.view(2, 1, 1, half) + blocks) * inputs + torch.arange(inputs)[:, None]
    if not torch.equal(found.view(wanted.shape), wanted):
        return None
    return Layout(2 * half, None if torch.equal(order, torch.arange(2 * half)) else order)


def _unpacked(
    packed: torch.Tensor, grid: torch.Tensor, layout: Layout, codes: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Of the packed rows [n, in / 2] the weight [in, n], in the memory of `weight` [in / 32, 32, n] and `codes`."""
    n, half = packed.shape
    inputs = 2 * half
    pairs = packed.view(n // layout.size, inputs, layout.size // 2).permute(1, 0, 2)
    places = codes.view(inputs, n // layout.size, 2, layout.size // 2)
    torch.bitwise_and(pairs, 15, out=places[:, :, 0])
    torch.bitwise_right_shift(pairs, 4, out=places[:, :, 1])
    if layout.order is not None:
        back = layout.order.argsort()
        codes = codes.view(inputs, -1, layout.size)[..., back].view(inputs, n)
    # A code stands for its distance from 8.
    weight.copy_(codes.sub_(8).view(torch.int8).view(weight.shape))
    scales, offsets = (grid[:, None, :, index].to(weight.dtype).contiguous() for index in (0, 1))
    return torch.addcmul(offsets, weight, scales, out=weight).view(inputs, n)
