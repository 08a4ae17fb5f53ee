"""Forwards over an arena: prefill a chunk, score draft trees, commit what was accepted."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from contextlib import nullcontext

import torch

from specmemo_chat.kv.arena import KVArena
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.masks import chunk_mask, tree_mask
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree


class Runner:
    """The target and its arena. Shapes are bucketed: `nodes` and views take few values.

    `feature_layers`: which hidden states a drafter wants.
    """

    def __init__(self, target: Target, arena: KVArena, feature_layers: Rows[int] = ()) -> None:
        self.target = target
        self.arena = arena
        self._features: torch.Tensor | None = None
        self._tap = FeatureTap(target.model, feature_layers) if feature_layers else None

    def prefill(self, row: int, tokens: list[int]) -> torch.Tensor:
        """Append `tokens` to `row` and commit them; returns the last one's logits [1, vocab]."""
        arena, device = self.arena, self.target.device
        start, count = arena.lengths[row], len(tokens)
        arena.reserve(start + count)
        view = min(arena.view_length((row,), count), arena.capacity)
        positions = torch.arange(start, start + count, device=device)[None]
        logits = self._forward(
            (row,),
            torch.tensor([tokens], device=device),
            positions,
            positions,
            chunk_mask(start, count, view, device),
            view,
            logits=1,
        )
        arena.extend(row, count)
        return logits[:, -1]

    def score(self, rows: Rows[int], trees: Rows[DraftTree], nodes: int) -> torch.Tensor:
        """Logits [R, nodes, vocab] after every node of each row's tree; nothing is committed.

        `nodes` is the bucket: smaller trees are padded, their padding's logits mean nothing.
        """
        arena, device = self.arena, self.target.device
        lengths = [arena.lengths[row] for row in rows]
        arena.reserve(max(lengths) + nodes)
        view = min(arena.view_length(rows, nodes), arena.capacity)
        tokens = torch.tensor([tree.tokens + (tree.tokens[0],) * (nodes - len(tree)) for tree in trees])
        depths = torch.tensor([tree.depths + (0,) * (nodes - len(tree)) for tree in trees])
        starts = torch.tensor(lengths)[:, None]
        return self._forward(
            rows,
            tokens.to(device),
            (starts + depths).to(device),
            (starts + torch.arange(nodes)).to(device),
            tree_mask(trees, lengths, nodes, view, device),
            view,
        )

    def commit(self, row: int, path: Rows[int]) -> None:
        """Keep the accepted nodes of the last scored tree."""
        self.arena.commit(row, path)

    def take_features(self) -> torch.Tensor | None:
        """The hidden states of the last forward [R, tokens, layers · hidden], once; None where no drafter wants any."""
        features, self._features = self._features, None
        return features

    def _forward(
        self,
        rows: Rows[int],
        tokens: torch.Tensor,
        positions: torch.Tensor,
        slots: torch.Tensor,
        mask: torch.Tensor,
        view: int,
        logits: int | None = None,
    ) -> torch.Tensor:
        """The target's forward; the drafter's features stay for `take_features`."""
        # Those of the last forward go before the new ones come: only one set is ever kept.
        self._features = None
        with self._tap.open() if self._tap is not None else nullcontext():
            out = self.target.forward(self.arena, rows, tokens, positions, slots, mask, view, logits=logits)
        if self._tap is not None:
            self._features = self._tap.take()
        return out
