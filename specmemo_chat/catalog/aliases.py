"""The catalog of models with a short name (models.toml)."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.config import spec_from_config, spec_from_folder
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.errors import Flag, ModelError

BUNDLED = "pocket"
BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / BUNDLED


@dataclass(frozen=True)
class CatalogEntry:
    """One model of the catalog. `draft` is the hub id of a published draft head, "" where none is known, and
    `draft_config` what its config says beyond the model's own, empty where that is not known. `template` is False where
    the model comes without a chat template."""

    name: str
    hub_id: str
    licence: str
    gated: bool
    draft: str = ""
    draft_config: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    bundled: bool = False
    template: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, name: str | None = None) -> ModelSpec:
        """The model's shape; `name` is what the user typed. Raises ModelError where the bundled model is missing."""
        if self.bundled:
            return spec_from_folder(name or self.name, bundled_folder())
        return spec_from_config(name or self.name, self.hub_id, self.config)

    @property
    def page(self) -> str:
        """The model's page on the hub."""
        return f"https://huggingface.co/{self.hub_id}"


def bundled_folder() -> Path:
    """Where the model in the box lies. Raises ModelError where this installation came without it."""
    if not (BUNDLED_FOLDER / "config.json").is_file():
        raise ModelError(
            f"the bundled model is missing from {BUNDLED_FOLDER}",
            "install specmemo again",
            Flag("--model", "NAME", "for another model"),
        )
    return BUNDLED_FOLDER


@functools.cache
def load_catalog() -> dict[str, CatalogEntry]:
    """All entries by name, in the order of the file."""
    text = resources.files("specmemo_chat.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    return {name: _entry(name, values) for name, values in tomllib.loads(text).items()}


def _entry(name: str, values: dict[str, Any]) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        hub_id=values["id"],
        licence=values["licence"],
        gated=values["gated"],
        draft=values.get("draft", ""),
        draft_config=values.get("draft_config", {}),
        also=tuple(values.get("also", ())),
        bundled=values.get("bundled", False),
        template=values.get("template", True),
        config=values.get("config", {}),
    )


def find_alias(name: str) -> CatalogEntry | None:
    """The entry with this name, also-name or hub id, whatever its case; None where there is none."""
    wanted = name.lower()
    for entry in load_catalog().values():
        if wanted in (entry.name, *entry.also) or (entry.hub_id and wanted == entry.hub_id.lower()):
            return entry
    return None


def close_names(name: str) -> list[str]:
    """Catalog names that look like `name`, the nearest first."""
    names = [known for entry in load_catalog().values() for known in (entry.name, *entry.also)]
    return difflib.get_close_matches(name.lower().rsplit("/", 1)[-1], names, n=3, cutoff=0.5)
