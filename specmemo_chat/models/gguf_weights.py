"""The tensors of a GGUF model under transformers' names, read block by block and decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

import numpy as np
import torch

from specmemo_chat.catalog.damage import unreadable
from specmemo_chat.catalog.gguf import TYPES, TensorInfo, read_gguf
from specmemo_chat.catalog.gguf_config import config_of
from specmemo_chat.catalog.gguf_tensors import check_tensors, hf_name
from specmemo_chat.errors import ModelError
from specmemo_chat.models.checkpoint import Part
from specmemo_chat.models.gguf_blocks import GROUPED, Bytes, values_of
from specmemo_chat.models.weight_files import copied

# As many are decoded at once: what is made of them stays in the processor's cache.
_VALUES = 1 << 19
_FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_BLOCKS = {name: (values, nbytes) for name, values, nbytes in TYPES.values()}


@dataclass(frozen=True)
class _Tensor:
    """A tensor of an open file: a Source. `head`: rows of a head of queries or keys whose dimensions the file has in
    pairs (i, i + head / 2), as they are rotated; 0 where they are in the usual order. `less`: subtracted from what is
    stored (norms of Gemma are stored as what they multiply by)."""

    file: BufferedReader
    info: TensorInfo
    head: int = 0
    less: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.info.shape

    @property
    def dtype(self) -> torch.dtype:
        return _FLOATS.get(self.info.type, torch.float32)

    @property
    def paired(self) -> bool:
        return self.head > 0

    @property
    def grouped(self) -> bool:
        """It lies on the 4-bit grid, which `groups` gives."""
        return self.info.type in GROUPED and len(self.shape) == 2

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        """The rows [start, stop) in the file's order, a few at once; each block holds until the next."""
        for raw in self._raw(start, stop):
            if self.info.type in _FLOATS:
                values = torch.from_numpy(raw).view(self.dtype)
            else:
                values = torch.from_numpy(values_of(self.info.type, raw))
            found = values.view(-1, *self.shape[1:])
            yield found - self.less if self.less else found

    def groups(self, start: int, stop: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """`blocks` as codes uint8 [n, in] of 0 to 15, scales and minima fp32 [n, in / 32]: code · scale + minimum."""
        for raw in self._raw(start, stop):
            codes, scales, minima = (torch.from_numpy(part) for part in GROUPED[self.info.type](raw))
            rows = codes.numel() // self.shape[1]
            yield codes.view(rows, -1), scales.view(rows, -1), minima.view(rows, -1)

    def _raw(self, start: int, stop: int) -> Iterator[Bytes]:
        """The rows as blocks of their type: uint8 [blocks, bytes of a block]."""
        row = self.info.nbytes // self.shape[0]
        each = max(1, _VALUES * self.shape[0] // int(np.prod(self.shape)))
        for at in range(start, stop, each):
            count = min(each, stop - at)
            self.file.seek(self.info.offset + at * row)
            raw = bytearray(count * row)
            if self.file.readinto(raw) != len(raw):
                raise ModelError(f"{self.info.file} is truncated in the tensor {self.info.name}", "download it again")
            yield np.frombuffer(raw, dtype=np.uint8).reshape(-1, _BLOCKS[self.info.type][1])


@dataclass(frozen=True)
class _InOrder:
    """A paired tensor with its rows in transformers' order: a Source for `copied`, head by head."""

    tensor: _Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.tensor.dtype

    def blocks(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        head = self.tensor.head
        for first in range(start - start % head, stop, head):
            rows = torch.cat([block.clone() for block in self.tensor.blocks(first, first + head)])
            pairs = rows.view(head // 2, 2, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)
            yield pairs[max(0, start - first) : stop - first]


class GgufCheckpoint:
    """The tensors of the model in the file `path`, or of which it is a part: what Checkpoint is for a folder. A context
    manager: the files are open until it ends.

    Raises ModelError and UsageError as `read_gguf`, `config_of` and `check_tensors` do.
    """

    def __init__(self, path: Path) -> None:
        model = read_gguf(path, words=False)
        config = config_of(model)
        check_tensors(model, config)
        self._stack = ExitStack()
        self._tensors: dict[str, _Tensor] = {}
        turned = config["head_dim"] if model.metadata["general.architecture"] == "llama" else 0
        files: dict[Path, BufferedReader] = {}
        try:
            for file in model.files:
                files[file] = self._stack.enter_context(file.open("rb"))
        except OSError as error:
            self._stack.close()
            raise unreadable(path, error) from error
        for info in model.tensors.values():
            name = hf_name(info.name)
            if name is None:
                continue
            tensor = _Tensor(files[info.file], info)
            if ".q_proj." in name or ".k_proj." in name:
                tensor = replace(tensor, head=turned)
            if config["model_type"] == "gemma" and "norm" in info.name:
                tensor = replace(tensor, less=1.0)
            self._tensors[name] = tensor

    def __enter__(self) -> GgufCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors.clear()
        self._stack.close()

    def name_of(self, parameter: str) -> str | None:
        """The name under which the model's `parameter` is read, None where there is none."""
        return parameter if parameter in self._tensors else None

    def names(self) -> set[str]:
        """Of all tensors."""
        return set(self._tensors)

    def check_tied(self) -> None:
        """An output matrix that the file holds is its own: the plan has seen it."""

    def shape(self, name: str) -> list[int]:
        """The shape of the whole tensor `name`; nothing of it is read."""
        return list(self._tensors[name].shape)

    def source(self, name: str) -> _Tensor:
        """The tensor `name`, to be read block by block, in the file's order of rows."""
        return self._tensors[name]

    def read(
        self,
        name: str,
        part: Part | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> torch.Tensor:
        """The tensor `name`, or a part of it, on `device` and in `dtype` (None: the file's, fp32 where that is packed),
        in transformers' order of rows and in memory of its own."""
        tensor = self._tensors[name]
        wanted = None if part is None else (part.dim, part.start, part.stop)
        return copied(_InOrder(tensor) if tensor.paired else tensor, part=wanted, dtype=dtype, device=device)
