"""Attention masks of a forward: what each new token may see of the arena."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from specmemo_chat.speculation.tree import DraftTree

# What the nodes of a chain see of each other.
_CHAIN = np.tri(64, dtype=bool)


def chunk_mask(start: int, tokens: int, view: int, device: torch.device | str) -> torch.Tensor:
    """A prefill chunk at positions [start, start + tokens): bool [1, 1, tokens, view], True = attend."""
    slots = torch.arange(view, device=device)
    queries = torch.arange(start, start + tokens, device=device)
    return (slots[None, :] <= queries[:, None])[None, None]


@dataclass(frozen=True)
class Chunk:
    """Tokens of a text that a draft reads beside those of other rows."""

    tokens: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def tree_mask(
    trees: Sequence[DraftTree | Chunk], lengths: Sequence[int], nodes: int, view: int, device: torch.device | str
) -> torch.Tensor:
    """Each row's tree behind its committed tokens: bool [R, 1, nodes, view], True = attend.

    A node sees what is committed and its own path, a chunk's token those before it; padding sees the root, so that no
    query is masked whole.
    """
    mask = torch.zeros((len(trees), nodes, view), dtype=torch.bool)
    # Filled by numpy, whose calls cost a fraction of torch's: a small model's step is made of calls.
    cells = mask.numpy()
    for row, (tree, length) in enumerate(zip(trees, lengths, strict=True)):
        own = cells[row]
        if isinstance(tree, Chunk):
            own[: len(tree)] = np.arange(view) <= length + np.arange(len(tree))[:, None]
        else:
            own[: len(tree), :length] = True
            _fill_paths(own[: len(tree), length : length + len(tree)], tree.parents)
        own[len(tree) :, : length + 1] = True
    return mask[:, None].to(device)


def _fill_paths(cells: npt.NDArray[np.bool_], parents: Sequence[int]) -> None:
    """Let every node see its path in `cells` [nodes, nodes]. The first nodes are mostly a chain: one call for these."""
    chain = next((node for node, parent in enumerate(parents) if parent != node - 1), len(parents))
    cells[:chain, :chain] = _CHAIN[:chain, :chain] if chain <= len(_CHAIN) else np.tri(chain, dtype=bool)
    for node in range(chain, len(parents)):
        cells[node] = cells[parents[node]]
        cells[node, node] = True


def committed_mask(lengths: Sequence[int], nodes: int, view: int, dtype: torch.dtype) -> torch.Tensor:
    """What `nodes` queries of each row see of the first `lengths[i]` slots, on the CPU: [R, nodes, view], bool, or in
    fp32 what is added to scores."""
    seen, hidden = (True, False) if dtype == torch.bool else (0.0, -math.inf)
    mask = torch.full((len(lengths), nodes, view), hidden, dtype=dtype if dtype == torch.bool else torch.float32)
    cells = mask.numpy()
    for row, length in enumerate(lengths):
        cells[row, :, :length] = seen
    return mask


def within_window(
    mask: torch.Tensor, positions: torch.Tensor, slot_positions: torch.Tensor, window: int
) -> torch.Tensor:
    """`mask` narrowed to the last `window` positions. `positions` [R, nodes], `slot_positions` [R, view]."""
    distance = positions[:, None, :, None] - slot_positions[:, None, None, :]
    return mask & (distance < window)
