"""The shape of a draft that has weights: an EAGLE head or a smaller model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Dtype

DraftKind = Literal["eagle", "eagle3", "model"]

# Features wait for the head until so many tokens have come together (drafters.eagle).
WAITING_TOKENS = 64


@dataclass(frozen=True)
class DraftShape:
    """A draft that has weights. `spec` is its own shape (a head: of its one layer, with the target's vocabulary).

    Heads only: `vocab` is the size of the output vocabulary of the head, `target_hidden` the width of a feature,
    `feature_count` how many of them it reads for each token, `fc_bias` and `fc_norms` (widths of the norms before
    `fc`, summed) what its config adds, `own_embedding` that it cannot share the target's. `computed`: the precision of
    activations, keys and values where `dtype` is packed.
    """

    kind: DraftKind
    spec: ModelSpec
    dtype: Dtype
    vocab: int = 0
    target_hidden: int = 0
    feature_count: int = 0
    fc_bias: bool = False
    fc_norms: int = 0
    own_embedding: bool = False
    computed: Dtype = "bf16"

    @property
    def compute(self) -> Dtype:
        """The precision of activations, keys and values."""
        return self.dtype if self.dtype in BYTES_PER_VALUE else self.computed

    @property
    def value_bytes(self) -> int:
        return BYTES_PER_VALUE[self.compute]


class HeadConfig(Protocol):
    """What of a head's config decides its bytes; `drafters.eagle_config.HeadConfig` has it."""

    @property
    def kind(self) -> Literal["eagle", "eagle3"]: ...
    @property
    def hidden(self) -> int: ...
    @property
    def intermediate(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def vocab(self) -> int: ...
    @property
    def draft_vocab(self) -> int: ...
    @property
    def target_hidden(self) -> int: ...
    @property
    def feature_count(self) -> int: ...
    @property
    def fc_bias(self) -> bool: ...
    @property
    def qkv_bias(self) -> bool: ...
    @property
    def norm_before_fc(self) -> bool: ...
    @property
    def fc_norm(self) -> bool: ...
    @property
    def max_context(self) -> int: ...


def head_shape(config: HeadConfig, location: str, dtype: Dtype) -> DraftShape:
    """The shape of the head in the folder (or on the hub under the id) `location`."""
    normed = config.norm_before_fc or config.fc_norm
    return DraftShape(
        kind=config.kind,
        spec=ModelSpec(
            name=location,
            location=location,
            model_type="llama",
            hidden=config.hidden,
            layers=1,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            intermediate=config.intermediate,
            vocab=config.vocab,
            max_context=config.max_context,
            tied_embeddings=False,
            qkv_bias=config.qkv_bias,
        ),
        dtype=dtype,
        vocab=config.draft_vocab,
        target_hidden=config.target_hidden,
        feature_count=config.feature_count,
        fc_bias=config.fc_bias,
        fc_norms=config.feature_count * config.target_hidden if normed else 0,
        own_embedding=config.target_hidden != config.hidden,
    )
