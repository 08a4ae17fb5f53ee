"""A ModelSpec from a model's `config.json`. Nothing of torch or transformers is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.damage import check_folder, check_kind, read_object, weight_files
from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.catalog.gguf_config import config_of
from specmemo_chat.catalog.gguf_tensors import check_tensors, own_precision
from specmemo_chat.catalog.rotary import check_rotation
from specmemo_chat.catalog.safetensors import has_own_output
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.errors import ModelError, UsageError

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "gemma")

WEIGHT_SUFFIXES = (".safetensors", ".bin")


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, or what the metadata of the GGUF file `folder` amount to. Raises ModelError where there
    is none or it cannot be read."""
    if folder.is_file():
        return config_of(read_gguf(folder))
    try:
        return read_object(folder / "config.json")
    except FileNotFoundError:
        check_kind(folder)
        raise ModelError(
            f"{folder} is not a model: it has no config.json",
            "give the folder that holds config.json, the weights and the tokenizer",
        ) from None


def spec_from_folder(name: str, folder: Path, *, any_architecture: bool = False) -> ModelSpec:
    """The spec of a local model, with the size of its weight files, and with its output matrix where they hold one.
    `folder` may be a GGUF file.

    Raises as `spec_from_config`, `check_folder` and `check_tensors` do.
    """
    if folder.is_file():
        return _spec_from_gguf(name, folder)
    config = read_config(folder)
    for file in ("quantize_config.json", "quant_config.json"):
        if (folder / file).exists():
            config.setdefault("quantization_config", read_object(folder / file))
    spec = spec_from_config(name, str(folder), config, any_architecture=any_architecture)
    check_folder(folder)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES and path.is_file())
    tied = spec.tied_embeddings and not has_own_output(weight_files(folder))
    return replace(spec, checkpoint_bytes=size, tied_embeddings=tied)


def _spec_from_gguf(name: str, file: Path) -> ModelSpec:
    """Vocabularies are not read: a plan needs their size only."""
    model = read_gguf(file, words=False)
    config = config_of(model)
    check_tensors(model, config)
    spec = spec_from_config(name, str(file), config)
    return replace(spec, checkpoint_bytes=model.nbytes, own_precision=own_precision(model))


def spec_from_file(path: Path, *, any_architecture: bool = False) -> ModelSpec:
    """The spec of a config file alone: enough for a plan, not for a chat."""
    return spec_from_config(str(path), str(path.parent), read_object(path), any_architecture=any_architecture)


def spec_from_config(
    name: str, location: str, config: Mapping[str, Any], *, any_architecture: bool = False
) -> ModelSpec:
    """The spec that a config describes. `any_architecture`: an unknown one is taken to be shaped like Llama
    (`--trust-remote-code`).

    Raises UsageError for an architecture or a weight format that is not supported, ModelError for a config without the
    sizes a plan needs.
    """
    model_type = str(config.get("model_type", ""))
    if model_type not in SUPPORTED and not any_architecture:
        more = " (it reads images or sound too)" if "text_config" in config or "vision_config" in config else ""
        raise UsageError(
            f"{name} has the architecture {model_type or 'without a name'!r}{more}, which is not supported",
            f"supported are {', '.join(SUPPORTED)}",
        )
    # MLX writes "quantization".
    quantization = config.get("quantization_config") or config.get("compression_config") or config.get("quantization")
    if quantization:
        values = quantization if isinstance(quantization, dict) else {}
        bits = f"{values['bits']} bits" if "bits" in values else "unknown"
        method = values.get("quant_method", bits)
        raise UsageError(
            f"the weights of {name} are stored quantised ({method}), which is not supported",
            "give the model's unquantised weights",
        )
    heads = _size(config, "num_attention_heads", name)
    hidden = _size(config, "hidden_size", name)
    head_dim = config.get("head_dim") or hidden // heads
    layers = _size(config, "num_hidden_layers", name)
    if model_type in SUPPORTED:
        check_rotation(name, config, int(head_dim))
    # Mistral's projections have no biases, whatever its config says.
    attention_bias = bool(config.get("attention_bias", False)) and model_type != "mistral"
    window, marks = _sliding(config, model_type, layers)
    return ModelSpec(
        name=name,
        location=location,
        model_type=model_type,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(head_dim),
        intermediate=_size(config, "intermediate_size", name),
        vocab=_size(config, "vocab_size", name),
        max_context=_size(config, "max_position_embeddings", name),
        # Gemma ties its embeddings unless its config says otherwise; the others do not.
        tied_embeddings=bool(config.get("tie_word_embeddings", model_type == "gemma")),
        qkv_bias=attention_bias or model_type == "qwen2",
        o_bias=attention_bias and model_type != "qwen2",
        mlp_bias=bool(config.get("mlp_bias", False)) and model_type == "llama",
        qk_norm=model_type == "qwen3",
        sliding_window=window,
        sliding_layers=marks,
    )


def _size(config: Mapping[str, Any], key: str, name: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ModelError(
            f"the config.json of {name} has no usable {key!r} ({value!r})", "download or export the model again"
        )
    return value


def _sliding(config: Mapping[str, Any], model_type: str, layers: int) -> tuple[int, tuple[bool, ...]]:
    """(window, which layers slide); (0, ()) where every layer sees the whole context."""
    window = config.get("sliding_window")
    if not isinstance(window, int) or window <= 0 or model_type not in ("mistral", "qwen2", "qwen3"):
        return 0, ()
    if model_type == "mistral":
        return window, (True,) * layers
    if not config.get("use_sliding_window", False):
        return 0, ()
    types = config.get("layer_types")
    if isinstance(types, list) and len(types) == layers:
        marks = tuple(kind == "sliding_attention" for kind in types)
    else:
        first = int(config.get("max_window_layers", 28))
        marks = tuple(index >= first for index in range(layers))
    return (window, marks) if any(marks) else (0, ())
