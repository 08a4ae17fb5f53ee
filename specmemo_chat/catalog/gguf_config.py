"""The config.json that a GGUF file's metadata and tensors amount to: the same keys as transformers' own."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.damage import AGAIN
from specmemo_chat.catalog.gguf import GgufFile, Words, read_gguf
from specmemo_chat.catalog.gguf_tokens import END_TEXTS, check_kind, special_id
from specmemo_chat.errors import ModelError, UsageError

# Mistral's models are stored as llama.
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma")
# Keys of an architecture that change its numbers, with the values at which they change nothing.
_NEUTRAL: dict[str, tuple[float, ...]] = {
    "expert_count": (0,), "logit_scale": (0, 1), "embedding_scale": (0, 1), "residual_scale": (0, 1),
    "attention.output_scale": (0, 1), "attention.clamp_kqv": (0,), "attention.max_alibi_bias": (0,),
    "attention.causal": (1,), "attention.temperature_scale": (0,), "attention.temperature_length": (0,),
    "attention.shared_kv_layers": (0,), "attn_logit_softcapping": (0,), "final_logit_softcapping": (0,),
    "use_parallel_residual": (0,), "nextn_predict_layers": (0,), "rope.scaling.yarn_ext_factor": (-1, 1),
    "rope.scaling.yarn_log_multiplier": (0,), "rope.scaling.alpha": (0,), "rope.dimension_sections": (),
}  # fmt: skip
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def read_gguf_config(path: Path) -> dict[str, Any]:
    """The config of the model in the file `path`, as far as it is known without the vocabulary: end tokens that only
    their text tells are left out. Raises as `read_gguf` and `config_of` do."""
    return config_of(read_gguf(path, words=False))


def config_of(model: GgufFile) -> dict[str, Any]:
    """The config.json of `model`. Raises UsageError for an architecture or a key that is not supported, ModelError for
    metadata that are missing or make no sense; the key is named."""
    return _Keys(model).config()


class _Keys:
    """The metadata of one model, by the names of its architecture."""

    def __init__(self, model: GgufFile) -> None:
        self._model, self._file = model, model.files[0]
        self._arch = self._text("general.architecture")
        if self._arch not in ARCHITECTURES:
            raise UsageError(
                f"{self._file} has the architecture {self._arch!r} (general.architecture), which is not supported",
                f"supported are {', '.join(ARCHITECTURES)} (mistral is stored as llama)",
            )
        check_kind(model.metadata, self._file)
        for name, neutral in _NEUTRAL.items():
            value = model.metadata.get(f"{self._arch}.{name}")
            if value is not None and value not in neutral:
                raise self._unsupported(name, value)

    def config(self) -> dict[str, Any]:
        embedding = self._model.tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            raise ModelError(f"{self._file} has no embedding (the tensor token_embd.weight)", AGAIN)
        vocab, hidden = embedding.shape
        if self._size("embedding_length") != hidden:
            raise ModelError(
                f"{self._file} is corrupt: {self._arch}.embedding_length is {self._size('embedding_length')}, and rows "
                f"of the tensor token_embd.weight have {hidden} values", AGAIN,
            )  # fmt: skip
        heads = self._size("attention.head_count")
        head_dim = self._size("attention.key_length", hidden // heads)
        for name in ("attention.value_length", "rope.dimension_count"):
            if self._size(name, head_dim) != head_dim:
                raise self._unsupported(name, self._size(name), f"with heads of {head_dim} values")
        scale = self._number("attention.scale", 0.0)
        if scale and not math.isclose(scale, head_dim**-0.5, rel_tol=1e-5):
            raise self._unsupported("attention.scale", scale)
        values: dict[str, Any] = {
            "model_type": self._arch,
            "hidden_size": hidden,
            "num_hidden_layers": self._size("block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self._size("attention.head_count_kv", heads),
            "head_dim": head_dim,
            "intermediate_size": self._size("feed_forward_length"),
            "vocab_size": vocab,
            "max_position_embeddings": self._size("context_length"),
            "rms_norm_eps": self._number("attention.layer_norm_rms_epsilon", 1e-5),
            "rope_theta": self._number("rope.freq_base", 10000.0),
            "tie_word_embeddings": "output.weight" not in self._model.tensors,
            "attention_bias": "blk.0.attn_q.bias" in self._model.tensors,
            "mlp_bias": "blk.0.ffn_gate.bias" in self._model.tensors,
            "hidden_act": "silu",
            "eos_token_id": self._ends(vocab),
        }
        bos = self._model.metadata.get("tokenizer.ggml.bos_token_id")
        if isinstance(bos, int) and bos < vocab:
            values["bos_token_id"] = bos
        if self._arch == "gemma":
            values |= {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"}
        rotation = self._rotation(values)
        if rotation:
            values["rope_scaling"] = rotation
        window = self._size("attention.sliding_window", 0, least=0)
        if 0 < window < values["max_position_embeddings"]:
            if self._arch != "llama" or values["attention_bias"] or values["mlp_bias"]:
                raise self._unsupported("attention.sliding_window", window)
            values |= {"model_type": "mistral", "sliding_window": window}
        return values

    def _rotation(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """transformers' `rope_scaling`; empty for plain rotations."""
        kind = self._model.metadata.get(f"{self._arch}.rope.scaling.type", "none")
        scale = self._number("rope.scale_linear", 0.0)
        factor = self._number("rope.scaling.factor", scale or 1.0)
        context = values["max_position_embeddings"]
        original = self._size("rope.scaling.original_context_length", context)
        amplitude = self._number("rope.scaling.attn_factor", 1.0)
        half = values["head_dim"] // 2
        factors = self._floats("rope_freqs.weight", half)
        long, short = self._floats("rope_factors_long.weight", half), self._floats("rope_factors_short.weight", half)
        if kind == "longrope" or long or short:
            if not long or not short:
                raise ModelError(f"{self._file} lacks the tensors rope_factors_long and rope_factors_short", AGAIN)
            return {
                "rope_type": "longrope", "long_factor": long, "short_factor": short, "attention_factor": amplitude,
                "original_max_position_embeddings": original, "factor": factor,
            }  # fmt: skip
        if factors:
            if kind not in ("none", "linear") or factor != 1 or amplitude != 1:
                raise self._unsupported("rope.scaling.type", kind, "with the tensor rope_freqs.weight")
            return _as_llama3(factors, values["rope_theta"]) or {
                "rope_type": "longrope", "long_factor": factors, "short_factor": factors, "attention_factor": 1.0,
                "original_max_position_embeddings": context,
            }  # fmt: skip
        if kind == "yarn":
            amplitude *= self._number("rope.scaling.yarn_attn_factor", 1.0)
            betas = {
                f"beta_{end}": self._number(f"rope.scaling.yarn_beta_{end}", usual)
                for end, usual in (("fast", 32.0), ("slow", 1.0))
            }
            own = {"attention_factor": amplitude * (0.1 * math.log(factor) + 1)} if amplitude != 1 else {}
            found = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original}
            return {**found, **betas, **own}
        if kind not in ("none", "linear"):
            raise self._unsupported("rope.scaling.type", kind)
        linear = factor != 1 and (kind == "linear" or bool(scale))
        return {"rope_type": "linear", "factor": factor} if linear else {}

    def _floats(self, name: str, count: int) -> list[float]:
        """The values of a small tensor; none where it is not there."""
        info = self._model.tensors.get(name)
        if info is None:
            return []
        if info.type != "F32" or info.shape != (count,):
            raise ModelError(f"{self._file} is corrupt: the tensor {name} is no list of {count} numbers", AGAIN)
        with info.file.open("rb") as stream:
            stream.seek(info.offset)
            found = list(struct.unpack(f"<{count}f", stream.read(info.nbytes)))
        if not all(math.isfinite(value) and value > 0 for value in found):
            raise ModelError(f"{self._file} is corrupt: the tensor {name} holds numbers that divide nothing", AGAIN)
        return found

    def _ends(self, vocab: int) -> list[int]:
        """Every token that ends a reply, that of the metadata first."""
        words = self._model.metadata.get("tokenizer.ggml.tokens", ())
        named = [special_id(self._model.metadata, name) for name in ("eos", "eot", "eom")]
        texts: Sequence[str] = () if isinstance(words, Words) else words
        found = [*named, *(index for index, text in enumerate(texts) if text in END_TEXTS)]
        return list(dict.fromkeys(token for token in found if isinstance(token, int) and 0 <= token < vocab))

    def _text(self, key: str) -> str:
        value = self._model.metadata.get(key)
        if not isinstance(value, str):
            raise self._unusable(key, value)
        return value

    def _size(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        key = f"{self._arch}.{name}"
        value = self._model.metadata.get(key, default)
        if isinstance(value, array | list) and len(set(value)) == 1:
            # One number a layer.
            value = value[0]
        if isinstance(value, array | list):
            raise UsageError(f"{self._file} has layers that differ ({key}), which is not supported", _OTHER)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._unusable(key, value)
        return value

    def _number(self, name: str, default: float) -> float:
        key = f"{self._arch}.{name}"
        value = self._model.metadata.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
            raise self._unusable(key, value)
        return _short(float(value))

    def _unusable(self, key: str, value: Any) -> ModelError:
        what = "is missing" if value is None else f"is {str(value)[:40]!r}"
        return ModelError(f"{self._file} has no usable metadata: {key} {what}", AGAIN)

    def _unsupported(self, name: str, value: Any, more: str = "") -> UsageError:
        said = f"{self._arch}.{name} = {str(value)[:40]}"
        return UsageError(f"{self._file} has {said}{' ' * bool(more)}{more}, which is not supported", _OTHER)


_OTHER = f"give a model of the plain architectures {', '.join(ARCHITECTURES)}"


def _short(value: float) -> float:
    """The shortest decimal number that is `value` in fp32: 1e-05 for 9.999999747378752e-06."""
    for digits in range(6, 10):
        shorter = float(f"{value:.{digits}g}")
        if struct.pack("<f", shorter) == struct.pack("<f", value):
            return shorter
    return value


def _as_llama3(factors: Sequence[float], theta: float) -> dict[str, Any]:
    """Llama 3's own rotation where its formula gives these `factors`; else empty."""
    values: dict[str, Any] = {"rope_type": "llama3", "factor": _short(max(factors)), **_LLAMA3}
    low, high, context = _LLAMA3.values()
    for index, found in enumerate(factors):
        length = 2 * math.pi * theta ** (index / len(factors))
        smooth = min(1.0, max(0.0, (context / length - low) / (high - low)))
        if not math.isclose(found, 1 / ((1 - smooth) / values["factor"] + smooth), rel_tol=1e-4):
            return {}
    return values
