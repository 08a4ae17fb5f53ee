"""The weight files of a model folder, read tensor by tensor, and of each tensor only the part that is wanted."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from specmemo_chat.errors import ModelError


@dataclass(frozen=True)
class Part:
    """Of a tensor with `size` entries along `dim` those in [start, stop). `stop` may lie behind the end: the rest is
    zeros."""

    dim: int
    start: int
    stop: int
    size: int


class Checkpoint:
    """The tensors of `folder` by name. A context manager: the files are mapped into memory until it ends.

    Raises ModelError where a file cannot be read. Pickled weights are read with `weights_only`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._safetensors: dict[str, Any] = {}
        self._pickled: dict[str, torch.Tensor] = {}
        try:
            files = _files(folder, "model.safetensors")
            for file in files:
                opened = self._stack.enter_context(safe_open(file, framework="pt", device="cpu"))
                self._safetensors.update(dict.fromkeys(opened.keys(), opened))
            for file in [] if files else _files(folder, "pytorch_model.bin"):
                self._pickled.update(_unpickled(file))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            self._stack.close()
            raise ModelError(f"the weights in {folder} cannot be read: {error}", "download the model again") from error

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._pickled.clear()
        self._stack.close()

    def name_of(self, parameter: str) -> str | None:
        """The name under which the files hold the model's `parameter`: some lack the prefix `model.`."""
        names = (parameter, parameter.removeprefix("model."))
        return next((name for name in names if name in self._safetensors or name in self._pickled), None)

    def shape(self, name: str) -> list[int]:
        """The shape of the whole tensor `name`; nothing of it is read."""
        if name in self._safetensors:
            return list(self._safetensors[name].get_slice(name).get_shape())
        return list(self._pickled[name].shape)

    def read(self, name: str, part: Part | None = None) -> torch.Tensor:
        """The tensor `name`, or a part of it; only that part's bytes are read from a safetensors file."""
        source: Any = self._safetensors[name].get_slice(name) if name in self._safetensors else self._pickled[name]
        if part is None:
            whole: torch.Tensor = source[:]
            return whole
        shape = self.shape(name)
        stop = min(part.stop, part.size)
        ranges = (slice(None),) * part.dim + (slice(min(part.start, stop), stop),)
        read: torch.Tensor = source[ranges]
        missing = part.stop - part.start - read.shape[part.dim]
        if missing:
            shape[part.dim] = missing
            read = torch.cat((read, read.new_zeros(shape)), part.dim)
        return read


def _files(folder: Path, single: str) -> list[Path]:
    """The files of an index, or the one file called `single`, or none."""
    index = folder / f"{single}.index.json"
    if index.exists():
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return [folder / single] if (folder / single).exists() else []


def _unpickled(file: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        # Files from before torch 1.6 cannot be mapped.
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
