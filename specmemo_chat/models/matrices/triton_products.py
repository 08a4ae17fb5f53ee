"""Products with weights of 16, 8 or 4 bits as one Triton kernel: for NVIDIA from sm80 on and for ROCm.

Up to `STEP_ROWS` rows of inputs are multiplied in tiles of 16, each by the same instructions in the same order, however
many tiles there are: a row's result does not depend on the rows beside it. Only the device's own kernel compiler
imports this module; with TRITON_INTERPRET=1 it runs on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from specmemo_chat.models.triton_types import STAGES, dot_type

# Rows up to here are a step's, of one tree or a batch; more are a chunk of a prompt, in tiles of its own.
STEP_ROWS = 128
_GROUP = tl.constexpr(32)


@dataclass(frozen=True)
class Packed:
    """A weight [out, in] on its device.

    `codes` are [out, in] in the precision of the computation or int8 with `scales` fp32 [out]; or uint8 [out, in / 2],
    where byte b of a group holds its value b and, in the high half, b + 16, with `scales` int32 [out, in / 32], in
    whose halves stand scale and minimum as bf16. The inputs are summed in `splits` parts.
    """

    codes: torch.Tensor
    scales: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    splits: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        out, width = self.codes.shape
        return out, 2 * width if self.codes.dtype == torch.uint8 else width


def splits(out: int, inputs: int, processors: int) -> int:
    """In how many parts a device with so many multiprocessors sums the inputs: by the matrix alone, never by the rows
    of a step. Several programs a processor keep its memory busy; a part has at least 1,024 inputs, and a row at most
    32,768 sums (memory/activations.py)."""
    parts = 1
    most = min(inputs // 1024, (1 << 15) // out, 8)
    while 2 * parts <= most and 2 * triton.cdiv(out, 64) * parts < 3 * processors:
        parts *= 2
    return parts


def tiling(rows: int, dtype: torch.dtype, codes: torch.dtype) -> tuple[dict[str, int], dict[str, int]]:
    """Tiles for a product of so many rows in `dtype` with a weight whose codes are of `codes`, and how the kernel is
    compiled. Sizes of a step's tiles depend on nothing but the types."""
    wide = dtype == torch.float32
    # Fused roundings are the compiler's choice, anew for each number of tiles; products of fp32 are made of them.
    options = {"num_warps": 4, "enable_fp_fusion": wide}
    if rows <= STEP_ROWS:
        tiles = 1 if rows <= 16 else 2 if rows <= 32 else 4
        inputs = 32 if wide else 64 if codes == dtype else 128
        tile = {"ROWS": 16, "TILES": tiles, "OUTS": 64, "INPUTS": inputs}
        return tile, options | {"num_stages": STAGES if tiles == 1 else min(STAGES, 3)}
    side = 64 if wide else 128
    tile = {"ROWS": side, "TILES": 1, "OUTS": side, "INPUTS": side // 2}
    return tile, options | {"num_warps": side // 16, "num_stages": min(STAGES, 3)}


def product(x: torch.Tensor, weight: Packed, residual: torch.Tensor | None = None) -> torch.Tensor:
    """`x` [T, in] to [T, out]: products summed in fp32, then scale, bias and `residual` [T, out] on that sum, rounded
    once to the precision of `x`."""
    rows, (outs, inputs) = len(x), weight.shape
    x = x.contiguous()
    out = x.new_empty((rows, outs))
    tile, tuned = tiling(rows, x.dtype, weight.codes.dtype)
    parts = weight.splits if rows <= STEP_ROWS else 1
    partial = x.new_empty((parts, rows, outs), dtype=torch.float32) if parts > 1 else None
    grid = (triton.cdiv(rows, tile["ROWS"] * tile["TILES"]), triton.cdiv(outs, tile["OUTS"]), parts)
    grouped = weight.codes.dtype == torch.uint8
    residual = None if residual is None else residual.contiguous()
    given = (None if grouped else weight.scales, weight.bias, residual)
    with torch.cuda.device_of(x):
        _multiply[grid](
            *(x, weight.codes, weight.scales if grouped else None),
            *((None, None, None) if partial is not None else given),
            out if partial is None else partial,
            *(rows, outs, inputs, triton.cdiv(triton.cdiv(inputs, tile["INPUTS"]), parts)),
            **tile,
            **tuned,
            DOT=dot_type(x.dtype),
        )
        if partial is not None:
            blocks = (rows, triton.cdiv(outs, 256))
            _sum[blocks](partial, *given, out, rows, outs, parts, OUTS=256, enable_fp_fusion=False)
    return out


@triton.jit
def _onto(acc, x, m, k, w, rows, inputs, DOT: tl.constexpr):
    """The product of rows `m` of `x` at the inputs `k` with `w`, added to `acc`."""
    at = m[:, None].to(tl.int64) * inputs + k[None, :]
    values = tl.load(x + at, mask=(m < rows)[:, None] & (k < inputs)[None, :], other=0.0)
    return tl.dot(values.to(DOT), w, acc, input_precision="ieee")


@triton.jit
def _finish(acc, m, n, scales, bias, residual, out, rows, outs):
    """`acc` at the rows `m` and outputs `n` with scale, bias and residual, rounded and stored."""
    seen = n < outs
    if scales is not None:
        acc = acc * tl.load(scales + n, mask=seen, other=0.0)[None, :]
    if bias is not None:
        acc = acc + tl.load(bias + n, mask=seen, other=0.0).to(tl.float32)[None, :]
    at = m[:, None].to(tl.int64) * outs + n[None, :]
    mask = (m < rows)[:, None] & seen[None, :]
    if residual is not None:
        acc = acc + tl.load(residual + at, mask=mask, other=0.0).to(tl.float32)
    tl.store(out + at, acc.to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["rows", "steps"])
def _multiply(
    x, codes, groups, factors, bias, residual, out, rows, outs, inputs, steps,
    ROWS: tl.constexpr, TILES: tl.constexpr, OUTS: tl.constexpr, INPUTS: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """`TILES` tiles of rows times one of outputs, over the `steps` tiles of inputs of one part.

    `out` is [parts, rows, outs]. Each weight is read once for all tiles of rows.
    """
    m = tl.program_id(0) * (ROWS * TILES) + tl.arange(0, ROWS)
    n = tl.program_id(1) * OUTS + tl.arange(0, OUTS)
    part = tl.program_id(2)
    acc0 = tl.zeros((ROWS, OUTS), dtype=tl.float32)
    acc1, acc2, acc3 = acc0, acc0, acc0
    start = part * steps * INPUTS
    for first in range(start, min(start + steps * INPUTS, inputs), INPUTS):
        if codes.dtype.element_ty == tl.uint8:
            # [groups, bytes of a group, outputs]
            g = first // _GROUP + tl.arange(0, INPUTS // _GROUP)
            b = tl.arange(0, _GROUP // 2)
            held = (g * _GROUP < inputs)[:, None] & (n < outs)[None, :]
            at = n[None, :].to(tl.int64) * (inputs // _GROUP) + g[:, None]
            halves = tl.load(groups + at, mask=held, other=0)[:, None, :]
            at = n[None, None, :].to(tl.int64) * (inputs // 2) + (g[:, None] * (_GROUP // 2) + b[None, :])[:, :, None]
            pair = tl.load(codes + at, mask=held[:, None, :], other=0)
            if x.dtype.element_ty == tl.bfloat16:
                # One rounding, of an exact product and a sum: few instructions, two weights each.
                scale = halves.to(tl.int16).to(tl.bfloat16, bitcast=True).to(DOT)
                minimum = (halves >> 16).to(tl.int16).to(tl.bfloat16, bitcast=True).to(DOT)
                low = tl.fma((pair & 15).to(tl.int8, bitcast=True).to(DOT), scale, minimum)
                # 16 times the code: bytes are masked by fours, and shifted one by one.
                high = ((pair & 240) ^ 128).to(tl.int8, bitcast=True).to(DOT) + 128
                high = tl.fma(high, scale * 0.0625, minimum)
            else:
                scale = (halves << 16).to(tl.float32, bitcast=True)
                minimum = (halves >> 16 << 16).to(tl.float32, bitcast=True)
                low = ((pair & 15).to(tl.float32) * scale + minimum).to(x.dtype.element_ty).to(DOT)
                high = ((pair >> 4).to(tl.float32) * scale + minimum).to(x.dtype.element_ty).to(DOT)
            low, high = tl.reshape(low, (INPUTS // 2, OUTS)), tl.reshape(high, (INPUTS // 2, OUTS))
            j = tl.arange(0, INPUTS // 2)
            k = first + j // 16 * _GROUP + j % 16
            acc0 = _onto(_onto(acc0, x, m, k, low, rows, inputs, DOT), x, m, k + 16, high, rows, inputs, DOT)
            if TILES > 1:
                m1 = m + ROWS
                acc1 = _onto(_onto(acc1, x, m1, k, low, rows, inputs, DOT), x, m1, k + 16, high, rows, inputs, DOT)
            if TILES > 2:
                m2, m3 = m + 2 * ROWS, m + 3 * ROWS
                acc2 = _onto(_onto(acc2, x, m2, k, low, rows, inputs, DOT), x, m2, k + 16, high, rows, inputs, DOT)
                acc3 = _onto(_onto(acc3, x, m3, k, low, rows, inputs, DOT), x, m3, k + 16, high, rows, inputs, DOT)
        else:
            k = first + tl.arange(0, INPUTS)
            at = n[None, :].to(tl.int64) * inputs + k[:, None]
            w = tl.load(codes + at, mask=(k < inputs)[:, None] & (n < outs)[None, :], other=0).to(DOT)
            acc0 = _onto(acc0, x, m, k, w, rows, inputs, DOT)
            if TILES > 1:
                acc1 = _onto(acc1, x, m + ROWS, k, w, rows, inputs, DOT)
            if TILES > 2:
                acc2 = _onto(acc2, x, m + 2 * ROWS, k, w, rows, inputs, DOT)
                acc3 = _onto(acc3, x, m + 3 * ROWS, k, w, rows, inputs, DOT)
    out += part.to(tl.int64) * rows * outs
    _finish(acc0, m, n, factors, bias, residual, out, rows, outs)
    if TILES > 1:
        _finish(acc1, m + ROWS, n, factors, bias, residual, out, rows, outs)
    if TILES > 2:
        _finish(acc2, m + 2 * ROWS, n, factors, bias, residual, out, rows, outs)
        _finish(acc3, m + 3 * ROWS, n, factors, bias, residual, out, rows, outs)


@triton.jit(do_not_specialize=["rows", "parts"])
def _sum(partial, factors, bias, residual, out, rows, outs, parts, OUTS: tl.constexpr):
    """The parts [parts, rows, outs] of one row, in their order."""
    m = tl.program_id(0) + tl.arange(0, 1)
    n = tl.program_id(1) * OUTS + tl.arange(0, OUTS)
    acc = tl.zeros((1, OUTS), dtype=tl.float32)
    for part in range(parts):
        at = (part * rows + m)[:, None].to(tl.int64) * outs + n[None, :]
        acc += tl.load(partial + at, mask=(n < outs)[None, :], other=0.0)
    _finish(acc, m, n, factors, bias, residual, out, rows, outs)
