"""What a Llama-like model's config.json says, under transformers' names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.errors import ModelError, UsageError

# Families whose attention, MLP and norm are those of Llama: with biases, with query and key norms, or (Gemma) with
# norms around 1 and scaled embeddings.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma")
_SILU = ("silu", "swish")
ACTIVATIONS = (*_SILU, "gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


@dataclass(frozen=True)
class LlamaConfig:
    """The shape of a model (`spec`) and what a plan does not need to know. `values`: all of config.json."""

    spec: ModelSpec
    values: Mapping[str, Any] = field(repr=False)

    @property
    def hidden_size(self) -> int:
        return self.spec.hidden

    @property
    def num_hidden_layers(self) -> int:
        return self.spec.layers

    @property
    def num_attention_heads(self) -> int:
        return self.spec.heads

    @property
    def num_key_value_heads(self) -> int:
        return self.spec.kv_heads

    @property
    def head_dim(self) -> int:
        return self.spec.head_dim

    @property
    def vocab_size(self) -> int:
        return self.spec.vocab

    @property
    def max_position_embeddings(self) -> int:
        return self.spec.max_context

    @property
    def tie_word_embeddings(self) -> bool:
        return self.spec.tied_embeddings

    @property
    def sliding_window(self) -> int | None:
        """In tokens, of the layers that slide; None where none does."""
        return self.spec.sliding_window or None

    @property
    def layer_types(self) -> list[str] | None:
        """Of each layer; None where all are alike."""
        marks = self.spec.sliding_layers
        if not marks or all(marks):
            return None
        return ["sliding_attention" if slides else "full_attention" for slides in marks]

    @property
    def eps(self) -> float:
        """Of the norms."""
        return float(self.values.get("rms_norm_eps", 1e-6))

    @property
    def activation(self) -> str:
        """Of the MLP; "silu" for every name of it."""
        name = self.values.get("hidden_act", "gelu_pytorch_tanh" if self._is_gemma else "silu")
        if self._is_gemma and name == "gelu":
            # What its first releases call the approximation.
            return "gelu_pytorch_tanh"
        return "silu" if name in _SILU else name

    @property
    def _is_gemma(self) -> bool:
        return self.spec.model_type == "gemma"

    @property
    def norm_offset(self) -> float:
        """What is added to the weights of norms."""
        return 1.0 if self._is_gemma else 0.0

    @property
    def embedding_scale(self) -> float:
        """What embeddings are multiplied by."""
        return self.spec.hidden**0.5 if self._is_gemma else 1.0

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every end token."""
        ids = self.values.get("eos_token_id")
        return frozenset() if ids is None else frozenset([ids] if isinstance(ids, int) else ids)

    @property
    def rope(self) -> dict[str, Any]:
        """Type, theta and numbers of the rotary embedding."""
        values = dict(self.values.get("rope_scaling") or self.values.get("rope_parameters") or {})
        values["rope_type"] = values.get("rope_type", values.get("type", "default"))
        values.setdefault("rope_theta", self.values.get("rope_theta", 10000.0))
        original = self.values.get("original_max_position_embeddings")
        if original is not None:
            values["original_max_position_embeddings"] = original
        values.setdefault("original_max_position_embeddings", self.max_position_embeddings)
        return values

    def to_dict(self) -> dict[str, Any]:
        """All of config.json."""
        return dict(self.values)


def llama_config(spec: ModelSpec, values: Mapping[str, Any]) -> LlamaConfig:
    """The config of the model `spec`, whose config.json has the `values`. Raises UsageError for an activation that is
    not known, ModelError for numbers that cannot be used."""
    config = LlamaConfig(spec, values)
    if config.activation not in ACTIVATIONS:
        raise UsageError(
            f"{spec.name} has the activation {config.activation!r}, which is not supported",
            f"known are {', '.join(ACTIVATIONS)}",
        )
    eps = values.get("rms_norm_eps", 1e-6)
    if isinstance(eps, bool) or not isinstance(eps, int | float) or eps < 0:
        raise ModelError(f"the config.json of {spec.name} has no usable 'rms_norm_eps' ({eps!r})", "download it again")
    return config


def config_of_values(values: Mapping[str, Any], **changes: Any) -> LlamaConfig:
    """The config of a model that is in no folder: `changes` of the spec that `values` describe."""
    spec = dataclasses.replace(spec_from_config(str(values.get("model_type")), "", values), **changes)
    return llama_config(spec, values)
