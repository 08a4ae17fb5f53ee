"""The Plan: the contract between planning and running. Arena, masks, drafters and workers consume it unchanged."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from specmemo_chat.memory.terms import Terms

Dtype = Literal["bf16", "fp16", "fp32", "q8", "q4"]

NODE_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
# On a CPU no graph is captured for a shape, and every node costs time.
_BETWEEN = (3, 6, 10, 12, 20, 24, 48)

QUANTISED: tuple[Dtype, ...] = ("q8", "q4")
BYTES_PER_VALUE: dict[str, int] = {"bf16": 2, "fp16": 2, "fp32": 4}


def buckets_of(nodes: int, device: str) -> tuple[int, ...]:
    """The node counts that a step may have on the torch device `device`, up to `nodes`."""
    every = sorted(NODE_BUCKETS + _BETWEEN) if device == "cpu" else NODE_BUCKETS
    return tuple(bucket for bucket in every if bucket <= nodes)


@dataclass(frozen=True)
class Plan:
    """How every byte will be spent, decided before anything is loaded. All sizes are per worker.

    `target` is the resolved local folder (or hub id) of the model, `model` what the user typed. `node_buckets` are
    the node counts (root included) that a verify step may have, ascending, first 1; `tree_depth` and `tree_width`
    limit a draft tree's levels and its children per node. `growth_tokens` is the step of the arena's views: every
    `update()` view is rounded up to it. `allocate_at_load`: take the whole KV capacity at once, because growth would
    only raise the worst case. `kv_slots` are the arena's slots of all rows together (0: every row may become full);
    rows for which there are none left wait. `graphs`: steps run as CUDA graphs, for
    which the driver takes up to `graph_bytes` of the device.
    `concessions` are sentences.
    `kv_dtype` is the precision of activations, keys and values, of a draft's too where `draft_dtype` is packed.
    `products`: on a CPU so many products stay prepared (memory/products.py).
    `measured_as` is the name under which the measured runtime of this device is remembered.
    """

    model: str
    target: str
    device: str
    dtype: Dtype
    context_tokens: int
    cap_bytes: int
    terms: Terms
    draft: str | None = None
    draft_dtype: Dtype = "fp32"
    kv_dtype: Dtype = "fp32"
    tp: int = 1
    rows: int = 1
    growth_tokens: int = 256
    node_buckets: tuple[int, ...] = NODE_BUCKETS
    tree_depth: int = 8
    tree_width: int = 8
    prefill_chunk: int = 256
    drafters: tuple[str, ...] = ("ngram",)
    allocate_at_load: bool = False
    kv_slots: int = 0
    concessions: tuple[str, ...] = field(default_factory=tuple)
    profile: str = "default"
    measured_as: str = ""
    graphs: bool = False
    graph_bytes: int = 0
    products: int = 0

    @property
    def total_bytes(self) -> int:
        """What the plan will take at its worst moment."""
        return self.terms.total

    @property
    def generation_bytes(self) -> int:
        """`total_bytes` without the weights and the runtime."""
        return self.terms.generation

    @property
    def tree_nodes(self) -> int:
        """Nodes of the largest verify step, the root included."""
        return self.node_buckets[-1]

    def draft_slots(self, scratch: int) -> int:
        """`kv_slots` of a draft's own arena whose trees take `scratch` slots: where the target's rows fit, so must the
        draft's, although its trees may take more."""
        more = max(0, scratch - self.tree_nodes)
        return self.kv_slots + self.rows * -(-more // self.growth_tokens) * self.growth_tokens if self.kv_slots else 0

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """The plan that `as_json` wrote (JSON has lists where the plan has tuples)."""
        fields = dict(values)
        for name in ("node_buckets", "drafters", "concessions"):
            fields[name] = tuple(fields[name])
        return cls(**fields | {"terms": Terms(**fields["terms"])})
