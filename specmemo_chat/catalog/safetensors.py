"""The headers of safetensors files: which tensors there are and where. Nothing of torch is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.errors import ModelError

_AGAIN = "download the model again"
_EMBEDDINGS = ("model.embed_tokens.weight", "embed_tokens.weight")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """Where a tensor's bytes stand in `file`: [start, stop)."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def check_safetensors(file: Path) -> dict[str, Entry]:
    """The tensors of one file by name, their places compared with the file's size. Raises ModelError."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise ModelError(f"{file} is truncated: {size} bytes do not hold its header", _AGAIN)
            header = json.loads(stream.read(length))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", _AGAIN) from error
    except ValueError as error:
        raise ModelError(f"{file} is corrupt: its header is not JSON", _AGAIN) from error
    if not isinstance(header, dict):
        raise ModelError(f"{file} is corrupt: its header is no object", _AGAIN)
    before, entries = 8 + length, {}
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        try:
            start, end = (int(at) for at in entry["data_offsets"])
            entries[name] = Entry(file, str(entry["dtype"]), tuple(entry["shape"]), before + start, before + end)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{file} is corrupt: the entry of the tensor {name} cannot be read", _AGAIN) from error
        if before + end > size:
            raise ModelError(
                f"{file} is truncated: the tensor {name} ends at byte {end:,} of {size - before:,} that are there",
                _AGAIN,
            )
    return entries


def has_own_output(files: Iterable[Path]) -> bool:
    """Whether the safetensors `files` hold an output matrix with other values than the embedding's, whatever the config
    says: transformers ties only what is equal."""
    entries: dict[str, Entry] = {}
    for file in files:
        if file.suffix == ".safetensors":
            entries |= check_safetensors(file)
    output = entries.get("lm_head.weight")
    embedding = next((entries[name] for name in _EMBEDDINGS if name in entries), None)
    return output is not None and embedding is not None and not _equal(output, embedding)


def _equal(one: Entry, other: Entry) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    with one.file.open("rb") as left, other.file.open("rb") as right:
        left.seek(one.start)
        right.seek(other.start)
        for at in range(one.start, one.stop, _BLOCK):
            count = min(_BLOCK, one.stop - at)
            if left.read(count) != right.read(count):
                return False
    return True
