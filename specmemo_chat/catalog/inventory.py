"""Which models lie in the hub's cache on this machine, how much disk they take, and how to remove them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.aliases import CatalogEntry
from specmemo_chat.catalog.cache import (
    cache_root,
    cached_gguf,
    cached_model,
    cached_repositories,
    cached_snapshot,
    missing_files,
    repository_folder,
)
from specmemo_chat.catalog.config import read_config
from specmemo_chat.catalog.gguf import part_names
from specmemo_chat.catalog.gguf_files import split_id
from specmemo_chat.errors import ModelError

BYTES_OF = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class StoredModel:
    """A repository in the cache, or one GGUF model of it, whose `folder` is its first file: `size` is what it takes on
    disk (bytes), `complete` whether a chat could load it (for a draft head: whether it could be used as one)."""

    hub_id: str
    folder: Path
    size: int
    complete: bool


def stored(hub_id: str) -> StoredModel | None:
    """What the cache holds of `hub_id`, None where nothing."""
    folder = repository_folder(hub_id)
    if not hub_id or not folder.is_dir():
        return None
    if split_id(hub_id)[1]:
        first = cached_model(hub_id)
        size = sum(file.stat().st_size for file in _files_of(first)) if first is not None else 0
        return StoredModel(hub_id, first, size, True) if first is not None else None
    snapshot = cached_snapshot(hub_id)
    whole = snapshot is not None and not missing_files(snapshot, tokenizer=not is_head(snapshot))
    complete = whole or bool(cached_gguf(hub_id))
    return StoredModel(hub_id, folder, bytes_of(folder), complete)


def stored_models() -> list[StoredModel]:
    """Every model in the cache, complete or not, by name."""
    return [found for hub_id in cached_repositories() if (found := stored(hub_id)) is not None]


def bytes_of(folder: Path) -> int:
    """Bytes on disk below `folder`: each file once, however many names it has."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue
        if not path.is_dir() and not path.is_symlink():
            blocks = getattr(status, "st_blocks", None)
            taken = status.st_size if blocks is None else blocks * 512
            seen[status.st_dev, status.st_ino] = taken
    return sum(seen.values())


def is_head(folder: Path) -> bool:
    """The folder's config is that of an EAGLE head: one layer, or made for one (FORMATS of the published heads)."""
    try:
        config: dict[str, Any] = read_config(folder)
    except ModelError:
        return False
    return config.get("num_hidden_layers") == 1


def download_bytes(entry: CatalogEntry) -> int:
    """About how much a download of a catalog model is: its weights in the precision they are published in."""
    spec = entry.spec()
    return spec.checkpoint_bytes or spec.parameters * BYTES_OF.get(str(entry.config.get("torch_dtype")), 2)


def remove(model: StoredModel) -> None:
    """Delete a repository from the cache, or of it one GGUF model. Raises ModelError where the system refuses."""
    try:
        if model.folder.is_file():
            for file in _files_of(model.folder):
                content = file.resolve()
                file.unlink()
                content.unlink(missing_ok=True)
            left = stored(split_id(model.hub_id)[0])
            if left is None or any((left.folder / "blobs").glob("*")):
                return
            model = left
        shutil.rmtree(model.folder)
    except OSError as error:
        raise ModelError(f"{model.folder} cannot be removed: {error.strerror}", "look at its permissions") from error
    shutil.rmtree(cache_root() / ".locks" / model.folder.name, ignore_errors=True)


def _files_of(first: Path) -> list[Path]:
    return [first.with_name(name) for name in part_names(first.name)]
