"""What oneDNN keeps: it prepares a product for every matrix shape and number of rows.

By itself a thousand of them stay in each of two caches, at half a megabyte and more. A plan says how many may stay, and
a worker's caches are bound to that.
"""

from __future__ import annotations

from collections.abc import Iterator

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.sizes import KIB, MIB

# Bytes of one with its kernels: 560 to 760 kB were measured for up to 256 rows of matrices 576 to 4,096 wide.
PRODUCT_BYTES = 704 * KIB
# In fp32 matrices from this size on are oneDNN's (models/matrices/dense.py).
LARGE_MATRIX = 4 * MIB
# Numbers of rows beside the steps' node counts: the last chunks of prompts. The steps of a batch have more.
_CHUNKS, _BATCHED = 4, 24


def kept_products(matrices: int, node_counts: int, rows: int) -> int:
    """How many stay prepared where steps of so many node counts multiply so many matrices."""
    return matrices * ((node_counts if rows == 1 else max(node_counts, _BATCHED)) + _CHUNKS)


def chunk_products(spec: ModelSpec, dtype: Dtype, tp: int) -> int:
    """How many more stay prepared for chunks alone: in q4 those of unpacked blocks."""
    return _CHUNKS * (sum(1 for _ in _matrices(spec, tp, fused=True)) - 1) if dtype == "q4" else 0


def prepared_matrices(spec: ModelSpec, dtype: Dtype, tp: int, *, fused: bool) -> int:
    """How many different matrices of a model on a CPU have their products prepared for every number of rows. In q4 the
    output matrix alone, which is q8; those of the layers only for chunks of prompts (`chunk_products`)."""
    if dtype == "q4":
        return 1
    if dtype != "fp32":
        return sum(1 for _ in _matrices(spec, tp, fused=fused))
    return sum(4 * values >= LARGE_MATRIX for values in _matrices(spec, tp, fused=fused)) if fused else 0


def _matrices(spec: ModelSpec, tp: int, *, fused: bool) -> Iterator[int]:
    """Values of each matrix of a layer, and of the output layer."""
    h, q, kv, inner = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim, spec.intermediate
    merged = (q + 2 * kv, 2 * inner) if fused else (q, kv, kv, inner, inner)
    for width in (*merged, q, inner, spec.vocab):
        yield h * width // tp
