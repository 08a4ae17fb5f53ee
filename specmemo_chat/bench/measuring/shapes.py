"""Models and heads of a given shape with random weights, made on the fly: nothing is downloaded or kept."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from specmemo_chat.drafters.eagle_config import HeadConfig
from specmemo_chat.drafters.eagle_format import required
from specmemo_chat.drafters.eagle_head import EagleHead
from specmemo_chat.errors import UsageError
from specmemo_chat.models import attention
from specmemo_chat.models.loading import MODEL_CLASSES
from specmemo_chat.models.target import Target

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SPREAD = 0.02
# Scaled so, a random head is sure of its first guess at every level, and its tree grows as deep as it is let: where it
# were in doubt the tree would settle early, and cost less than a trained head's.
_SHARPNESS = 1000.0


def random_model(config: dict[str, Any], dtype: str, device: str, seed: int) -> Any:
    """A causal LM of transformers with this config.json, its weights normal with `seed`. Raises UsageError for an
    architecture or precision without random weights."""
    model_type = str(config.get("model_type", ""))
    if model_type not in MODEL_CLASSES:
        raise UsageError(
            f"the architecture {model_type or 'without a name'!r} is not supported",
            f"supported are {', '.join(MODEL_CLASSES)}",
        )
    if dtype not in DTYPES:
        raise UsageError(f"a random shape cannot be made in {dtype}", f"give --dtype {', '.join(DTYPES)}")
    module, name = MODEL_CLASSES[model_type]
    model_class = getattr(importlib.import_module(module), name)
    configuration = model_class.config_class(**{**config, "torch_dtype": None})
    attention.register()
    with torch.device("meta"):
        model = model_class(configuration).to(DTYPES[dtype])
    model.to_empty(device=device)
    # The rotary table is no parameter: it is computed, in fp32, not drawn.
    with torch.device(device):
        model.model.rotary_emb = type(model.model.rotary_emb)(config=configuration)
    model.tie_weights()
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, _SPREAD, generator=generator)
            else:
                # One-dimensional are norms' scales and biases.
                parameter.fill_(1.0)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model.eval()


class RandomHead(EagleHead):
    """A head whose weights were drawn: it costs what a trained one costs, and its guesses mean nothing."""

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """EagleHead.logits of an EAGLE-1 head's states made sure."""
        return super().logits(states * _SHARPNESS if self.config.kind == "eagle" else states)


def random_head(config: HeadConfig, target: Target, dtype: str, seed: int) -> RandomHead:
    """A head of this shape beside `target`, its weights normal with `seed`."""
    generator = torch.Generator(target.device).manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in required(config).items():
        if name == "d2t":
            tensors[name] = torch.zeros(shape, dtype=torch.int64, device=target.device)
            continue
        tensor = torch.empty(shape, dtype=DTYPES[dtype], device=target.device)
        if "norm" in name:
            tensor.fill_(1.0)
        elif name == "lm_head.weight":
            tensor.normal_(0.0, _SHARPNESS * _SPREAD, generator=generator)
        else:
            # So wide that states keep their size from level to level.
            tensor.normal_(0.0, shape[-1] ** -0.5, generator=generator)
        tensors[name] = tensor
    return RandomHead(config, tensors, target)
