"""Measured step times in a file, so that only the first start on a device with a model measures them.

One JSON file for each key (device, model, precision, threads, versions, …): another key is another file, and a file
that cannot be read or that says something else counts as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from specmemo_chat.speculation.costs import DraftCosts, StepCosts

# 2: a drafter's levels by nodes, no longer by rows. 3: steps of several rows by the nodes of all.
_SCHEMA = 3

Key = dict[str, str]


def path_of(folder: Path, key: Key) -> Path:
    """The file in `folder` for what `key` names."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return folder / f"steps-{digest[:20]}.json"


def config_hash(folder: Path) -> str:
    """What a key calls the model in `folder`: a hash of its config, because step times depend on a model's shape and
    not on its weights; of a GGUF file its name and size. Empty where it has none."""
    try:
        if folder.is_file():
            return hashlib.sha256(f"{folder.name} {folder.stat().st_size}".encode()).hexdigest()
        return hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    except OSError:
        return ""


def restore(folder: Path, key: Key, steps: StepCosts, drafts: DraftCosts) -> bool:
    """Fill `steps` and `drafts` with what was measured for `key`; False, and both as they were, where there is nothing
    that can be used."""
    try:
        values = json.loads(path_of(folder, key).read_text(encoding="utf-8"))
        if values["schema"] != _SCHEMA or values["key"] != key or not values["steps"]:
            return False
        found_steps, found_drafts = StepCosts(), DraftCosts()
        found_steps.restore(values["steps"])
        found_drafts.restore(values["drafts"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    steps.restore(found_steps.entries())
    drafts.restore(found_drafts.entries())
    return True


def find(folder: Path, wanted: Key) -> tuple[Key, StepCosts, DraftCosts] | None:
    """What was last measured for a key that says what `wanted` says of fewer things; None where nothing was."""
    files = []
    with suppress(OSError):
        files = sorted(folder.glob("steps-*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        steps, drafts = StepCosts(), DraftCosts()
        try:
            key = json.loads(file.read_text(encoding="utf-8"))["key"]
            same = all(key[name] == value for name, value in wanted.items())
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same and restore(folder, key, steps, drafts):
            return key, steps, drafts
    return None


def save(folder: Path, key: Key, steps: StepCosts, drafts: DraftCosts) -> bool:
    """Write what is known, whole or not at all. False where the folder cannot be written: it is only a cache."""
    values = {"schema": _SCHEMA, "key": key, "steps": steps.entries(), "drafts": drafts.entries()}
    written = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, suffix=".new", delete=False) as stream:
            written = stream.name
            json.dump(values, stream)
        os.replace(written, path_of(folder, key))
    except OSError:
        with suppress(OSError):
            os.unlink(written)
        return False
    return True
