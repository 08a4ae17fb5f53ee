"""How this processor multiplies by weights in 8 and 4 bits: tried once in a process."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from specmemo_chat.models.matrices import gpu, q8
from specmemo_chat.models.matrices.base import Matrix

_EXACT, _SEVEN, _MIXED, _UNPACKED = "w8a8", "w8a7", "int8pack", "unpacked"
_SAID = {
    _EXACT: "8-bit inputs, oneDNN",
    _SEVEN: "7-bit inputs in two rows, oneDNN: this processor's sums of 8-bit inputs saturate",
    _MIXED: "bf16 inputs, torch's operator: without integer instructions that is faster here",
    _UNPACKED: "unpacked at every product: neither oneDNN nor torch has one for this processor",
}
# The matrix that ways are tried on, and the rows: a plain step and a tree.
_OUT, _INPUTS, _ROWS = 1024, 2048, (1, 8)
# What a product must win to be taken: close ones would be decided by what else the machine does, and so differ from
# one process to the next, and with them replies.
_MARGIN = 0.6


class Product(NamedTuple):
    """The product of q8 matrices on this processor. `micros`: of a 1,024 x 2,048 matrix with 1 and with 8 rows."""

    name: str
    micros: tuple[float, float] | None

    @property
    def said(self) -> str:
        """For people."""
        return _SAID[self.name]


def q8_matrix(codes: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, fine: bool = True) -> Matrix:
    """The matrix of int8 `codes` [out, in] and fp32 `scales` [out]. `fine`: its inputs need more than 8 bits."""
    name = q8_product().name
    return gpu.q8(codes, scales, bias) if name == _UNPACKED else _makers(fine)[name](codes, scales, bias)


def notes(device: torch.device, fmt: str) -> tuple[str, ...]:
    """What is to be said about weights in the format `fmt` on a CPU that multiplies them more slowly than others do."""
    if device.type == "cpu" and fmt in ("q8", "q4") and q8_product().name != _EXACT:
        return (f"8-bit weights: {q8_product().said}",)
    return ()


def _makers(fine: bool) -> dict[str, Callable[..., q8.Q8Matrix]]:
    return {
        _EXACT: functools.partial(q8.IntegerProduct, fine=fine),
        _SEVEN: functools.partial(q8.IntegerProduct, zero=64),
        _MIXED: q8.MixedProduct,
    }


@functools.cache
def q8_product() -> Product:
    """The product for all q8 matrices of this process, for any number of rows: the first that is exact, unless a later
    one takes at most 0.6 of its time. Tried once, within some 30 ms."""
    with torch.inference_mode(False), torch.no_grad():
        codes, scales = torch.full((_OUT, _INPUTS), -127, dtype=torch.int8), torch.ones(_OUT)
        inputs = {rows: torch.full((rows, _INPUTS), 1.0) for rows in _ROWS}
        makers, tried = _makers(fine=True), dict[str, q8.Q8Matrix]()
        for name in (_EXACT, _SEVEN, _MIXED):
            try:
                matrix = makers[name](codes, scales, None)
                exact = all(_exact(matrix, x) for x in inputs.values())
            except RuntimeError:
                # Without oneDNN, or an operator that this processor's torch lacks.
                continue
            if exact:
                tried[name] = matrix
            if exact and name == _EXACT:
                # Nothing is faster with integer instructions, for several rows by far.
                break
        if not tried:
            return Product(_UNPACKED, None)
        times = {name: _micros(matrix, inputs) for name, matrix in tried.items()}
        chosen = next(iter(times))
        for name, micros in times.items():
            if sum(micros) < _MARGIN * sum(times[chosen]):
                chosen = name
        return Product(chosen, times[chosen])


def _exact(matrix: q8.Q8Matrix, x: torch.Tensor) -> bool:
    """Whether the largest sums are right, of both signs: else they saturate without a word."""
    wanted = -127.0 * _INPUTS
    signs = torch.tensor((1.0, -1.0)).view(2, 1, 1)
    results = torch.stack([matrix.forward(x * sign) for sign in signs])
    return bool(torch.isclose(results, wanted * signs, rtol=0.01).all())


def _micros(matrix: q8.Q8Matrix, inputs: dict[int, torch.Tensor]) -> tuple[float, float]:
    """The least times of a few runs of one thread, with 1 row and with 8, without what else the processor does."""
    least = {rows: float("inf") for rows in inputs}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(5):
            for rows, x in inputs.items():
                begin = time.thread_time()
                matrix.forward(x)
                least[rows] = min(least[rows], time.thread_time() - begin)
    finally:
        torch.set_num_threads(threads)
    one, several = (1e6 * seconds for seconds in least.values())
    return one, several


@functools.cache
def has_q4() -> bool:
    """Whether torch has the operator for 4 bits on this processor."""
    codes = torch.full((64, 32), 9, dtype=torch.int32)
    grid = torch.ones((1, 64, 2), dtype=torch.bfloat16)
    try:
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
        out = torch.ops.aten._weight_int4pack_mm_for_cpu(torch.ones((1, 32), dtype=torch.bfloat16), packed, 32, grid)
    except RuntimeError:
        return False
    return bool((out == 64).all())
