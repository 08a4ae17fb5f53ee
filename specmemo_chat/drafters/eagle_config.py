"""What a draft head's config.json says, in every published form of it. Needs no torch.

Known are the flat configs of SafeAILab/EAGLE (EAGLE-1, -2 and -3), of AngelSlim and SpecForge, and the nested one of
vLLM's speculators (`transformer_layer_config`), with EAGLE-3.1's switches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from specmemo_chat.catalog.damage import check_content
from specmemo_chat.errors import ModelError

HeadKind = Literal["eagle", "eagle3"]

ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh")
# Our own key: `pairing.weights_hash` of the target that the head was trained for.
TARGET_HASH = "target_hash"


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: `kind` default, linear or llama3 (Llama 3.1's, with its four numbers)."""

    theta: float = 10000.0
    kind: Literal["default", "linear", "llama3"] = "default"
    factor: float = 1.0
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True)
class HeadConfig:
    """The shape of a head. `hidden` is its own width, `target_hidden` the width of the features that it reads.

    `vocab` is the target's vocabulary, `draft_vocab` the head's own (EAGLE-1: the same). `features` are the hidden
    states of the target that it reads, None where the config leaves that to the convention (`feature_layers`).
    `norm_before_residual`, `norm_before_fc`, `fc_norm` and `norm_output` are EAGLE-3's variants.
    """

    kind: HeadKind
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    draft_vocab: int
    target_hidden: int
    eps: float = 1e-6
    activation: str = "silu"
    rope: Rope = field(default_factory=Rope)
    fc_bias: bool = False
    qkv_bias: bool = False
    features: tuple[int, ...] | None = None
    norm_before_residual: bool = False
    norm_before_fc: bool = False
    fc_norm: bool = False
    norm_output: bool = False
    target_hash: str = ""
    max_context: int = 2048

    def feature_layers(self, target_layers: int) -> tuple[int, ...]:
        """Which hidden states of a target with `target_layers` layers the head reads, as transformers numbers them.

        EAGLE-1: the last, after the final norm. EAGLE-3: what its config names, else 2, n // 2 and n - 3.
        """
        if self.kind == "eagle":
            return (target_layers,)
        return self.features if self.features is not None else (2, target_layers // 2, target_layers - 3)

    @property
    def feature_count(self) -> int:
        """How many hidden states it reads for each token."""
        return len(self.features or (0, 0, 0)) if self.kind == "eagle3" else 1

    @property
    def q_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim


def read_config(folder: Path) -> HeadConfig:
    """The head's config in `folder`. Raises ModelError for one that is missing, unreadable or of an unknown kind."""
    file = folder / "config.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", "download the draft head again") from error
    except ValueError as error:
        check_content(file)
        raise ModelError(f"{file} is not JSON: {error}", "download the draft head again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{file} holds no JSON object", "download the draft head again")
    try:
        return parse(values)
    except KeyError as error:
        raise ModelError(f"{file} has no {error.args[0]!r}: it is not a draft head's config") from error
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ModelError(f"{file} holds a value that makes no sense: {error}") from error
    except ModelError as error:
        raise ModelError(f"{file}: {error.message}", *error.remedies) from error


def draft_kind(values: Mapping[str, Any]) -> Literal["eagle", "eagle3", "model"]:
    """What a draft's config.json describes: EAGLE-3 says so; a single layer is an EAGLE-1 or -2 head, more a model."""
    names = [str(name) for name in values.get("architectures") or ()]
    if (
        values.get("speculators_model_type") == "eagle3"
        or any("eagle3" in name.lower() for name in names)
        or "draft_vocab_size" in values
    ):
        return "eagle3"
    if any("eagle" in name.lower() for name in names) or values.get("num_hidden_layers") == 1:
        return "eagle"
    return "model"


def parse(values: Mapping[str, Any]) -> HeadConfig:
    """The HeadConfig of a config.json's `values`. Raises KeyError for a missing key, ModelError for what this version
    does not run."""
    kind = draft_kind(values)
    if kind == "model":
        raise ModelError("it describes a whole model and no draft head", "give the folder of a draft head")
    layer: Mapping[str, Any] = values.get("transformer_layer_config") or values
    _refuse_unknown(values, layer)
    hidden, heads = int(layer["hidden_size"]), int(layer["num_attention_heads"])
    vocab = int(layer["vocab_size"])
    return HeadConfig(
        kind=kind,
        hidden=hidden,
        intermediate=int(layer["intermediate_size"]),
        heads=heads,
        kv_heads=int(layer.get("num_key_value_heads") or heads),
        head_dim=int(layer.get("head_dim") or hidden // heads),
        vocab=vocab,
        draft_vocab=int(values.get("draft_vocab_size") or vocab) if kind == "eagle3" else vocab,
        # The lm_head that an EAGLE-1 head's states go into is the target's: its width is the target's own.
        target_hidden=int(values.get("target_hidden_size") or hidden) if kind == "eagle3" else hidden,
        eps=float(layer.get("rms_norm_eps", 1e-6)),
        activation=str(layer.get("hidden_act", "silu")),
        rope=_rope(layer),
        fc_bias=kind == "eagle" and bool(values.get("bias", True)),
        qkv_bias=bool(layer.get("qkv_bias", layer.get("attention_bias", False))),
        features=_features(values) if kind == "eagle3" else None,
        norm_before_residual=bool(values.get("norm_before_residual", False)),
        norm_before_fc=bool(_eagle_value(values, "norm_before_fc", False)),
        fc_norm=bool(_eagle_value(values, "fc_norm", False)),
        norm_output=bool(_eagle_value(values, "norm_output", False)),
        target_hash=str(values.get(TARGET_HASH, "")),
        max_context=int(layer.get("max_position_embeddings") or 2048),
    )


def as_json(config: HeadConfig) -> dict[str, Any]:
    """The flat config.json of `config` in the layout of the EAGLE authors, as vLLM and SGLang read it."""
    values: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM" if config.kind == "eagle" else "LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "num_hidden_layers": 1,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab,
        "rms_norm_eps": config.eps,
        "hidden_act": config.activation,
        "attention_bias": config.qkv_bias,
        "rope_theta": config.rope.theta,
        "max_position_embeddings": config.max_context,
        "tie_word_embeddings": False,
    }
    if config.rope.kind != "default":
        values["rope_scaling"] = _rope_scaling(config.rope)
    if config.kind == "eagle":
        values["bias"] = config.fc_bias
        values["qkv_bias"] = config.qkv_bias
    else:
        values["draft_vocab_size"] = config.draft_vocab
        if config.target_hidden != config.hidden:
            values["target_hidden_size"] = config.target_hidden
        if config.features is not None:
            # vLLM reads the first and counts as transformers does; SGLang reads the second and counts outputs of
            # layers, one less.
            values["eagle_aux_hidden_state_layer_ids"] = list(config.features)
            values["eagle_config"] = {"eagle_aux_hidden_state_layer_ids": [index - 1 for index in config.features]}
        for name in ("norm_before_residual", "norm_before_fc", "fc_norm", "norm_output"):
            if getattr(config, name):
                values[name] = True
    if config.target_hash:
        values[TARGET_HASH] = config.target_hash
    return values


def _refuse_unknown(values: Mapping[str, Any], layer: Mapping[str, Any]) -> None:
    """Raise ModelError for what would silently give other numbers here."""
    layers = int(layer.get("num_hidden_layers", 1))
    if layers != 1:
        raise ModelError(f"the head has {layers} layers: heads of one layer are supported")
    if layer.get("model_type", "llama") not in ("llama", "qwen2", "qwen3", "mistral"):
        raise ModelError(f"heads with a layer of the type {layer['model_type']!r} are not supported")
    activation = layer.get("hidden_act", "silu")
    if activation not in ACTIVATIONS:
        raise ModelError(f"the activation {activation!r} is not supported (known: {', '.join(ACTIVATIONS)})")
    if "sliding_attention" in (layer.get("layer_types") or ()):
        raise ModelError("heads with sliding-window attention are not supported")
    if _eagle_value(values, "norm_before_fc", False) and _eagle_value(values, "fc_norm", False):
        raise ModelError("norm_before_fc and fc_norm exclude each other")


def _eagle_value(values: Mapping[str, Any], name: str, default: Any) -> Any:
    """A switch at the top or (NVIDIA's heads) in `eagle_config`."""
    nested = values.get("eagle_config") or {}
    return values.get(name, nested.get(name, default))


def _features(values: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Which hidden states a config names. vLLM's key at the top counts as transformers does (the input of layer i);
    SGLang's, within `eagle_config`, counts outputs of layers: one more here."""
    ids = values.get("eagle_aux_hidden_state_layer_ids")
    if ids:
        return tuple(int(index) for index in ids)
    nested = (values.get("eagle_config") or {}).get("eagle_aux_hidden_state_layer_ids")
    if nested:
        return tuple(int(index) + 1 for index in nested)
    return None


def _rope(layer: Mapping[str, Any]) -> Rope:
    """Older configs have `rope_theta` and `rope_scaling`, newer ones `rope_parameters` with both."""
    scaling: Mapping[str, Any] = layer.get("rope_parameters") or layer.get("rope_scaling") or {}
    theta = float(scaling.get("rope_theta") or layer.get("rope_theta") or 10000.0)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return Rope(theta)
    if kind == "linear":
        return Rope(theta, "linear", float(scaling["factor"]))
    if kind == "llama3":
        return Rope(
            theta,
            "llama3",
            float(scaling["factor"]),
            float(scaling["low_freq_factor"]),
            float(scaling["high_freq_factor"]),
            int(scaling["original_max_position_embeddings"]),
        )
    raise ModelError(f"the position embedding {kind!r} is not supported (known: default, linear, llama3)")


def _rope_scaling(rope: Rope) -> dict[str, Any]:
    values: dict[str, Any] = {"rope_type": rope.kind, "factor": rope.factor}
    if rope.kind == "llama3":
        values["low_freq_factor"] = rope.low_frequency
        values["high_freq_factor"] = rope.high_frequency
        values["original_max_position_embeddings"] = rope.original_context
    return values
