"""ModelSpec: what a model is, read from its `config.json` alone. No torch, no transformers, no download."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """The shape of a Llama-family causal language model.

    `name` is what the user typed; `location` a local folder, a GGUF file or a hub id. `sliding_window` is 0
    where every layer attends to the whole context, else the window in tokens of the layers that `sliding_layers` marks.
    `linear_bias`: q/k/v projections carry a bias (Qwen2). `qk_norm`: per-head RMSNorm of queries and keys (Qwen3).
    `checkpoint_bytes` is the size of the weight files where it is known, else 0. `own_precision` is that of the file
    where it is packed already ("q8", "q4"), else "".
    """

    name: str
    location: str
    model_type: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    max_context: int
    tied_embeddings: bool
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_window: int = 0
    sliding_layers: tuple[bool, ...] = ()
    norms_per_layer: int = 2
    checkpoint_bytes: int = 0
    own_precision: str = ""

    @property
    def parameters(self) -> int:
        """Number of weights: embedding, layers, norms, and the output head where it is not tied."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = self.hidden * (q + 2 * kv) + q * self.hidden
        attention += (q + 2 * kv) * self.qkv_bias + self.hidden * self.o_bias + 2 * self.head_dim * self.qk_norm
        mlp = 3 * self.hidden * self.intermediate + (2 * self.intermediate + self.hidden) * self.mlp_bias
        layer = attention + mlp + self.norms_per_layer * self.hidden
        embeddings = self.vocab * self.hidden * (1 if self.tied_embeddings else 2)
        return self.layers * layer + embeddings + self.hidden

    @property
    def layer_values(self) -> int:
        """Weights in the matrices of one layer."""
        attention = 2 * (self.heads + self.kv_heads) * self.head_dim
        return self.hidden * (attention + 3 * self.intermediate)

    def kv_bytes_per_token(self, bytes_per_value: int, tp: int = 1) -> int:
        """Bytes of keys and values that one committed token takes on one of `tp` workers."""
        return 2 * self.layers * (self.kv_heads // tp) * self.head_dim * bytes_per_value
