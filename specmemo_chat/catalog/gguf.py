"""GGUF files, llama.cpp's format: header, metadata and the table of tensors, read within bounds. No torch, no weights.

Every length and offset is compared with the file before it is used, and all before the weights is bounded by `MOST`.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.damage import AGAIN, check_content, unreadable
from specmemo_chat.errors import ModelError
from specmemo_chat.sizes import MIB, format_size

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# Bytes before the weights, entries of an array, tensors: several times what the largest known models have.
MOST, MOST_ENTRIES, MOST_TENSORS = 128 * MIB, 1 << 22, 1 << 17
DEEPEST = 4
# Values and bytes of a block of every type of ggml (ggml-common.h).
TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf)", re.IGNORECASE)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor in a file: `shape` in the order of numpy and torch ([out, in]), `type` by ggml's name, its `nbytes`
    bytes from byte `offset` of `file`."""

    name: str
    shape: tuple[int, ...]
    type: str
    file: Path
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Words:
    """In place of an array of strings that was not wanted: how many there are, and the bytes of the longest."""

    count: int
    longest: int

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True)
class GgufFile:
    """A model in one file, or in the several `files` of a split one. Metadata are the first file's: numbers, truth
    values, texts, arrays of numbers (array.array, bytes of truth values), lists of texts or Words."""

    files: tuple[Path, ...]
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    @property
    def nbytes(self) -> int:
        """Of all its files."""
        return sum(file.stat().st_size for file in self.files)


def read_gguf(path: Path, *, words: bool = True) -> GgufFile:
    """The model in the file `path`, or in the files of which `path` is a part. `words`: arrays of strings are read;
    else Words stand in their place.

    Raises ModelError, naming file and key, tensor or type, for what is damaged, truncated, too new or big endian, and
    for a missing part.
    """
    first = read_part(path, words=words)
    count = first.metadata.get("split.count", 1)
    if count in (0, 1):
        return first
    names = part_names(path.name)
    if len(names) != count:
        raise ModelError(
            f"{path} is one of {count} files of a split model, and its name does not say which (split.count)",
            f"name them as they were published: NAME-00001-of-{count:05}.gguf",
        )
    tensors: dict[str, TensorInfo] = {}
    parts: list[GgufFile] = []
    for number, name in enumerate(names):
        file = path.with_name(name)
        if not file.exists():
            raise ModelError(f"{file} is missing: part {number + 1} of {count} of the model", "download it too")
        part = first if file == path else read_part(file, words=words)
        place = part.metadata.get("split.no"), part.metadata.get("split.count")
        if place != (number, count):
            raise _corrupt(file, f"it is not part {number + 1} of {count} (split.no and split.count are {place})")
        twice = next((name for name in part.tensors if name in tensors), None)
        if twice is not None:
            raise _corrupt(file, f"the tensor {twice} stands in another part too")
        tensors.update(part.tensors)
        parts.append(part)
    metadata = parts[0].metadata
    expected = metadata.get("split.tensors.count", len(tensors))
    if expected != len(tensors):
        raise _corrupt(path, f"its parts have {len(tensors)} tensors of {expected} (split.tensors.count)")
    return GgufFile(tuple(part.files[0] for part in parts), metadata, tensors)


def part_names(name: str) -> list[str]:
    """The names of all files of the split model that `name` is a part of; [name] where it is none."""
    match = _PART.fullmatch(name)
    count = int(match[3]) if match else 0
    if match is None or not 1 <= int(match[2]) <= count:
        return [name]
    return [f"{match[1]}-{number:05}-of-{match[3]}{match[4]}" for number in range(1, count + 1)]


def read_part(path: Path, *, words: bool = True) -> GgufFile:
    """What stands in the one file `path`, be it a part only. Raises as `read_gguf` does."""
    try:
        status = path.stat()
        # A plan is made several times and keeps no words.
        read = _read_file if words else _sizes_of_file
        return read(path, status.st_size, status.st_mtime_ns, words)
    except OSError as error:
        raise unreadable(path, error) from error


def _read_file(path: Path, size: int, _changed: int, words: bool) -> GgufFile:
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            check_content(path)
            raise ModelError(f"{path} is no GGUF file: it does not begin with {MAGIC.decode()}", AGAIN)
        return _Header(path, stream, size, words).read()


_sizes_of_file = lru_cache(maxsize=16)(_read_file)


def _corrupt(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is corrupt: {why}", AGAIN)


class _Header:
    """All before the weights of one open file, read as it is needed: `data` is its beginning, `at` the place."""

    def __init__(self, path: Path, stream: BufferedReader, size: int, words: bool) -> None:
        self._path, self._stream, self._size, self._words = path, stream, size, words
        self._data = bytearray(MAGIC)
        self._at = len(MAGIC)

    def read(self) -> GgufFile:
        version = self._number("I", "its version")
        if version not in VERSIONS:
            if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
                raise ModelError(f"{self._path} is big endian (GGUF version {version:#x})", "give a little endian file")
            newest = "too new" if version > max(VERSIONS) else "too old"
            raise ModelError(
                f"{self._path} has GGUF version {version}, which is {newest}: {VERSIONS[0]} and {VERSIONS[1]} are read",
                "convert the model again",
            )
        tensors, keys = self._number("Q", "its number of tensors"), self._number("Q", "its number of keys")
        # A key takes 8 + 4 bytes and more, a tensor 8 + 4 + 4 + 8.
        for count, least, what in ((tensors, 24, "tensors"), (keys, 12, "keys")):
            if count * least > self._size or count > MOST_TENSORS:
                raise _corrupt(self._path, f"it cannot have {count:,} {what}")
        metadata: dict[str, Any] = {}
        for index in range(keys):
            key = self._text(f"the name of key {index + 1}")
            if key in metadata:
                raise _corrupt(self._path, f"the key {key} stands there twice")
            metadata[key] = self._value(self._number("I", f"the key {key}"), f"the key {key}")
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise _corrupt(self._path, f"general.alignment is {alignment!r}, not a power of two")
        infos = [self._tensor(f"tensor {index + 1} of {tensors}") for index in range(tensors)]
        return GgufFile((self._path,), metadata, self._placed(infos, alignment))

    def _tensor(self, what: str) -> TensorInfo:
        """The entry of a tensor; its offset still counts from where the weights begin."""
        name = self._text(f"the name of {what}")
        what = f"the tensor {name}"
        count = self._number("I", what)
        if not 1 <= count <= 4:
            raise _corrupt(self._path, f"{what} has {count} dimensions")
        sizes = [self._number("Q", what) for _ in range(count)]
        kind, offset = self._number("I", what), self._number("Q", what)
        if kind not in TYPES:
            raise ModelError(
                f"{self._path}: {what} has the type {kind}, which is not known: the file is damaged, or of a newer "
                "llama.cpp", "give the model in Q4_K_M, Q8_0 or BF16",
            )  # fmt: skip
        label, values, nbytes = TYPES[kind]
        if not all(sizes) or sizes[0] % values:
            raise _corrupt(
                self._path, f"{what} of {label} has the shape {sizes[::-1]}: rows are blocks of {values} values"
            )
        return TensorInfo(name, tuple(sizes[::-1]), label, self._path, offset, prod(sizes) // values * nbytes)

    def _placed(self, infos: Sequence[TensorInfo], alignment: int) -> dict[str, TensorInfo]:
        """The tensors by name, each in its place: aligned, inside the file, apart from the others."""
        begin = -(-self._at // alignment) * alignment
        end, before = begin, "the table of tensors"
        placed: dict[str, TensorInfo] = {}
        for info in sorted(infos, key=lambda info: info.offset):
            info = replace(info, offset=begin + info.offset)
            if info.name in placed:
                raise _corrupt(self._path, f"the tensor {info.name} stands there twice")
            if info.offset % alignment:
                raise _corrupt(self._path, f"the tensor {info.name} is not aligned to {alignment} bytes")
            if info.offset < end:
                raise _corrupt(self._path, f"the tensor {info.name} overlaps with {before}")
            end, before = info.offset + info.nbytes, info.name
            if end > self._size:
                raise ModelError(
                    f"{self._path} is truncated: the tensor {info.name} ends at byte {end:,} of {self._size:,} that "
                    "are there", "download the model again",
                )  # fmt: skip
            placed[info.name] = info
        return {info.name: placed[info.name] for info in infos}

    def _value(self, kind: int, what: str, depth: int = 0) -> Any:
        if kind == _STRING:
            return self._text(what)
        if kind == _ARRAY:
            return self._array(what, depth)
        if kind not in _NUMBERS:
            raise ModelError(
                f"{self._path}: {what} has the value type {kind}, which is not known: the file is damaged or too new",
                AGAIN,
            )
        return self._number(_NUMBERS[kind], what)

    def _array(self, what: str, depth: int) -> Any:
        kind, count = self._number("I", what), self._number("Q", what)
        size = struct.calcsize(f"<{_NUMBERS[kind]}") if kind in _NUMBERS else 8
        if count > MOST_ENTRIES or depth == DEEPEST or count * size > self._size - self._at:
            raise _corrupt(self._path, f"{what} cannot have {count:,} entries")
        if kind == _STRING:
            return self._strings(count, what)
        if kind not in _NUMBERS:
            return [self._value(kind, what, depth + 1) for _ in range(count)]
        raw = self._take(count * size, what)
        if kind == 7:
            return bytes(raw)
        values = array(_NUMBERS[kind], bytes(raw))
        if sys.byteorder == "big":
            values.byteswap()
        return values

    def _strings(self, count: int, what: str) -> list[str] | Words:
        """The hot loop of a vocabulary: lengths follow from one another, so that each is looked at."""
        data, at, length_of = self._data, self._at, struct.Struct("<Q").unpack_from
        found, longest, keep = [], 0, self._words
        try:
            for _ in range(count):
                if at + 8 > len(data):
                    self._fill(at + 8, what)
                (length,) = length_of(data, at)
                at += 8
                if at + length > len(data):
                    self._fill(at + length, what)
                if keep:
                    found.append(data[at : at + length].decode())
                elif length > longest:
                    longest = length
                at += length
        except UnicodeDecodeError as error:
            raise _corrupt(self._path, f"{what} holds no text in UTF-8") from error
        self._at = at
        return found if keep else Words(count, longest)

    def _text(self, what: str) -> str:
        raw = self._take(self._number("Q", what), what)
        try:
            # What people wrote about a model is not worth refusing it.
            return raw.decode(errors="replace" if what.startswith("the key general.") else "strict")
        except UnicodeDecodeError as error:
            raise _corrupt(self._path, f"{what} holds no text in UTF-8") from error

    def _number(self, form: str, what: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form), what))[0]

    def _take(self, count: int, what: str) -> bytearray:
        self._fill(self._at + count, what)
        self._at += count
        return self._data[self._at - count : self._at]

    def _fill(self, end: int, what: str) -> None:
        """Have the file's bytes up to `end`, and some more."""
        if end <= len(self._data):
            return
        if end > self._size:
            raise ModelError(
                f"{self._path} is truncated or corrupt: {what} ends at byte {end:,} of {self._size:,} that are there",
                "download the model again",
            )
        if end > MOST:
            raise _corrupt(
                self._path, f"{what} ends {format_size(end)} after the file's beginning: metadata are not so large"
            )
        wanted = min(max(end, len(self._data) + MIB), self._size) - len(self._data)
        self._data += self._stream.read(wanted)
        if len(self._data) < end:
            raise ModelError(f"{self._path} became shorter while it was read", "start again")
