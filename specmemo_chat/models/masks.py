"""Attention masks of a forward: what each new token may see of the arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from specmemo_chat.speculation.tree import DraftTree


def chunk_mask(start: int, tokens: int, view: int, device: torch.device | str) -> torch.Tensor:
    """A prefill chunk at positions [start, start + tokens): bool [1, 1, tokens, view], True = attend."""
    slots = torch.arange(view, device=device)
    queries = torch.arange(start, start + tokens, device=device)
    return (slots[None, :] <= queries[:, None])[None, None]


@dataclass(frozen=True)
class Chunk:
    """Tokens of a prompt that are prefilled beside other rows' trees. `ends`: the logits of the last one are wanted."""

    tokens: tuple[int, ...]
    ends: bool

    def __len__(self) -> int:
        return len(self.tokens)


def tree_mask(
    trees: Sequence[DraftTree | Chunk], lengths: Sequence[int], nodes: int, view: int, device: torch.device | str
) -> torch.Tensor:
    """Each row's tree behind its committed tokens: bool [R, 1, nodes, view], True = attend.

    A node sees what is committed and its own path, a chunk's token those before it; padding sees the root, so that no
    query is masked whole.
    """
    starts = torch.tensor(lengths)[:, None]
    slots = torch.arange(view)
    if nodes == 1:
        return (slots <= starts)[:, None, None].to(device)
    mask = (slots < starts)[:, None].repeat(1, nodes, 1)
    seen: list[int] = []
    for row, (tree, length) in enumerate(zip(trees, lengths, strict=True)):
        # Flat indices into the mask: first those of the root's slot, then a step per node of the path.
        first = row * nodes * view + length
        if isinstance(tree, Chunk):
            mask[row, : len(tree)] = slots <= length + torch.arange(len(tree))[:, None]
            seen.extend(first + node * view for node in range(len(tree), nodes))
            continue
        paths: list[list[int]] = []
        for node, parent in enumerate(tree.parents):
            path = [*paths[parent], node] if parent >= 0 else [node]
            paths.append(path)
            at = first + node * view
            seen.extend([at + ancestor for ancestor in path])
        seen.extend(first + node * view for node in range(len(tree), nodes))
    mask.view(-1)[torch.tensor(seen, dtype=torch.long)] = True
    return mask[:, None].to(device)


def within_window(
    mask: torch.Tensor, positions: torch.Tensor, slot_positions: torch.Tensor, window: int
) -> torch.Tensor:
    """`mask` narrowed to the last `window` positions. `positions` [R, nodes], `slot_positions` [R, view]."""
    distance = positions[:, None, :, None] - slot_positions[:, None, None, :]
    return mask & (distance < window)
