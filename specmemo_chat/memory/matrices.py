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
# Bytes for each of them while they are packed: int32 codes, and what they are made from.
_BLOCK_BYTES = 10
# Values that are quantised at once, on a CPU such as stay in its cache, and bytes for each.
FITTED_VALUES = {"cpu": 1 << 17, "gpu": 1 << 20}
_FITTED_BYTES = 24
# Rows of a chunk of a prompt that are multiplied at once, and what a library packs for them; each further thread half
# of that and (measured) 400 bytes an input.
SLAB_ROWS, _LIBRARY_BYTES = 128, 640 << 10
# What a thread of oneDNN keeps for a product of int8; and beyond so many inputs and rows (measured: 200 to 400 kB).
_THREAD_BYTES, _DIVIDED_BYTES, _UNDIVIDED, _FEW_ROWS = 8 << 10, 416 << 10, 2048, 32
# Lengths, largest values and scales of a row.
_ROW_BYTES = 64


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


def product_bytes(
    rows: int, out: int, inputs: int, fmt: str, value_bytes: int, *, threads: int = 1, chunk: bool = False
) -> int:
    """The most that a product of `rows` rows holds on a CPU beside its input, its result of `value_bytes` a value
    included. q8: the input in fp32, in steps, as int32 and as two codes a value, the sums of both codes, and what
    oneDNN keeps for each thread, more where it divides many inputs. q4: the input in bf16 and the result. q4 for a
    `chunk` of a prompt: input and result in slabs of rows, and a block of the weight with its codes, what of it is
    multiplied, its scales, and what a library packs."""
    if fmt == "q8":
        exact = 4 if value_bytes < 4 else 0
        each = _THREAD_BYTES + (_DIVIDED_BYTES if inputs > _UNDIVIDED and rows > _FEW_ROWS else 0)
        return threads * each + rows * (
            _ROW_BYTES + 8 * out + max((18 + exact) * inputs, value_bytes * out if exact else 0)
        )
    wide = 2 if value_bytes == 2 else 4
    step = rows * max(2 * inputs + 2 * out, (2 + wide) * out) if value_bytes != 2 else rows * 2 * out
    step += rows * 2 * out if out % TILE else 0
    if not chunk:
        return step
    slabs = _up(rows, SLAB_ROWS) * (inputs + out) * wide
    block = _block_values(out, inputs)
    columns = block // inputs
    made = (1 + wide) * block + 2 * wide * block // GROUP + SLAB_ROWS * columns * wide
    library = _LIBRARY_BYTES + (threads - 1) * (_LIBRARY_BYTES // 2 + 400 * inputs)
    return max(step, slabs + made + library)


def _block_values(out: int, inputs: int) -> int:
    return min(_up(out, TILE) * inputs, max(BLOCK_VALUES, TILE * inputs))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
