"""What a config says about rotary embeddings: a rotation that cannot be run is refused before anything loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specmemo_chat.errors import ModelError, UsageError

# Every type that the supported architectures know, with the numbers that it cannot do without.
KINDS: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": (),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "proportional": (),
}


def check_rotation(name: str, config: Mapping[str, Any], head_dim: int) -> None:
    """Raise UsageError for a rotation that is not known, or turns a part of each head where the architecture turns
    whole ones; ModelError where its numbers are missing or do not fit heads of `head_dim`."""
    # Newer configs have `rope_parameters`, older ones `rope_scaling`, which transformers takes first.
    values = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(values, dict):
        raise _unusable(name, f"{values!r} is no object")
    kind = values.get("rope_type", values.get("type", "default"))
    if kind not in KINDS:
        raise UsageError(
            f"{name} has the rotary embedding {kind!r}, which is not supported", f"known are {', '.join(KINDS)}"
        )
    for key in KINDS[kind]:
        if not _is_positive(values.get(key)):
            raise _unusable(name, f"{key} is {values.get(key)!r}")
    if kind == "longrope":
        for key in ("short_factor", "long_factor"):
            factors = values.get(key)
            if not isinstance(factors, list) or len(factors) != head_dim // 2 or not all(map(_is_positive, factors)):
                raise _unusable(name, f"{key} is no list of {head_dim // 2} numbers")
    if kind not in ("default", "proportional") and values.get("partial_rotary_factor", 1) != 1:
        raise UsageError(
            f"{name} turns a part of each head only ({kind}), which its architecture cannot",
            "give a model without partial_rotary_factor",
        )


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _unusable(name: str, what: str) -> ModelError:
    return ModelError(
        f"the config.json of {name} has unusable rope_parameters: {what}", "download or export the model again"
    )
