"""What the user typed after --model -> a local folder or a hub id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.catalog.aliases import CatalogEntry, bundled_folder, close_names, find_alias
from specmemo_chat.catalog.damage import check_content, gguf_error, unreadable
from specmemo_chat.errors import Flag, ModelError, UsageError

# The hub's own rule for names: owner/name, each of letters, digits, '-', '_' and '.'.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class ModelSource:
    """Where a model is. `folder` is set for a local one, `hub_id` for one of the hub; never both, never none.
    `entry` is its catalog entry, if it has one."""

    name: str
    folder: Path | None = None
    hub_id: str | None = None
    entry: CatalogEntry | None = None

    @property
    def gated(self) -> bool:
        return self.entry is not None and self.entry.gated


def resolve(name: str) -> ModelSource:
    """Alias first, then a local folder, then a hub id.

    Raises UsageError for an empty name, ModelError for one that is none of the three and for a GGUF file.
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
            return ModelSource(name, path.resolve())
        if path.is_file():
            raise _file_error(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if name.lower().endswith(("gguf", "-gguf")) and _HUB_ID.fullmatch(name):
        raise gguf_error(name)
    if name.startswith((".", "~", "/")) or name.count("/") > 1:
        raise ModelError(f"there is no folder {path}", "give the folder that holds the model's config.json")
    if _HUB_ID.fullmatch(name):
        return ModelSource(name, None, name)
    near = close_names(name)
    raise ModelError(
        f"no model is known as {name!r}: it is no alias, no folder and no hub id (owner/name)",
        f"did you mean {' or '.join(near)}?" if near else "give an alias such as qwen3-1.7b, a folder, or owner/name",
    )


def _file_error(path: Path) -> ModelError:
    if path.suffix.lower() == ".gguf":
        return gguf_error(str(path))
    check_content(path)
    return ModelError(f"{path} is a file, and a model is a folder", Flag("--model", str(path.parent)))
