"""Draft heads with random weights, written by hand in each published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.models import VOCABULARY

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS = 64, 80, 4, 2


def _tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        # Norms around one, matrices wide enough for distributions far from uniform.
        tensors[name] = 1 + 0.2 * values if name.endswith("norm.weight") or "fc_norm" in name else 0.12 * values
    return tensors


def _layer(prefix: str, wide: int, head_dim: int, qkv_bias: bool) -> dict[str, tuple[int, ...]]:
    q, kv = HEADS * head_dim, KV_HEADS * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        prefix + "self_attn.q_proj.weight": (q, wide),
        prefix + "self_attn.k_proj.weight": (kv, wide),
        prefix + "self_attn.v_proj.weight": (kv, wide),
        prefix + "self_attn.o_proj.weight": (HIDDEN, q),
        prefix + "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
        prefix + "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
        prefix + "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        prefix + "post_attention_layernorm.weight": (HIDDEN,),
    }
    if qkv_bias:
        shapes |= {prefix + f"self_attn.{name}_proj.bias": (size,) for name, size in (("q", q), ("k", kv), ("v", kv))}
    return shapes


def layer_config(head_dim: int | None = None, vocab: int = VOCABULARY) -> dict[str, Any]:
    values: dict[str, Any] = {
        "model_type": "llama",
        "num_hidden_layers": 1,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": vocab,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
    }
    if head_dim is not None:
        values["head_dim"] = head_dim
    return values


def write_eagle(
    folder: Path, *, bias: bool = True, qkv_bias: bool = False, pickled: bool = True, seed: int = 1
) -> dict[str, torch.Tensor]:
    """An EAGLE-1 head as its authors publish it; returns its tensors."""
    shapes = _layer("layers.0.", HIDDEN, HIDDEN // HEADS, qkv_bias)
    shapes |= {"fc.weight": (HIDDEN, 2 * HIDDEN), "embed_tokens.weight": (VOCABULARY, HIDDEN)}
    if bias:
        shapes["fc.bias"] = (HIDDEN,)
    tensors = _tensors(shapes, seed)
    config = {"architectures": ["LlamaForCausalLM"], **layer_config()}
    if not bias:
        config["bias"] = False
    if qkv_bias:
        config["qkv_bias"] = True
    save(folder, config, tensors, pickled)
    return tensors


def write_eagle3(
    folder: Path,
    *,
    vocab: int = VOCABULARY,
    draft_vocab: int = 0,
    head_dim: int = HIDDEN // HEADS,
    target_hidden: int = HIDDEN,
    layers: tuple[int, ...] = (0, 1, 2),
    layout: str = "eagle",
    prefix: str = "",
    seed: int = 2,
    **switches: bool,
) -> dict[str, torch.Tensor]:
    """An EAGLE-3 head in the layout "eagle" or "speculators"; returns its tensors under the authors' names."""
    count = len(layers)
    draft_vocab = draft_vocab or vocab
    shapes = _layer("midlayer.", 2 * HIDDEN, head_dim, False)
    shapes |= {
        "midlayer.hidden_norm.weight": (HIDDEN,),
        "midlayer.input_layernorm.weight": (HIDDEN,),
        "norm.weight": (HIDDEN,),
        "fc.weight": (HIDDEN, count * target_hidden),
        "lm_head.weight": (draft_vocab, HIDDEN),
    }
    if switches.get("norm_before_fc"):
        shapes["input_norm.weight"] = (count * target_hidden,)
    if switches.get("fc_norm"):
        shapes |= {f"fc_norm.{index}.weight": (target_hidden,) for index in range(count)}
    if target_hidden != HIDDEN:
        shapes["embed_tokens.weight"] = (vocab, HIDDEN)
    tensors = _tensors(shapes, seed)
    if draft_vocab != vocab:
        chosen = torch.randperm(vocab, generator=torch.Generator().manual_seed(seed))[:draft_vocab].sort().values
        tensors["d2t"] = chosen - torch.arange(draft_vocab)
        tensors["t2d"] = torch.zeros(vocab, dtype=torch.bool).index_fill(0, chosen, True)
    config: dict[str, Any] = {"architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": draft_vocab, **switches}
    if target_hidden != HIDDEN:
        config["target_hidden_size"] = target_hidden
    written = {prefix + name: tensor for name, tensor in tensors.items()}
    if layout == "eagle":
        config |= layer_config(head_dim, vocab)
        # SGLang's key counts outputs of layers.
        config["eagle_config"] = {"eagle_aux_hidden_state_layer_ids": [index - 1 for index in layers]}
    else:
        config |= {
            "architectures": ["Eagle3Speculator"],
            "speculators_model_type": "eagle3",
            "eagle_aux_hidden_state_layer_ids": list(layers),
            "transformer_layer_config": layer_config(head_dim, vocab),
        }
        written = {name.replace("midlayer.", "layers.0."): tensor for name, tensor in written.items()}
    save(folder, config, written, pickled=False)
    return tensors


def save(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor], pickled: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
