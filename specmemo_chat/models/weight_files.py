"""Tensors of weight files, read block by block into memory of their own.

No file stays mapped: its pages would count against the cap beside what was made of them.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import torch

from specmemo_chat.device.heap import forget_pages
from specmemo_chat.errors import ModelError
from specmemo_chat.sizes import MIB

# As much of a file is read at once; it stays in the processor's cache until it is copied.
_BLOCK = MIB
_AGAIN = "download the model again"
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


class Readable(Protocol):
    """A tensor that is read in blocks of its rows."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> torch.dtype: ...

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        """The entries [start, stop) of its first dimension in order, a few at once; each block holds until the next."""
        ...


class Source(Readable, Protocol):
    """A tensor in a file. `paired`: a matrix of queries or keys whose dimensions stand in pairs, as they are rotated;
    `grouped`: it lies on a 4-bit grid, which `groups` gives."""

    @property
    def paired(self) -> bool: ...
    @property
    def grouped(self) -> bool: ...
    def groups(self, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """`blocks` as codes uint8 [n, in] of 0 to 15, scales and minima fp32 [n, in / 32]."""
        ...


class _Plain:
    """A Source of floating values in the usual order."""

    paired = grouped = False

    def groups(self, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        raise NotImplementedError


@dataclass(frozen=True)
class _Stored(_Plain):
    """A tensor of a safetensors file that begins at byte `offset`; `buffer` is the file's, of one block."""

    file: BufferedReader
    buffer: bytearray
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        each = max(1, _BLOCK // max(1, row))
        buffer = self.buffer if each * row <= _BLOCK else bytearray(row)
        self.file.seek(self.offset + start * row)
        for at in range(start, stop, each):
            count = min(each, stop - at)
            if self.file.readinto(memoryview(buffer)[: count * row]) != count * row:
                raise ModelError(f"{self.file.name} is truncated", _AGAIN)
            if row:
                values = torch.frombuffer(buffer, dtype=self.dtype, count=count * row // self.dtype.itemsize)
                yield values.view(count, *self.shape[1:])


@dataclass(frozen=True)
class Held(_Plain):
    """A tensor in memory, or of a pickled file that is `mapped`."""

    tensor: torch.Tensor
    mapped: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        each = max(1, _BLOCK // max(1, row))
        for at in range(start, stop, each):
            block = self.tensor[at : min(at + each, stop)]
            yield block
            if self.mapped and block.is_contiguous():
                forget_pages(block.data_ptr(), block.nbytes)


def copied(
    source: Readable,
    *,
    part: tuple[int, int, int] | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> torch.Tensor:
    """The tensor in memory of its own on `device`, in `dtype`; of `part` (dimension, start, stop) only those entries,
    those behind the end zeros. Beside the result a block of the file is held at a time."""
    whole = source.shape or (1,)
    dim, start, stop = part or (0, 0, whole[0])
    shape = [*whole[:dim], stop - start, *whole[dim + 1 :]]
    make = torch.zeros if stop > whole[dim] else torch.empty
    out = make(shape, dtype=dtype or source.dtype, device=device)
    stop = min(stop, whole[dim])
    length = max(0, stop - start)
    first, last = (start, start + length) if dim == 0 else (0, whole[0])
    at = 0
    for block in source.blocks(first, last):
        there = out[at : at + len(block)]
        if dim:
            block, there = block.narrow(dim, min(start, stop), length), there.narrow(dim, 0, length)
        there.copy_(block)
        at += len(block)
    return out.view(source.shape) if part is None else out


def safetensors(file: BufferedReader) -> dict[str, Source]:
    """The tensors of an open safetensors file by name. Raises ModelError for one that is damaged."""
    try:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        found: dict[str, Source] = {}
        buffer = bytearray(_BLOCK)
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                raise ModelError(
                    f"{file.name}: the tensor {name} has the type {entry['dtype']}, which is not supported"
                )
            shape, dtype = tuple(int(size) for size in entry["shape"]), _DTYPES[entry["dtype"]]
            begin, end = entry["data_offsets"]
            if end - begin != math.prod(shape) * dtype.itemsize:
                raise ModelError(f"{file.name} is corrupt: {end - begin} bytes are no tensor {name} of {shape}", _AGAIN)
            found[name] = _Stored(file, buffer, 8 + length + begin, shape, dtype)
        return found
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise ModelError(f"{file.name} is corrupt: its header cannot be read", _AGAIN) from error


def unpickled(file: Path) -> dict[str, Source]:
    """The tensors of a pickled file by name, read with `weights_only`. Raises ModelError."""
    mapped = True
    try:
        try:
            values = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files from before torch 1.6 cannot be mapped.
            values, mapped = torch.load(file, map_location="cpu", weights_only=True), False
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{file} cannot be read: {str(error).splitlines()[0]}", _AGAIN) from error
    if not isinstance(values, dict):
        raise ModelError(f"{file} holds no tensors by name", _AGAIN)
    return {name: Held(value, mapped) for name, value in values.items() if isinstance(value, torch.Tensor)}
