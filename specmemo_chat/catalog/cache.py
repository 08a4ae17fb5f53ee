"""What the hub's cache on this machine already holds. Only looks; never uses the network."""

from __future__ import annotations

from pathlib import Path

from specmemo_chat.catalog.aliases import BUNDLED_FOLDER, CatalogEntry
from specmemo_chat.catalog.damage import shards_of
from specmemo_chat.catalog.gguf_files import all_parts, chosen, models_among, quantisation, split_id
from specmemo_chat.errors import ModelError

WEIGHT_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def cache_root() -> Path:
    """The folder that huggingface_hub downloads into (HF_HUB_CACHE, HF_HOME)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repository_folder(hub_id: str) -> Path:
    """Where the cache keeps the repository of `hub_id`; the folder need not exist."""
    return cache_root() / f"models--{split_id(hub_id)[0].replace('/', '--')}"


def cached_repositories() -> list[str]:
    """Hub ids of every model that was ever downloaded, complete or not."""
    folders = sorted(cache_root().glob("models--*"))
    return [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders if folder.is_dir()]


def cached_snapshot(hub_id: str) -> Path | None:
    """The snapshot that `main` points to, complete or not; None where nothing was ever downloaded."""
    repository = repository_folder(hub_id)
    try:
        commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = repository / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def cached_model(hub_id: str, *, tokenizer: bool = True) -> Path | None:
    """The cached snapshot with config, tokenizer and every weight file, else None. Draft heads have no tokenizer. Of
    "owner/name:Q4_K_M", and of a repository with one GGUF model in place of all that, the first file of the model."""
    folder = cached_snapshot(hub_id)
    if folder is None:
        return None
    tag = split_id(hub_id)[1]
    return folder if not tag and not missing_files(folder, tokenizer=tokenizer) else _cached_gguf(folder, tag)


def cached_gguf(hub_id: str) -> dict[str, Path]:
    """The complete GGUF models that the cache holds of a repository: the hub ids by which each is asked for, and its
    first file."""
    folder, repository = cached_snapshot(hub_id), split_id(hub_id)[0]
    names = models_among(_gguf_names(folder)) if folder is not None else []
    tags = {name: quantisation(name) for name in names}
    found = {f"{repository}:{tag if list(tags.values()).count(tag) == 1 else name}": name for name, tag in tags.items()}
    return {key: folder / name for key, name in found.items() if folder is not None and _is_whole(folder, name)}


def _cached_gguf(folder: Path, tag: str) -> Path | None:
    try:
        name = chosen((name for name in _gguf_names(folder) if _is_whole(folder, name)), tag, str(folder))
    except ModelError:
        return None
    return folder / name


def _gguf_names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.gguf")]


def _is_whole(folder: Path, name: str) -> bool:
    return all((folder / part).is_file() for part in all_parts(name))


def draft_at_hand(entry: CatalogEntry) -> str | None:
    """What `--draft` would be given for the model's own head: the one in the box, or its published one where the cache
    holds it whole; None where neither is on this machine."""
    if entry.bundled:
        head = BUNDLED_FOLDER / "head"
        return str(head) if not missing_files(head, tokenizer=False) else None
    return entry.draft if entry.draft and cached_model(entry.draft, tokenizer=False) is not None else None


def missing_files(folder: Path, *, tokenizer: bool = True) -> list[str]:
    """Names of the files that a complete model still lacks in `folder`."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if tokenizer and not any((folder / name).is_file() for name in TOKENIZER_FILES):
        missing.append(TOKENIZER_FILES[0])
    if any((folder / name).is_file() for name in WEIGHT_FILES):
        return missing
    for name in WEIGHT_INDEXES:
        if (folder / name).is_file():
            try:
                shards = shards_of(folder / name)
            except ModelError:
                shards = [f"a readable {name}"]
            return missing + [shard for shard in shards if not (folder / shard).is_file()]
    return [*missing, WEIGHT_FILES[0]]
