"""What the catalog and the planner can say of a model in a few words, and the next step that they advise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from specmemo_chat.catalog.aliases import BUNDLED_FOLDER, CatalogEntry, find_alias, load_catalog
from specmemo_chat.catalog.cache import cached_model
from specmemo_chat.catalog.inventory import download_bytes
from specmemo_chat.memory.contract import Plan
from specmemo_chat.setup.planning import DRAFTS, PlanContext
from specmemo_chat.sizes import format_size


def head_kind(entry: CatalogEntry) -> str:
    """The kind of the entry's published draft head."""
    return "EAGLE-3" if "eagle3" in entry.draft.lower() or "draft_vocab_size" in entry.draft_config else "EAGLE"


def facts(entry: CatalogEntry) -> list[str]:
    """Gate, download, head."""
    if entry.bundled:
        return ["in the box"]
    words = ["gated" if entry.gated else "no gate"]
    if cached_model(entry.hub_id) is not None:
        words.append("downloaded")
    else:
        words.append(f"{format_size(download_bytes(entry))} to download")
    if entry.draft:
        words.append(f"{head_kind(entry)} head known")
    return words


def draft_name(draft: str) -> str:
    """A plan's draft for people: the head in the box is known by what it is, not by where it lies."""
    return "the head in the box" if Path(draft).is_relative_to(BUNDLED_FOLDER) else draft


def in_short(entry: CatalogEntry) -> str:
    """For completion: no look at the disk."""
    words = ["in the box" if entry.bundled else "gated" if entry.gated else "no gate"]
    return ", ".join(words + ([f"{head_kind(entry)} head"] if entry.draft else []))


def next_step(place: PlanContext, plan: Plan, asked_draft: str) -> str | None:
    """What to try next, computed from catalog and planner: the model's own known head, else (on the bundled model)
    another model without a gate that fits. None where nothing is better than what runs."""
    current = find_alias(plan.model)
    if current is not None and current.draft and plan.draft is None and asked_draft == "auto":
        return f"/draft {current.draft}: its {head_kind(current)} head, downloaded and planned first"
    if current is None or not current.bundled:
        return None
    entry = _next_model(place)
    if entry is None:
        return None
    gate, download, *head = facts(entry)
    return f"/model {entry.name}: {', '.join([gate, 'fits', *head, download])}"


def _next_model(place: PlanContext) -> CatalogEntry | None:
    """The catalog model without a gate that fits here with the same request: one with a head before others, what is
    downloaded before what is not; the smallest on a processor, where size costs the most time, else the largest."""
    if place.request.draft not in DRAFTS:
        place = replace(place, request=replace(place.request, draft="auto", head=None))
    found = [
        entry
        for entry in load_catalog().values()
        if not entry.bundled and not entry.gated and entry.template and place.fits(entry)
    ]
    if place.offline:
        found = [entry for entry in found if cached_model(entry.hub_id) is not None]
    sign = 1 if place.device.kind == "cpu" else -1
    found.sort(key=lambda entry: (not entry.draft, cached_model(entry.hub_id) is None, sign * entry.spec().parameters))
    return found[0] if found else None
