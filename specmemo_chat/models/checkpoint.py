"""The weight files of a model folder, read tensor by tensor, and of each tensor only the part that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from specmemo_chat.errors import ModelError
from specmemo_chat.models.weight_files import Held, Source, copied, safetensors, unpickled

EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class Part:
    """Of a tensor with `size` entries along `dim` those in [start, stop). `stop` may lie behind the end: the rest is
    zeros."""

    dim: int
    start: int
    stop: int
    size: int


class Weights(Protocol):
    """Tensors by name, as Checkpoint has them."""

    def name_of(self, parameter: str) -> str | None: ...
    def names(self) -> set[str]: ...
    def check_tied(self) -> None: ...
    def shape(self, name: str) -> list[int]: ...
    def source(self, name: str) -> Source: ...
    def read(
        self,
        name: str,
        part: Part | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> torch.Tensor: ...


class Checkpoint:
    """The tensors of `folder` by name. A context manager: the files are open until it ends.

    Raises ModelError where a file cannot be read. Pickled weights are read with `weights_only`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._sources: dict[str, Source] = {}
        try:
            files = _files(folder, "model.safetensors")
            for file in files:
                self._sources.update(safetensors(self._stack.enter_context(file.open("rb"))))
            self._pickled = not files
            for file in [] if files else _files(folder, "pytorch_model.bin"):
                self._sources.update(unpickled(file))
        except (OSError, ValueError, KeyError) as error:
            self._stack.close()
            raise ModelError(f"the weights in {folder} cannot be read: {error}", "download the model again") from error
        except ModelError:
            self._stack.close()
            raise

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._sources.clear()
        self._stack.close()

    def name_of(self, parameter: str) -> str | None:
        """The name under which the files hold the model's `parameter`: some lack the prefix `model.`."""
        return next((name for name in (parameter, parameter.removeprefix("model.")) if name in self._sources), None)

    def names(self) -> set[str]:
        """Of all tensors."""
        return set(self._sources)

    def check_tied(self) -> None:
        """Raise ModelError where pickled weights hold an output matrix of their own, and the config says that it is the
        embedding: such files are planned by their config alone. Of safetensors the plan has seen it."""
        embedding, output = self.name_of(EMBEDDING), self.name_of(OUTPUT)
        if not self._pickled or embedding is None or output is None:
            return
        one, other = self._sources[embedding], self._sources[output]
        rows = one.shape[0]
        pairs = zip(one.blocks(0, rows), other.blocks(0, rows), strict=False)
        if one.shape != other.shape or not all(torch.equal(left, right) for left, right in pairs):
            raise ModelError(
                f"the weights in {self._folder} hold an output matrix that is not the embedding, and config.json says "
                "that it is",
                'set "tie_word_embeddings": false in config.json: then it is planned',
            )

    def shape(self, name: str) -> list[int]:
        """The shape of the whole tensor `name`; nothing of it is read."""
        return list(self._sources[name].shape)

    def read(
        self,
        name: str,
        part: Part | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> torch.Tensor:
        """The tensor `name`, or a part of it, on `device` and in `dtype` (None: the file's), in memory of its own."""
        wanted = None if part is None else (part.dim, part.start, part.stop)
        return copied(self.source(name), part=wanted, dtype=dtype, device=device)

    def source(self, name: str) -> Source:
        """The tensor `name`, to be read block by block."""
        return self._sources[name]


class HeldWeights(Checkpoint):
    """Tensors in memory by name. Each is given once, and not kept here."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._stack = ExitStack()
        self._pickled = False
        self._sources = {name: Held(tensor) for name, tensor in tensors.items()}

    def source(self, name: str) -> Source:
        return self._sources.pop(name)


def _files(folder: Path, single: str) -> list[Path]:
    """The files of an index, or the one file called `single`, or none."""
    index = folder / f"{single}.index.json"
    if index.exists():
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return [folder / single] if (folder / single).exists() else []
