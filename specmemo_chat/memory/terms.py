"""The named byte terms of a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """Bytes per worker; their sum is the plan's peak (memory/footprint.py computes them). Tables, bars and
    `plan --json` (docs/reference.md) have them in the order in which they stand here."""

    target_weights: int = 0
    draft_weights: int = 0
    target_kv: int = 0
    tree_slots: int = 0
    draft_kv: int = 0
    prefill_activations: int = 0
    verify_activations: int = 0
    logits: int = 0
    draft_features: int = 0
    growth_transient: int = 0
    runtime: int = 0

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.as_json().items())

    @property
    def total(self) -> int:
        return sum(self.as_json().values())

    @property
    def weights(self) -> int:
        """Of the target and its draft."""
        return self.target_weights + self.draft_weights

    @property
    def kv(self) -> int:
        """All arenas, the slots of trees included."""
        return self.target_kv + self.tree_slots + self.draft_kv

    @property
    def generation(self) -> int:
        """All but the weights and the runtime: what the literature calls generation memory."""
        return self.total - self.weights - self.runtime

    def as_json(self) -> dict[str, int]:
        return dataclasses.asdict(self)
