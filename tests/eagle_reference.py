"""Draft heads written plainly: one vector and one head at a time, after the papers, sharing nothing with the code."""

from __future__ import annotations

import math
from typing import Any

import torch

from tests.heads import HEADS, KV_HEADS


def norm(vector: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return vector / math.sqrt(float((vector * vector).mean()) + 1e-5) * weight


def turned(vector: torch.Tensor, position: int) -> torch.Tensor:
    half = len(vector) // 2
    out = vector.clone()
    for pair in range(half):
        angle = position * 10000.0 ** (-2 * pair / len(vector))
        first, second = vector[pair], vector[pair + half]
        out[pair] = first * math.cos(angle) - second * math.sin(angle)
        out[pair + half] = second * math.cos(angle) + first * math.sin(angle)
    return out


def layer_outputs(
    weights: dict[str, torch.Tensor], prefix: str, inputs: list[torch.Tensor], residuals: list[torch.Tensor]
) -> torch.Tensor:
    """The decoder layer after its input norms, for the last of the positions."""

    def project(name: str, vector: torch.Tensor) -> torch.Tensor:
        out = weights[f"{prefix}self_attn.{name}_proj.weight"] @ vector
        return out + weights.get(f"{prefix}self_attn.{name}_proj.bias", torch.zeros(()))

    head_dim = len(weights[prefix + "self_attn.q_proj.weight"]) // HEADS
    at = len(inputs) - 1
    parts = []
    for head in range(HEADS):
        group = head // (HEADS // KV_HEADS)
        query = turned(project("q", inputs[at])[head * head_dim : (head + 1) * head_dim], at)
        own = slice(group * head_dim, (group + 1) * head_dim)
        keys = [turned(project("k", vector)[own], position) for position, vector in enumerate(inputs)]
        weight = torch.tensor([float(query @ key) / math.sqrt(head_dim) for key in keys]).softmax(0)
        parts.append(sum(share * project("v", vector)[own] for share, vector in zip(weight, inputs, strict=True)))
    hidden = residuals[at] + weights[prefix + "self_attn.o_proj.weight"] @ torch.cat(parts)
    inner = norm(hidden, weights[prefix + "post_attention_layernorm.weight"])
    gate = weights[prefix + "mlp.gate_proj.weight"] @ inner
    up = weights[prefix + "mlp.up_proj.weight"] @ inner
    return hidden + weights[prefix + "mlp.down_proj.weight"] @ (gate / (1 + (-gate).exp()) * up)


def eagle_reference(
    weights: dict[str, torch.Tensor], target: Any, tokens: list[int], features: torch.Tensor, extra: list[int]
) -> list[torch.Tensor]:
    """Logits of an EAGLE-1 head after every pair, and then after the tokens `extra` on its own output."""
    inputs: list[torch.Tensor] = []
    logits = []
    state = features[0]
    for at, token in enumerate([*tokens, *extra]):
        state = features[at] if at < len(tokens) else state
        pair = torch.cat([target.model.embed_tokens.weight[token], state])
        inputs.append(weights["fc.weight"] @ pair + weights.get("fc.bias", torch.zeros(())))
        state = layer_outputs(weights, "layers.0.", inputs, inputs)
        logits.append(target.lm_head.weight @ state)
    return logits


def eagle3_reference(
    weights: dict[str, torch.Tensor],
    embedding: torch.Tensor,
    tokens: list[int],
    features: torch.Tensor,
    extra: list[int],
    *,
    count: int = 3,
    norm_before_residual: bool = False,
    norm_before_fc: bool = False,
    fc_norm: bool = False,
    norm_output: bool = False,
) -> list[torch.Tensor]:
    """The same of an EAGLE-3 head; `embedding` [vocab, hidden]."""
    inputs: list[torch.Tensor] = []
    residuals: list[torch.Tensor] = []
    logits = []
    state = features[0]
    for at, token in enumerate([*tokens, *extra]):
        if at < len(tokens):
            feature = features[at]
            if norm_before_fc:
                feature = norm(feature, weights["input_norm.weight"])
            if fc_norm:
                parts = feature.split(len(feature) // count)
                feature = torch.cat([norm(part, weights[f"fc_norm.{at}.weight"]) for at, part in enumerate(parts)])
            state = weights["fc.weight"] @ feature
        normed = norm(state, weights["midlayer.hidden_norm.weight"])
        embedded = norm(embedding[token], weights["midlayer.input_layernorm.weight"])
        inputs.append(torch.cat([embedded, normed]))
        residuals.append(normed if norm_before_residual else state)
        raw = layer_outputs(weights, "midlayer.", inputs, residuals)
        last = norm(raw, weights["norm.weight"])
        logits.append(weights["lm_head.weight"] @ last)
        state = last if norm_output else raw
    return logits
