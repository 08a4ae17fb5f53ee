"""Bytes of a weight in memory, by its format; models/matrices/ holds to them.

Formats: fp32, bf16 and fp16 as they are; q8, int8 with one fp32 scale an output row; q4, 4 bits with a bf16 scale and
minimum for each group of 32 inputs. On a CPU oneDNN packs q8 into tiles of 64 by 64 with one int32 an output, and q4
has its outputs by 64.
"""

from __future__ import annotations

# Inputs of a group of q4's.
GROUP = 32
_ELEMENT = {"fp32": 4, "bf16": 2, "fp16": 2}
TILE = 64
# Values of a q4 matrix that are packed, or unpacked for a chunk of a prompt, at once.
BLOCK_VALUES = 1 << 20
# Bytes for each of them: int32 codes while packing; bf16 values and what they are made from while unpacking.
_BLOCK_BYTES = 10
# Values that are quantised at once, on a CPU such as stay in its cache, and bytes for each.
FITTED_VALUES = {"cpu": 1 << 17, "gpu": 1 << 20}
_FITTED_BYTES = 24


def matrix_bytes(out: int, inputs: int, fmt: str, device: str = "cpu") -> int:
    """Bytes that a matrix [out, inputs] holds in format `fmt` on `device` (cpu, cuda..); its bias is extra."""
    if fmt == "q8":
        if device != "cpu":
            return out * (inputs + 4)
        return _up(out, TILE) * (_up(inputs, TILE) + 4) + 4 * out
    if fmt == "q4":
        return (_up(out, TILE) if device == "cpu" else out) * (inputs // 2 + 4 * (inputs // GROUP))
    return out * inputs * _ELEMENT[fmt]


def table_bytes(words: int, width: int, fmt: str) -> int:
    """Bytes of an embedding [words, width]; in a q4 model it is q8."""
    return words * (width + 4) if fmt in ("q8", "q4") else words * width * _ELEMENT[fmt]


def tied_bytes(words: int, width: int, fmt: str, device: str = "cpu") -> int:
    """Bytes of an embedding that is the output matrix too. On a CPU a packed matrix is a second copy; both are q8 in a
    q4 model."""
    table = table_bytes(words, width, fmt)
    if fmt in ("q8", "q4") and device == "cpu":
        return table + matrix_bytes(words, width, "q8", device)
    return table


def packing_bytes(out: int, inputs: int, fmt: str, device: str = "cpu") -> int:
    """Bytes that a matrix takes for a moment while it is quantised and packed, beside those that it keeps: for q8 on a
    CPU its codes as they came, for q4 a block of them and the scales in another order."""
    if fmt not in ("q8", "q4"):
        return 0
    fitted = _FITTED_BYTES * min(out * inputs, max(FITTED_VALUES["cpu" if device == "cpu" else "gpu"], inputs))
    if fmt == "q8":
        return max(fitted, out * inputs if device == "cpu" else 0)
    block = _BLOCK_BYTES * _block_values(out, inputs) if device == "cpu" else 0
    return max(fitted, block + out * inputs // 8)


def product_bytes(rows: int, out: int, inputs: int, fmt: str) -> int:
    """Scratch of a product of `rows` rows on a CPU beside its input and its result: for q8 the input in fp32 and as two
    int32 and two codes a value, and the sums of both; for q4 the input in bf16, the sums, and an unpacked block."""
    if fmt == "q8":
        return rows * (18 * inputs + 8 * out)
    if fmt == "q4":
        return rows * (2 * inputs + 2 * out) + _BLOCK_BYTES * _block_values(out, inputs)
    return 0


def _block_values(out: int, inputs: int) -> int:
    return min(_up(out, TILE) * inputs, max(BLOCK_VALUES, TILE * inputs))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
