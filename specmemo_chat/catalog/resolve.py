"""What the user typed after --model -> a local folder or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.catalog.aliases import CatalogEntry, bundled_folder, close_names, find_alias
from specmemo_chat.catalog.damage import check_content, unreadable, weight_files
from specmemo_chat.catalog.gguf_files import chosen, is_gguf, models_among, split_id
from specmemo_chat.errors import Flag, ModelError, UsageError

# The hub's own rule for names: owner/name, each of letters, digits, '-', '_' and '.'; behind it one of its GGUF files.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+)?", re.ASCII)


@dataclass(frozen=True)
class ModelSource:
    """Where a model is. `folder` is set for a local one, and may be a GGUF file; `hub_id` for one of the hub, with
    `:QUANTISATION` for one of its GGUF files; never both, never none. `entry` is its catalog entry, if it has one."""

    name: str
    folder: Path | None = None
    hub_id: str | None = None
    entry: CatalogEntry | None = None

    @property
    def repository(self) -> str:
        """Of the hub."""
        return split_id(self.hub_id or "")[0]

    @property
    def gated(self) -> bool:
        return self.entry is not None and self.entry.gated


def resolve(name: str) -> ModelSource:
    """Alias first, then a local folder or GGUF file, then a hub id.

    Raises UsageError for an empty name, ModelError for one that is none of them.
    """
    if not name.strip():
        raise UsageError("the model's name is empty", Flag("--model", "pocket", "for the bundled one"))
    entry = find_alias(name)
    if entry is not None:
        if entry.bundled:
            return ModelSource(name, bundled_folder(), None, entry)
        return ModelSource(name, None, entry.hub_id, entry)
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return ModelSource(name, _in_folder(path.resolve()))
        if path.is_file():
            # Not resolved: the hub's cache keeps contents under other names, and parts are found by theirs.
            return ModelSource(name, _model_file(path.absolute()))
    except OSError as error:
        raise unreadable(path, error) from error
    if name.startswith((".", "~", "/")) or name.count("/") > 1 or name.lower().endswith(".gguf"):
        what = "file" if path.suffix.lower() == ".gguf" else "folder"
        raise ModelError(f"there is no {what} {path}", "give a GGUF file, or the folder that holds config.json")
    if _HUB_ID.fullmatch(name):
        return ModelSource(name, None, name)
    near = close_names(name)
    raise ModelError(
        f"no model is known as {name!r}: it is no alias, no folder and no hub id (owner/name)",
        f"did you mean {' or '.join(near)}?" if near else "give an alias such as qwen3-1.7b, a folder, or owner/name",
    )


def _in_folder(folder: Path) -> Path:
    """The folder, or the one GGUF model that it holds in place of other weights."""
    if not models_among(path.name for path in folder.glob("*.gguf")) or any(weight_files(folder)):
        return folder
    return folder / chosen((path.name for path in folder.glob("*.gguf")), "", str(folder))


def _model_file(path: Path) -> Path:
    if is_gguf(path):
        return path
    check_content(path)
    raise ModelError(f"{path} is a file, and a model is a folder or a GGUF file", Flag("--model", str(path.parent)))
