"""The draft that `--draft ID_OR_PATH` names, as a plan needs it: its shape, from its config alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.aliases import CatalogEntry, load_catalog
from specmemo_chat.catalog.cache import cached_model, cached_snapshot
from specmemo_chat.catalog.config import read_config, spec_from_config, spec_from_folder
from specmemo_chat.catalog.download import remote_config
from specmemo_chat.catalog.resolve import ModelSource, resolve
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.drafters.eagle_config import draft_kind, parse
from specmemo_chat.errors import Flag, ModelError, UsageError, Words
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.memory.drafts import DraftShape, head_shape

# What a draft can be.
KNOWN = "give auto, none, ngram, a folder with a head, or owner/name"


def find_draft(name: str, target: ModelSpec, dtype: Dtype, *, offline: bool) -> DraftShape:
    """The shape of the draft `name` for `target`, in `dtype`. Nothing but a config is downloaded.

    Raises ModelError where it is not known or cannot be read, UsageError where it drafts for another model.
    """
    try:
        source = resolve(name)
    except ModelError as error:
        raise ModelError(error.message, KNOWN) from error
    if source.entry is not None:
        spec = source.entry.spec(name)
        return _checked(DraftShape("model", spec, dtype), target)
    location, values = _config(source, offline)
    if draft_kind(values) == "model":
        folder = _folder(source)
        spec = spec_from_folder(name, folder) if folder is not None else spec_from_config(name, location, values)
        return _checked(DraftShape("model", replace(spec, location=location), dtype), target)
    try:
        return _checked(head_shape(parse(values), location, dtype), target)
    except ModelError as error:
        raise ModelError(f"the draft {name}: {error.message}", *error.remedies) from error
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"the draft {name}: its config.json is no draft head's: {error!r}") from error


def _config(source: ModelSource, offline: bool) -> tuple[str, Mapping[str, Any]]:
    """Where the draft is, and what its config says: its own file, else what the catalog knows of a published head."""
    hub_id = source.hub_id or source.name
    folder = _folder(source)
    if folder is not None:
        return str(source.folder or hub_id), read_config(folder)
    for entry in load_catalog().values():
        if entry.draft.lower() == hub_id.lower() and entry.draft_config:
            return hub_id, published_head(entry)
    if offline:
        raise ModelError(
            f"the draft {hub_id} is not on this machine, and the network must not be used (offline)",
            Words("run once without --offline", f"in a shell: specmemo models pull {hub_id}"),
            "give the folder of a draft that is here",
        )
    with remote_config(source) as config:
        return hub_id, read_config(config)


def _folder(source: ModelSource) -> Path | None:
    """Where its config lies on this machine, None where it does not."""
    if source.folder is not None:
        return source.folder
    hub_id = source.hub_id or source.name
    if source.repository != hub_id:
        return cached_model(hub_id)
    snapshot = cached_snapshot(hub_id)
    return snapshot if snapshot is not None and (snapshot / "config.json").is_file() else None


def published_head(entry: CatalogEntry) -> Mapping[str, Any]:
    """The config of the entry's published head: one layer of the target's own shape, and what the catalog adds."""
    return {**entry.config, "num_hidden_layers": 1, **entry.draft_config}


def _checked(draft: DraftShape, target: ModelSpec) -> DraftShape:
    """Raise UsageError where the draft cannot draft for `target`."""
    head = draft.kind != "model"
    if head and draft.target_hidden != target.hidden:
        raise UsageError(
            f"the draft {draft.spec.name} reads hidden states of {draft.target_hidden} values, and {target.name} has "
            f"{target.hidden}",
            "give a head that was trained for this model",
            Flag("--draft", "ngram"),
        )
    if head and draft.spec.vocab != target.vocab:
        raise UsageError(
            f"the draft {draft.spec.name} has a vocabulary of {draft.spec.vocab} tokens, and {target.name} has "
            f"{target.vocab}",
            "give a draft with the same tokenizer",
            Flag("--draft", "ngram"),
        )
    return draft
