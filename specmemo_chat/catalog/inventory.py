"""Which models lie in the hub's cache on this machine, how much disk they take, and how to remove them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.aliases import CatalogEntry
from specmemo_chat.catalog.cache import (
    cache_root,
    cached_repositories,
    cached_snapshot,
    missing_files,
    repository_folder,
)
from specmemo_chat.catalog.config import read_config
from specmemo_chat.errors import ModelError

BYTES_OF = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class StoredModel:
    """A repository in the cache: `size` is what it takes on disk (bytes), `complete` whether a chat could load it (for
    a draft head: whether it could be used as one)."""

    hub_id: str
    folder: Path
    size: int
    complete: bool


def stored(hub_id: str) -> StoredModel | None:
    """What the cache holds of `hub_id`, None where nothing."""
    folder = repository_folder(hub_id)
    if not hub_id or not folder.is_dir():
        return None
    snapshot = cached_snapshot(hub_id)
    complete = snapshot is not None and not missing_files(snapshot, tokenizer=not is_head(snapshot))
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
    """Delete a repository from the cache. Raises ModelError where the system refuses."""
    try:
        shutil.rmtree(model.folder)
    except OSError as error:
        raise ModelError(f"{model.folder} cannot be removed: {error.strerror}", "look at its permissions") from error
    shutil.rmtree(cache_root() / ".locks" / model.folder.name, ignore_errors=True)
