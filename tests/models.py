"""Factories of tiny models, plans and engines."""

from __future__ import annotations

import importlib
import os
from typing import Any

import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.terms import Terms
from specmemo_chat.models import attention
from specmemo_chat.models.checkpoint import HeldWeights
from specmemo_chat.models.llama.config import FAMILIES, config_of_values
from specmemo_chat.models.llama.load import load_llama
from specmemo_chat.models.llama.model import LlamaModel
from specmemo_chat.models.matrices.choice import COMPUTED
from specmemo_chat.models.parallel import Share
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings

ARCHITECTURES = FAMILIES
VOCABULARY = 60
# Tests of models, arena, drafters and engine run anywhere: tests/gpu runs them on a GPU.
DEVICE = os.environ.get("SPECMEMO_TEST_DEVICE", "cpu")

_SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    # Wide weights: the distributions are far from uniform, so that near-ties are rare.
    "initializer_range": 0.3,
}


def random_model(model_type: str, **changes: Any) -> Any:
    """A tiny causal LM of `model_type` with fixed random weights, fp32, run by our attention."""
    attention.register()
    package = importlib.import_module(f"transformers.models.{model_type}")
    name = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma": "Gemma"}[model_type]
    # A window shorter than the texts of the tests: masks per layer matter.
    own = {"sliding_window": 24} if model_type == "mistral" else {}
    config = getattr(package, f"{name}Config")(**{**_SHAPE, **own, **changes})
    torch.manual_seed(7)
    model = getattr(package, f"{name}ForCausalLM")(config).eval().to(DEVICE)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def own(model: Any, fmt: str = "") -> LlamaModel:
    """Our own module with the weights of `model`, transformers' causal LM, in the format `fmt` ("": as they are)."""
    dtype = next(name for name, each in COMPUTED.items() if each == model.dtype)
    # The values that transformers' model runs by, whatever it has defaults for.
    values = {**model.config.to_dict(), "sliding_window": getattr(model.config, "sliding_window", None)}
    loaded, unused = load_llama(
        config_of_values(values),
        HeldWeights({name: parameter.detach().clone() for name, parameter in model.named_parameters()}),
        fmt=fmt or dtype,
        compute=model.dtype,
        device=model.device,
        share=Share(0, 1),
    )
    assert not unused
    return loaded


def target_of(model: Any, eos: frozenset[int] = frozenset()) -> Target:
    if not isinstance(model, LlamaModel):
        model.set_attn_implementation(attention.NAME)
    return Target(model, eos)


def tiny_plan(**changes: Any) -> Plan:
    """A plan with small steps, so that growth and several chunks happen in short texts."""
    fields: dict[str, Any] = {
        "model": "tiny",
        "target": "tiny",
        "device": DEVICE,
        "graphs": DEVICE.startswith("cuda"),
        "dtype": "fp32",
        "context_tokens": 256,
        "cap_bytes": 0,
        "terms": Terms(),
        "growth_tokens": 32,
        "prefill_chunk": 7,
        "node_buckets": (1, 2, 4, 8, 16, 32),
    }
    return Plan(**{**fields, **changes})


def generate(
    target: Target,
    prompt: list[int],
    settings: GenerationSettings,
    drafter: Drafter | None = None,
    *,
    adaptive: bool = False,
    **plan: Any,
) -> list[int]:
    """The new tokens of one sequence; the arena is checked after every step."""
    engine = Engine(target, drafter, tiny_plan(**plan), adaptive=adaptive)
    sequence = engine.open(prompt, settings)
    while sequence.finished is None:
        engine.step([sequence])
        engine.arena.check_integrity()
    return sequence.tokens[len(prompt) :]


def prompts(count: int, seed: int = 0, shortest: int = 3, longest: int = 30) -> list[list[int]]:
    """Random prompts in which pieces come again, so that the n-gram drafter has something to propose."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    texts = []
    for _ in range(count):
        piece = [number(0, VOCABULARY - 1) for _ in range(number(2, 5))]
        text = [number(0, VOCABULARY - 1) for _ in range(number(shortest, longest))]
        texts.append(piece + text + piece)
    return texts
