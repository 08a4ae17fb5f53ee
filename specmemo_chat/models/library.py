"""Models by transformers' own classes, for architectures without an own module (`--trust-remote-code`), and whatever
tests compare with."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from specmemo_chat.errors import Flag, UsageError
from specmemo_chat.models import attention
from specmemo_chat.models.matrices.choice import COMPUTED


def load_library_model(location: str, *, dtype: str, device: str) -> Any:
    """The causal LM in the folder `location`, whose code its publisher wrote, on `device` in `dtype`. Raises UsageError
    for packed weights."""
    from transformers import AutoModelForCausalLM

    if dtype not in COMPUTED:
        raise UsageError(f"a model by its publisher's code runs in {', '.join(COMPUTED)} only", Flag("--dtype", "bf16"))
    attention.register()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(
            location,
            dtype=COMPUTED[dtype],
            attn_implementation=attention.NAME,
            local_files_only=True,
            low_cpu_mem_usage=True,
            trust_remote_code=True,
        )
    if type(model.lm_head) is nn.Linear:
        model.lm_head.__class__ = FlatLinear
    return model.to(device).eval()


class FlatLinear(nn.Linear):
    """A linear layer of rows behind each other: of a slice of three dimensions torch multiplies by a copy of the whole
    matrix, in bf16 on a CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., in] to [.., out]."""
        return super().forward(x.flatten(0, -2)).view(*x.shape[:-1], -1)


def eos_of(model: Any) -> frozenset[int]:
    """Every end token of the generation config, or else of the config."""
    for config in (model.generation_config, model.config):
        ids = getattr(config, "eos_token_id", None) if config is not None else None
        if ids is not None:
            return frozenset([ids] if isinstance(ids, int) else ids)
    return frozenset()
