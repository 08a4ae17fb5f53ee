"""GGUF files of tiny models, written by the gguf package as llama.cpp's converter does it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.tiny import POCKET

Kind = gguf.GGMLQuantizationType
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma"}
_ARCH = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}


def stored_names(model: Any) -> dict[str, tuple[str, np.ndarray]]:
    """The tensors of `model`, by transformers' names: GGUF's name and the values as they are stored, fp32."""
    config = model.config
    names = gguf.get_tensor_name_map(_ARCH[ARCHITECTURES[config.model_type]], config.num_hidden_layers)
    found = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = value.detach().float().cpu().numpy()
        if config.model_type in ("llama", "mistral"):
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
            for part, count in heads.items():
                if f".{part}." in name:
                    # LlamaModel.permute of convert_hf_to_gguf.py.
                    rows = values.reshape(count, 2, values.shape[0] // count // 2, *values.shape[1:])
                    values = rows.swapaxes(1, 2).reshape(values.shape)
        if config.model_type == "gemma" and name.endswith("norm.weight"):
            values = values + 1
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert there is not None, name
        found[name] = (there, np.ascontiguousarray(values))
    return found


def write_gguf(
    path: Path,
    model: Any,
    *,
    kind: Kind | Callable[[str], Kind] = Kind.F32,
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> Path:
    """`model` in a file: matrices in the type `kind`, or what it says of a name; Pocket's tokenizer; more `keys` (None
    leaves one out) and fp32 `tensors`."""
    config, more = model.config, dict(keys or {})
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type], **options)
    values: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(config.rope_parameters["rope_theta"]),
    }
    arch = ARCHITECTURES[config.model_type]
    add_tokenizer(writer)
    for name, value in {**{f"{arch}.{key}": value for key, value in values.items()}, **more}.items():
        add_key(writer, name, value)
    for name, (there, stored) in stored_names(model).items():
        wanted = kind if isinstance(kind, Kind) else kind(name)
        if stored.ndim == 1 or wanted == Kind.F32:
            writer.add_tensor(there, stored)
        else:
            writer.add_tensor(there, gguf.quantize(stored, wanted), raw_dtype=wanted)
    for name, extra in (tensors or {}).items():
        writer.add_tensor(name, extra)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_key(writer: gguf.GGUFWriter, name: str, value: Any) -> None:
    if value is None:
        return
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    add.get(type(value), writer.add_array)(name, value)


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Pocket's words; its pre-tokenizer has no name there, so texts are divided as GPT-2 does."""
    values = json.loads((POCKET / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((POCKET / "tokenizer_config.json").read_text(encoding="utf-8"))
    words = {token: text for text, token in values["model"]["vocab"].items()}
    special = {entry["id"]: entry["content"] for entry in values["added_tokens"]}
    words.update(special)
    count = max(words) + 1
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([words.get(token, f"[{token}]") for token in range(count)])
    writer.add_token_types([3 if token in special else 1 for token in range(count)])
    writer.add_token_merges([" ".join(pair) for pair in values["model"]["merges"]])
    ids = {text: token for token, text in special.items()}
    writer.add_eos_token_id(ids[config["eos_token"]])
    writer.add_pad_token_id(ids[config["pad_token"]])
    writer.add_add_bos_token(False)
    writer.add_chat_template(config["chat_template"])
