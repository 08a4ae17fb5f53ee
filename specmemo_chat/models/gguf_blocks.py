"""Blocks of ggml's quantised types as numbers (ggml-quants.c). Raw blocks are uint8 [n, bytes of a block]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
# Codes [n, values of a block] of 0 to 15, scales and minima [n, values / 32]: code · scale + minimum.
Groups = tuple[Bytes, Floats, Floats]

_LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=np.float32
)  # fmt: skip


def _half(raw: Bytes) -> Floats:
    """fp16 numbers [n, k] of raw bytes [n, 2 k]."""
    return np.ascontiguousarray(raw).view("<f2").astype(np.float32)


def _nibbles(raw: Bytes, width: int) -> Bytes:
    """Of each run of `width` bytes the low halves, then the high ones: [n, 2 · bytes]."""
    runs = raw.reshape(len(raw), -1, 1, width)
    return np.concatenate((runs & 15, runs >> 4), axis=2).reshape(len(raw), -1)


def _bits(raw: Bytes, count: int, width: int = 32) -> Bytes:
    """Of each run of `width` bytes the lowest `count` bits, then the next ones: [n, bytes · 8 / count]."""
    shifts = np.arange(0, 8, count, dtype=np.uint8)[:, None]
    return ((raw.reshape(len(raw), -1, 1, width) >> shifts) & np.uint8((1 << count) - 1)).reshape(len(raw), -1)


def _scaled(codes: npt.NDArray[np.generic], scales: Floats, minima: Floats | None = None) -> Floats:
    """Each group of codes times its scale, and its minimum added: [n, values]."""
    values = codes.reshape(*scales.shape, -1).astype(np.float32)
    values *= scales[..., None]
    if minima is not None:
        values += minima[..., None]
    return values.reshape(len(codes), -1)


def _six_bits(raw: Bytes) -> tuple[Floats, Floats]:
    """The eight scales and minima of a block of Q4_K and Q5_K, six bits each in twelve bytes."""
    low, mid, high = raw[:, :4], raw[:, 4:8], raw[:, 8:]
    scales = np.concatenate((low & 63, (high & 15) | ((low >> 2) & 48)), axis=1)
    minima = np.concatenate((mid & 63, (high >> 4) | ((mid >> 2) & 48)), axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _q4_0_groups(raw: Bytes) -> Groups:
    scales = _half(raw[:, :2])
    return _nibbles(raw[:, 2:], 16), scales, -8 * scales


def _q4_1_groups(raw: Bytes) -> Groups:
    return _nibbles(raw[:, 4:], 16), _half(raw[:, :2]), _half(raw[:, 2:4])


def _q4_k_groups(raw: Bytes) -> Groups:
    scales, minima = _six_bits(raw[:, 4:16])
    return _nibbles(raw[:, 16:], 32), _half(raw[:, :2]) * scales, -(_half(raw[:, 2:4]) * minima)


def _q2_k(raw: Bytes) -> Floats:
    scales, minima = (raw[:, :16] & 15).astype(np.float32), (raw[:, :16] >> 4).astype(np.float32)
    return _scaled(_bits(raw[:, 16:80], 2), _half(raw[:, 80:82]) * scales, -(_half(raw[:, 82:]) * minima))


def _q3_k(raw: Bytes) -> Floats:
    scales = _nibbles(raw[:, 96:104], 8) | (_bits(raw[:, 104:108], 2, 4) << np.uint8(4))
    # A highest bit that is not set counts -4.
    codes = _bits(raw[:, 32:96], 2).astype(np.int8) - ((_bits(raw[:, :32], 1) ^ 1) << np.uint8(2)).astype(np.int8)
    return _scaled(codes, _half(raw[:, 108:]) * (scales.astype(np.float32) - 32))


def _q5(raw: Bytes, high: int) -> Bytes:
    """Codes of 0 to 31 whose highest bits are the four bytes from `high` on."""
    top = np.unpackbits(np.ascontiguousarray(raw[:, high : high + 4]), axis=1, bitorder="little")
    return _nibbles(raw[:, high + 4 :], 16) | (top << np.uint8(4))


def _q5_0(raw: Bytes) -> Floats:
    return _scaled(_q5(raw, 2).astype(np.int8) - np.int8(16), _half(raw[:, :2]))


def _q5_1(raw: Bytes) -> Floats:
    return _scaled(_q5(raw, 4), _half(raw[:, :2]), _half(raw[:, 2:4]))


def _q5_k(raw: Bytes) -> Floats:
    scales, minima = _six_bits(raw[:, 4:16])
    codes = _nibbles(raw[:, 48:], 32) | (_bits(raw[:, 16:48], 1) << np.uint8(4))
    return _scaled(codes, _half(raw[:, :2]) * scales, -(_half(raw[:, 2:4]) * minima))


def _q6_k(raw: Bytes) -> Floats:
    codes = _nibbles(raw[:, :128], 64) | (_bits(raw[:, 128:192], 2) << np.uint8(4))
    return _scaled(codes.astype(np.int8) - np.int8(32), _half(raw[:, 208:]) * _signed(raw[:, 192:208]))


def _q8_0(raw: Bytes) -> Floats:
    return _scaled(_signed(raw[:, 2:]), _half(raw[:, :2]))


def _iq4_nl(raw: Bytes) -> Floats:
    return _scaled(_LEVELS[_nibbles(raw[:, 2:], 16)], _half(raw[:, :2]))


def _iq4_xs(raw: Bytes) -> Floats:
    low, high = _nibbles(raw[:, 4:8], 1), _bits(raw[:, 2:4], 2, 1)
    scales = (low | (high << np.uint8(4))).astype(np.float32) - 32
    return _scaled(_LEVELS[_nibbles(raw[:, 8:], 16)], _half(raw[:, :2]) * scales)


def _signed(raw: Bytes) -> Floats:
    return np.ascontiguousarray(raw).view(np.int8).astype(np.float32)


# The types on the grid of q4, and those that are not.
GROUPED: dict[str, Callable[[Bytes], Groups]] = {
    "Q4_0": _q4_0_groups, "Q4_1": _q4_1_groups, "Q4_K": _q4_k_groups,
}  # fmt: skip
_VALUES: dict[str, Callable[[Bytes], Floats]] = {
    "Q2_K": _q2_k, "Q3_K": _q3_k, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q5_K": _q5_k, "Q6_K": _q6_k, "Q8_0": _q8_0,
    "IQ4_NL": _iq4_nl, "IQ4_XS": _iq4_xs,
}  # fmt: skip


def values_of(kind: str, raw: Bytes) -> Floats:
    """The values [n, values of a block] of the blocks `raw` of the type `kind`."""
    return _scaled(*GROUPED[kind](raw)) if kind in GROUPED else _VALUES[kind](raw)
