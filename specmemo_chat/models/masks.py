"""Attention masks of a forward: what each new token may see of the arena."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from specmemo_chat.speculation.tree import DraftTree


def chunk_mask(start: int, tokens: int, view: int, device: torch.device | str) -> torch.Tensor:
    """A prefill chunk at positions [start, start + tokens): bool [1, 1, tokens, view], True = attend."""
    slots = torch.arange(view, device=device)
    queries = torch.arange(start, start + tokens, device=device)
    return (slots[None, :] <= queries[:, None])[None, None]


def ancestors(tree: DraftTree, nodes: int) -> torch.Tensor:
    """Which nodes each node descends from, itself included: bool [nodes, nodes]. Padding sees only itself."""
    matrix = torch.eye(nodes, dtype=torch.bool)
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            matrix[node] |= matrix[parent]
    return matrix


def tree_mask(
    trees: Sequence[DraftTree], lengths: Sequence[int], nodes: int, view: int, device: torch.device | str
) -> torch.Tensor:
    """Each row's tree behind its committed tokens: bool [R, 1, nodes, view], True = attend."""
    mask = torch.zeros((len(trees), 1, nodes, view), dtype=torch.bool)
    for row, (tree, length) in enumerate(zip(trees, lengths, strict=True)):
        mask[row, 0, :, :length] = True
        mask[row, 0, :, length : length + nodes] = ancestors(tree, nodes)
    return mask.to(device)


def within_window(
    mask: torch.Tensor, positions: torch.Tensor, slot_positions: torch.Tensor, window: int
) -> torch.Tensor:
    """`mask` narrowed to the last `window` positions. `positions` [R, nodes], `slot_positions` [R, view]."""
    distance = positions[:, None, :, None] - slot_positions[:, None, None, :]
    return mask & (distance < window)
