"""Forwards over an arena: prefill a chunk, score draft trees, commit what was accepted."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

import torch

from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.graphs import GraphPool, Tensors
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.masks import Chunk, chunk_mask, tree_mask
from specmemo_chat.models.packing import Packing, rounded
from specmemo_chat.models.paths import paths_of
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree


@dataclass(frozen=True)
class Scores:
    """Logits [T, vocab] after the nodes of several rows' trees, behind each other; of a chunk the last token's, if it
    ends the prompt. Row i's tokens begin at `starts[i]` of the forward.

    The logits after the last row's nodes, if any, are padding.
    """

    logits: torch.Tensor
    starts: tuple[int, ...]


class Runner:
    """The target and its arena. `feature_layers`: which hidden states a drafter wants. A packed forward is not padded
    beyond `most` tokens. `graphed`: steps of up to so many nodes in all run as CUDA graphs."""

    def __init__(
        self, target: Target, arena: KVArena, feature_layers: Rows[int] = (), most: int = 0, graphed: int = 0
    ) -> None:
        self.target = target
        self.arena = arena
        self._most = most
        self.graphs: GraphPool | None = None
        if graphed:
            # Of tokens, positions, slots and places, and of the mask; logits, and features if any.
            results = [graphed * target.vocab_size * target.dtype.itemsize]
            if feature_layers:
                results.append(graphed * len(feature_layers) * target.config.hidden_size * target.dtype.itemsize)
            self.graphs = GraphPool(target.device, (4 * 8 * graphed, graphed * arena.largest_capacity), results)
        # What is added to the positions of each row's text (Target.stretch).
        self.stretches = [0] * len(arena.lengths)
        self._features: torch.Tensor | None = None
        self._tap = FeatureTap(target.model, feature_layers) if feature_layers else None

    def prefill(self, row: int, tokens: list[int], logits: int = 1) -> torch.Tensor:
        """Append `tokens` to `row` and commit them; returns the logits of the last `logits` of them [logits, vocab]."""
        arena, device = self.arena, self.target.device
        arena.place(row)
        start, count = arena.lengths[row], len(tokens)
        view = arena.view(start + count)
        slots = torch.arange(start, start + count, device=device)[None]
        given, mask = torch.tensor([tokens], device=device), chunk_mask(start, count, view, device)
        batch = Batch((row,), given, slots + self.stretches[row], slots, mask, view, prompt=True)
        made = self._forward(batch, logits=logits)
        arena.extend(row, count)
        return made[0, -logits:]

    def score(self, rows: Rows[int], trees: Rows[DraftTree | Chunk], nodes: int = 0) -> Scores:
        """The logits after every node of each row's tree; nothing is committed. A chunk stands for a row that prefills.

        Several rows are packed: only nodes that exist are computed. A single row's tree is padded to `nodes`, the
        bucket, so that shapes repeat; where steps run as graphs, every row's.
        """
        arena, device = self.arena, self.target.device
        for row in rows:
            arena.place(row)
        if self.graphs is not None and nodes and arena.neighbours(rows):
            return self._replay(self.graphs, rows, [tree for tree in trees if isinstance(tree, DraftTree)], nodes)
        drafted = [tree for tree in trees if isinstance(tree, DraftTree)]
        by_paths = self.target.by_paths and len(drafted) == len(trees)
        if by_paths:
            # Kernels are launched one by one here: nothing is gained where shapes repeat.
            nodes = 0
        lengths = [arena.lengths[row] for row in rows]
        counts = [len(tree) for tree in trees]
        packing, padding = None, max(0, nodes - counts[0])
        if len(rows) > 1:
            total = sum(counts)
            spare = rounded(total, self._most) - total if self.target.shapes_repeat else 0
            packing, padding = Packing.of(counts, device, spare), 0
        longest = packing.longest if packing is not None else counts[0] + padding
        view = arena.view(max(map(sum, zip(lengths, counts, strict=True))) + padding)
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        for row, tree, length in zip(rows, trees, lengths, strict=True):
            tokens.extend(tree.tokens)
            first = length + self.stretches[row]
            if isinstance(tree, Chunk):
                positions.extend(range(first, first + len(tree)))
            else:
                positions.extend([first + depth for depth in tree.depths] if len(tree) > 1 else (first,))
            slots.extend(range(length, length + len(tree)))
        if padding:
            tokens.extend(tokens[:1] * padding)
            positions.extend(positions[:1] * padding)
            slots.extend(range(slots[-1] + 1, slots[-1] + 1 + padding))
        if packing is not None and packing.padding:
            for values in (tokens, positions, slots):
                values.extend(values[-1:] * packing.padding)
        # One transfer for all three.
        given = torch.tensor([tokens, positions, slots], device=device)[:, None]
        if by_paths:
            mask = paths_of(drafted, lengths, counts, max(max(tree.depths) for tree in drafted) + 1).to(device)
        else:
            mask = tree_mask(trees, lengths, longest, view, device)
        starts = [0]
        for count in counts[:-1]:
            starts.append(starts[-1] + count)
        wanted: list[int] | None = None
        if any(isinstance(tree, Chunk) for tree in trees):
            wanted = []
            for tree, start in zip(trees, starts, strict=True):
                first = 0 if isinstance(tree, DraftTree) else len(tree) - tree.ends
                wanted.extend(range(start + first, start + len(tree)))
        logits = self._forward(Batch(rows, given[0], given[1], given[2], mask, view, packing), logits=wanted)
        return Scores(logits[0], tuple(starts))

    def _replay(self, graphs: GraphPool, rows: Rows[int], trees: Rows[DraftTree], nodes: int) -> Scores:
        """`score` of neighbouring rows with `nodes` nodes each, by a graph: on a GPU a node more costs next to nothing,
        a kernel that the host launches takes longer than it runs."""
        arena = self.arena
        lengths = [arena.lengths[row] for row in rows]
        view = arena.view(max(lengths) + nodes)
        # Tokens, positions, slots and places of all nodes.
        given = torch.empty((4, len(rows), nodes), dtype=torch.long)
        cells = given.numpy()
        for row, (tree, length) in enumerate(zip(trees, lengths, strict=True)):
            cells[0, row, : len(tree)], cells[0, row, len(tree) :] = tree.tokens, tree.tokens[0]
            cells[1, row, : len(tree)], cells[1, row, len(tree) :] = tree.depths, 0
            cells[1, row] += length + self.stretches[rows[row]]
            cells[2, row] = range(length, length + nodes)
            cells[3, row] = arena.place(rows[row])
        if self.target.by_paths:
            mask = paths_of(trees, lengths, [nodes] * len(rows), nodes)
        else:
            mask = tree_mask(trees, lengths, nodes, view, "cpu")
        first = arena.place(rows[0])

        def forward(inputs: Tensors) -> Tensors:
            (tokens, positions, slots, places), seen = inputs
            window = Window(slots, places if len(rows) > 1 else None, first, len(rows), None, view)
            batch = Batch(rows, tokens, positions, slots, seen, view)
            logits = self.target.run(arena, batch, window, tap=self._tap)
            return (logits.flatten(0, 1), *(() if self._tap is None else (self._tap.take().flatten(0, 1),)))

        # Those of the last forward go before the new ones come: only one set is ever kept.
        self._features = None
        key = (first, len(rows), nodes, view)
        logits, *features = graphs.run(key, arena.moved, forward, (given, mask))
        self._features = features[0] if features else None
        if any(len(tree) < nodes for tree in trees[:-1]):
            # Behind each other, without what pads a row.
            kept = [row * nodes + node for row, tree in enumerate(trees) for node in range(len(tree))]
            logits = logits.index_select(0, torch.tensor(kept, device=logits.device))
        return Scores(logits, tuple(range(0, len(rows) * nodes, nodes)))

    @property
    def prepared(self) -> int:
        """How many forwards prepared a graph: their time says nothing about the next ones."""
        return self.graphs.prepared if self.graphs is not None else 0

    def commit(self, rows: Rows[int], paths: Rows[Rows[int]]) -> None:
        """Keep the accepted nodes `paths[i]` of the last scored tree of `rows[i]`."""
        self.arena.commit_all(rows, paths)

    def take_features(self) -> torch.Tensor | None:
        """The hidden states of the last forward [T, layers · hidden], once; None where no drafter wants any. T counts
        the tokens of all rows, those of a row behind those of the row before it."""
        features, self._features = self._features, None
        return features

    def _forward(self, batch: Batch, logits: int | list[int] | None) -> torch.Tensor:
        """The target's forward; the drafter's features stay for `take_features`."""
        # Those of the last forward go before the new ones come: only one set is ever kept.
        self._features = None
        out = self.target.forward(self.arena, batch, logits=logits, tap=self._tap)
        if self._tap is not None:
            self._features = self._tap.take().flatten(0, 1)
        return out
