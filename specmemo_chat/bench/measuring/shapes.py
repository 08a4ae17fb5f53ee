"""Models and heads of a given shape with random weights, made on the fly: nothing is downloaded or kept."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from specmemo_chat.drafters.eagle_config import HeadConfig
from specmemo_chat.drafters.eagle_format import required
from specmemo_chat.drafters.eagle_head import EagleHead
from specmemo_chat.errors import UsageError
from specmemo_chat.models.llama.config import FAMILIES
from specmemo_chat.models.llama.drawn import DrawnWeights
from specmemo_chat.models.matrices.choice import COMPUTED
from specmemo_chat.models.target import Target

_SPREAD = 0.02
# Scaled so, a random head is sure of its first guess at every level, and its tree grows as deep as it is let: where it
# were in doubt the tree would settle early, and cost less than a trained head's.
_SHARPNESS = 1000.0


def library_class(model_type: str) -> Any:
    """transformers' causal LM of a supported family. Raises UsageError for another."""
    if model_type not in FAMILIES:
        raise UsageError(
            f"transformers' methods are not compared for the architecture {model_type or 'without a name'!r}",
            f"known are {', '.join(FAMILIES)}",
        )
    module = importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    return getattr(module, f"{model_type.title()}ForCausalLM")


def random_twin(config: dict[str, Any], dtype: str, device: str, seed: int) -> Any:
    """transformers' causal LM with this config.json and the weights that `drawn_model` draws with `seed`. Raises
    UsageError for an architecture or precision without random weights."""
    model_class = library_class(str(config.get("model_type", "")))
    if dtype not in COMPUTED:
        raise UsageError(f"a random shape cannot be made in {dtype}", f"give --dtype {', '.join(COMPUTED)}")
    configuration = model_class.config_class(**{**config, "torch_dtype": None})
    with torch.device("meta"):
        model = model_class(configuration).to(COMPUTED[dtype])
    model.to_empty(device=device)
    # The rotary table is no parameter: it is computed, in fp32, not drawn.
    with torch.device(device):
        model.model.rotary_emb = type(model.model.rotary_emb)(config=configuration)
    model.tie_weights()
    weights = DrawnWeights(config, seed, torch.device(device))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights.read(name))
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
        tensor = torch.empty(shape, dtype=COMPUTED.get(dtype, target.dtype), device=target.device)
        if "norm" in name:
            tensor.fill_(1.0)
        elif name == "lm_head.weight":
            tensor.normal_(0.0, _SHARPNESS * _SPREAD, generator=generator)
        else:
            # So wide that states keep their size from level to level.
            tensor.normal_(0.0, shape[-1] ** -0.5, generator=generator)
        tensors[name] = tensor
    return RandomHead(config, tensors, target, dtype)
