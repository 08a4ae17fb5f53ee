"""What lies in model folders in place of a model, and in files in place of their content: named, with what to do."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.safetensors import check_safetensors
from specmemo_chat.errors import Flag, ModelError

AGAIN = "download or export the model again"
_LFS, _WEB = b"version https://git-lfs", (b"<", b"\xef\xbb\xbf<")
# Read by transformers beside config.json; each may be missing.
_JSON_FILES = (
    "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "model.safetensors.index.json", "pytorch_model.bin.index.json",
)  # fmt: skip
_OTHER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
# Weights that other programs read: a pattern, and what it is called.
_FOREIGN = (
    ("*.onnx", "ONNX"), ("onnx/*.onnx", "ONNX"), ("*.npz", "MLX"), ("tf_model.h5", "TensorFlow"),
    ("flax_model.msgpack", "Flax"), ("consolidated*", "the publisher's own"), ("model_index.json", "diffusers"),
    ("*.engine", "TensorRT"), ("*.pte", "ExecuTorch"), ("*.tflite", "TensorFlow Lite"),
)  # fmt: skip


def unreadable(file: Path, error: OSError) -> ModelError:
    """The error for a file that the system does not let us read."""
    if isinstance(error, PermissionError):
        return ModelError(f"{file} cannot be read: permission denied", f"chmod +r {file}, or run as its owner")
    return ModelError(f"{file} cannot be read: {error.strerror or error}", AGAIN)


def check_content(file: Path) -> bytes:
    """The first bytes of `file`. Raises ModelError where something else stands there: nothing, a git-lfs pointer, a web
    page, GGUF weights under another name."""
    try:
        with file.open("rb") as stream:
            start = stream.read(64)
    except OSError as error:
        raise unreadable(file, error) from error
    if not start.strip():
        raise ModelError(f"{file} is empty" if not start else f"{file} holds nothing but blanks", AGAIN)
    if start.startswith(_LFS):
        raise ModelError(
            f"{file} is a git-lfs pointer: the file itself was never downloaded", f"run git lfs pull in {file.parent}"
        )
    if start.lstrip().startswith(_WEB) and file.suffix not in (".jinja", ".txt"):
        raise ModelError(
            f"{file} holds a web page: what was saved is an error or a login in place of the file",
            "download the model again; a gated one needs hf auth login first",
        )
    if start.startswith(b"GGUF") and file.suffix != ".gguf":
        raise ModelError(f"{file} holds GGUF weights under another name", Flag("--model", str(file)))
    return start


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in `file`. Raises FileNotFoundError where there is no file, ModelError where it holds none."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(file, error) from error
    except (ValueError, RecursionError) as error:
        check_content(file)
        raise ModelError(f"{file} is no JSON: {error}", AGAIN) from error
    if not isinstance(values, dict):
        raise ModelError(f"{file} is not a JSON object", AGAIN)
    return values


def check_folder(folder: Path) -> None:
    """Raise ModelError for the first file of a model that is there and cannot be used: which one, and what to do.

    Files that are missing are no concern of this: a plan needs only the config. Weights are read no further than their
    headers.
    """
    check_kind(folder)
    for name in _JSON_FILES:
        if (folder / name).exists():
            read_object(folder / name)
    _check_end_tokens(folder)
    for name in _OTHER_FILES:
        if (folder / name).exists():
            check_content(folder / name)
    for template in [*folder.glob("chat_template*"), *folder.glob("additional_chat_templates/*")]:
        check_content(template)
        try:
            template.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{template} is no text in UTF-8: {error}", AGAIN) from error
    if (folder / "tokenizer.json").exists():
        _check_end(folder / "tokenizer.json")
    for file in weight_files(folder):
        start = check_content(file)
        if file.suffix == ".safetensors":
            check_safetensors(file)
        elif start.startswith(b"PK") and not zipfile.is_zipfile(file):
            raise ModelError(f"{file} is truncated: its table of contents is missing", "download the model again")


def check_kind(folder: Path) -> None:
    """Raise ModelError where `folder` holds something else than a model of Hugging Face: an adapter, another program's
    weights, nothing."""
    try:
        names = set(os.listdir(folder))
    except OSError as error:
        raise unreadable(folder, error) from error
    if any(weight_files(folder)):
        return
    adapter = folder / "adapter_config.json"
    if "adapter_config.json" in names:
        base = read_object(adapter).get("base_model_name_or_path") or "its base model"
        raise ModelError(
            f"{folder} is an adapter (LoRA) for {base}, not a model",
            "merge it (peft: model.merge_and_unload().save_pretrained(FOLDER), and the tokenizer beside it) and give "
            "that folder",
        )
    gguf = next(folder.glob("*.gguf"), None)
    if gguf is not None:
        raise ModelError(f"{folder} holds GGUF weights: such a model is one file", Flag("--model", str(gguf)))
    for pattern, program in _FOREIGN:
        found = next(folder.glob(pattern), None)
        if found is not None:
            raise ModelError(
                f"{folder} holds weights in {program} form ({found.relative_to(folder)}), and specmemo reads "
                "safetensors",
                "give the model in the form of Hugging Face's transformers",
            )
    if not names:
        raise ModelError(f"{folder} is empty", "give the folder that holds config.json, the weights and the tokenizer")
    shards = sorted(name for name in names if name.endswith((".safetensors", ".bin")) and "-of-" in name)
    if shards and not any(name.endswith(".index.json") for name in names):
        single = "model.safetensors" if shards[0].endswith(".safetensors") else "pytorch_model.bin"
        raise ModelError(f"{folder} holds {shards[0]} but no {single}.index.json", "copy or download it again")


def weight_files(folder: Path) -> Iterator[Path]:
    """The weight files that are there: those of an index, or the single one; safetensors before pickled ones."""
    for single in ("model.safetensors", "pytorch_model.bin"):
        found = [folder / name for name in shards_of(folder / f"{single}.index.json")] or [folder / single]
        present = [file for file in found if os.path.lexists(file)]
        if present:
            yield from present
            return


def shards_of(index: Path) -> list[str]:
    """The names of the files that an index lists; none where there is no index. Raises ModelError for a broken one."""
    try:
        listed = read_object(index).get("weight_map")
    except FileNotFoundError:
        return []
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise ModelError(f"{index} has no usable weight_map", AGAIN)
    return sorted(set(listed.values()))


def _check_end_tokens(folder: Path) -> None:
    for file in (folder / "generation_config.json", folder / "config.json"):
        ids = read_object(file).get("eos_token_id") if file.exists() else None
        found = ids if isinstance(ids, list) else [ids]
        if ids is not None and not all(isinstance(each, int) and not isinstance(each, bool) for each in found):
            raise ModelError(f"{file} has an unusable eos_token_id: {ids!r}", AGAIN)


def _check_end(file: Path) -> None:
    """A tokenizer's file takes long to read whole: only whether it begins and ends as an object does."""
    with file.open("rb") as stream:
        start = stream.read(64).lstrip()
        stream.seek(max(0, file.stat().st_size - 64))
        if not start.startswith((b"{", b"\xef\xbb\xbf{")) or not stream.read().rstrip().endswith(b"}"):
            raise ModelError(f"{file} is no JSON object, or truncated", "download the model again")
