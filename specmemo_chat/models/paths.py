"""What each node of a forward's trees sees, as the tree attention of a GPU reads it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from specmemo_chat.speculation.tree import DraftTree

# Rows of a table of paths before the slots: row of the forward, committed length, depth, first position that is seen.
PLACE, LENGTH, DEPTH, SEEN, SLOTS = range(5)


def paths_of(trees: Sequence[DraftTree], lengths: Sequence[int], nodes: Sequence[int], deepest: int) -> torch.Tensor:
    """A table of the nodes of each row's tree, filled up to so many `nodes` by the root, behind `lengths` committed
    tokens: int32 [SLOTS + deepest, T] on the host. A column is a node; from SLOTS on stand the slots of its path in
    depth order, then the root's."""
    columns: list[list[int]] = []
    for row, (tree, length, count) in enumerate(zip(trees, lengths, nodes, strict=True)):
        for node in range(count):
            path = tree.path(node) if node < len(tree) else (0,)
            slots = [length + own for own in path]
            columns.append([row, length, len(path) - 1, 0, *slots, *[length] * (deepest - len(path))])
    return torch.tensor(columns, dtype=torch.int32).t().contiguous()


def narrowed(paths: torch.Tensor, window: int) -> torch.Tensor:
    """The same table for layers that see the last `window` positions."""
    narrow = paths.clone()
    narrow[SEEN] = (paths[LENGTH] + paths[DEPTH] + 1 - window).clamp_(min=0)
    return narrow
