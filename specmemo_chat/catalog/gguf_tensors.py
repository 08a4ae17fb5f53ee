"""The tensors of a GGUF model by transformers' names: which there must be, of what shape, and what types are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from specmemo_chat.catalog.damage import AGAIN
from specmemo_chat.catalog.gguf import GgufFile
from specmemo_chat.errors import ModelError, UsageError

# Of less than 4 bits: rounded to q4.
LOW = ("Q2_K", "Q3_K")
# On the grid of q4: a code of 4 bits, a scale and a minimum for 32 values.
FOUR_BIT = ("Q4_0", "Q4_1", "Q4_K")
EIGHT_BIT = ("Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "IQ4_XS")
FLOATS = ("F32", "F16", "BF16")
READ = (*FLOATS, *LOW, *FOUR_BIT, *EIGHT_BIT)
_WHOLE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
_LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
# Read into the config, or computed.
_OF_CONFIG = re.compile(r"rope_(freqs|factors_long|factors_short)\.weight|blk\.\d+\.attn_rot_embd(\.weight)?")
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)")


def hf_name(name: str) -> str | None:
    """The parameter of transformers' model that the tensor `name` holds, None where it is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    layer, kind, part = match.groups()
    found = _WHOLE.get(kind) if layer is None else _LAYER.get(kind)
    prefix = "" if layer is None else f"model.layers.{int(layer)}."
    return f"{prefix}{found}.{part}" if found else None


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors that a model of `config` consists of, by GGUF's names, with their shapes."""
    hidden, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (hidden,), "ffn_norm.weight": (hidden,), "attn_q.weight": (q, hidden),
        "attn_k.weight": (kv, hidden), "attn_v.weight": (kv, hidden), "attn_output.weight": (hidden, q),
        "ffn_gate.weight": (inner, hidden), "ffn_up.weight": (inner, hidden), "ffn_down.weight": (hidden, inner),
    }  # fmt: skip
    kind = config["model_type"]
    if kind == "qwen3":
        layer |= {"attn_q_norm.weight": (dim,), "attn_k_norm.weight": (dim,)}
    if config["attention_bias"] or kind == "qwen2":
        layer |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
    if config["attention_bias"] and kind != "qwen2":
        layer["attn_output.bias"] = (hidden,)
    if config["mlp_bias"]:
        layer |= {"ffn_gate.bias": (inner,), "ffn_up.bias": (inner,), "ffn_down.bias": (hidden,)}
    found: dict[str, tuple[int, ...]] = {
        f"blk.{index}.{name}": shape for index in range(config["num_hidden_layers"]) for name, shape in layer.items()
    }
    found |= {"token_embd.weight": (config["vocab_size"], hidden), "output_norm.weight": (hidden,)}
    return found if config["tie_word_embeddings"] else {**found, "output.weight": (config["vocab_size"], hidden)}


def check_tensors(model: GgufFile, config: Mapping[str, Any]) -> None:
    """Raise ModelError for a tensor that is missing or of another shape, UsageError for one of a type that is not read
    or that belongs to another architecture; each is named."""
    file, expected = model.files[0], shapes(config)
    for name, shape in expected.items():
        info = model.tensors.get(name)
        if info is None:
            raise ModelError(f"{file} lacks the tensor {name}", AGAIN)
        if info.shape != shape:
            raise ModelError(
                f"{info.file} is corrupt: the tensor {name} has the shape {info.shape}, not {shape}", AGAIN
            )
        if info.type not in READ:
            raise UsageError(
                f"{info.file} is quantised as {info.type} (the tensor {name}), which is not supported",
                f"read are {', '.join(READ)}: of the usual names Q4_0, Q4_K_M, Q5_K_M, Q6_K, Q8_0, BF16",
            )
    extra = next((name for name in model.tensors if name not in expected and not _OF_CONFIG.fullmatch(name)), None)
    if extra is not None:
        raise UsageError(
            f"{file} has the tensor {extra}, for which {config['model_type']} as it runs here has no place",
            "give a model of the plain architecture",
        )


def named_precision(quantisation: str) -> str | None:
    """What `own_precision` will be of a file of this name; None where it holds types that are not read."""
    name = quantisation.removeprefix("UD-")
    if name.endswith(("F16", "F32")):
        return ""
    if name in READ or name.startswith(("Q2_K_", "Q3_K_", "Q4_K_", "Q5_K_")):
        return "q4" if name.startswith(("Q2_", "Q3_", "Q4_")) else "q8"
    return None


def own_precision(model: GgufFile) -> str:
    """ "q8" or "q4", as which most values of the layers' matrices are packed; "" where they are floating."""
    counts: Counter[str] = Counter()
    for name, info in model.tensors.items():
        if name.startswith("blk.") and len(info.shape) == 2:
            kind = "q4" if info.type in (*LOW, *FOUR_BIT) else "" if info.type in FLOATS else "q8"
            counts[kind] += info.shape[0] * info.shape[1]
    if counts[""] >= counts["q4"] + counts["q8"]:
        return ""
    return "q4" if counts["q4"] >= counts["q8"] else "q8"
