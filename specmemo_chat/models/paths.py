"""What each node of a forward's trees sees, as the tree attention of a GPU reads it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from specmemo_chat.speculation.tree import DraftTree


def paths_of(
    trees: Sequence[DraftTree], places: Sequence[int], lengths: Sequence[int], nodes: int, device: torch.device | str
) -> torch.Tensor:
    """Of each row's tree, filled up to `nodes` by its root, in an arena's `places` behind `lengths` committed tokens:
    int32 [3 + nodes, R · nodes]. A column is a node: its place, the committed length, its depth, and the slots of its
    path in depth order (behind that the root's)."""
    columns: list[list[int]] = []
    for tree, place, length in zip(trees, places, lengths, strict=True):
        for node in range(nodes):
            path = tree.path(node) if node < len(tree) else (0,)
            slots = [length + own for own in path]
            columns.append([place, length, len(path) - 1, *slots, *[length] * (nodes - len(path))])
    return torch.tensor(columns, dtype=torch.int32).t().contiguous().to(device)
