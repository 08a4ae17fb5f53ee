"""A tiny random chat model as files, with the bundled model's tokenizer and template."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.models import random_model

POCKET = Path(__file__).parents[1] / "specmemo_chat" / "pocket"
TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 2048,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "eos_token_id": 4,
    "pad_token_id": 0,
}


def looping_model(**changes: Any) -> Any:
    """A model whose every token depends on the one before alone: greedy, its texts run in a circle soon."""
    model = random_model("llama", **changes)
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data.zero_()
    return model


def save_tiny(folder: Path, *, loops: bool = False) -> Path:
    """Write the model into `folder`: it babbles, and does so quickly."""
    model = looping_model(**TINY) if loops else random_model("llama", **TINY)
    model.generation_config.eos_token_id = 4
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(POCKET / name, folder / name)
    return folder
