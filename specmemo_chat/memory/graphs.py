"""What CUDA graphs of steps take of a device. Needs no torch; models/graphs.py makes them."""

from __future__ import annotations

from specmemo_chat.sizes import MIB

# Shapes of a forward whose graphs are kept at the same time, for the target and for a draft head.
GRAPHS_KEPT = 48
# Bytes that the driver takes for the graph of one layer's kernels (fused layers of a 7B on an H100: 50 KiB).
_LAYER_BYTES = 64 << 10
# A head's layer has projections, norm and output layer around it.
_HEAD_LAYERS = 2
# What cuBLAS keeps for the stream on which graphs are captured, and what torch's allocator rounds a pool up by.
POOL_BYTES = (32 + 22) * MIB


def driver_bytes(layers: int, *, head: bool) -> int:
    """Bytes that the driver takes for the graphs of a target of so many layers and of a draft head, of which torch's
    allocator knows nothing: kept graphs · layers · 64 KiB."""
    return GRAPHS_KEPT * (layers + (_HEAD_LAYERS if head else 0)) * _LAYER_BYTES
