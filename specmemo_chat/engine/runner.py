"""Forwards over an arena: prefill a chunk, score draft trees, commit what was accepted."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass
from itertools import accumulate

import torch

from specmemo_chat.kv.arena import KVArena, Window
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.graphs import GraphPool, Tensors
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.masks import chunk_mask, tree_mask
from specmemo_chat.models.packing import Packing, Run, rounded, runs_of
from specmemo_chat.models.paths import paths_of
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree


@dataclass(frozen=True)
class Scores:
    """Logits [T, vocab] after the nodes of several rows' trees, behind each other. Row i's tokens begin at `starts[i]`
    of the forward.

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

    def prefill(self, row: int, tokens: list[int], logits: int = 1, *, behind: int = 0) -> torch.Tensor:
        """Append `tokens` to `row` and commit them; returns the logits of the last `logits` of them [logits, vocab].
        With `behind` they are read again: they are of the last `behind` committed ones, whose keys and values stay as
        they are."""
        arena, device = self.arena, self.target.device
        arena.place(row)
        start, count = arena.lengths[row] - behind, len(tokens)
        stored = 0 if behind else count
        view = arena.view(start + count)
        # What pads the forward comes last, sees as much as it may, and is not stored.
        padding = max(0, self.target.least - count)
        slots = torch.arange(start, start + count + padding, device=device)[None]
        given = torch.tensor([tokens + tokens[-1:] * padding], device=device)
        mask = chunk_mask(start, count + padding, view, device)
        batch = Batch((row,), given, slots + self.stretches[row], slots[:, :stored], mask, view, prompt=True)
        made = self._forward(batch, list(range(count - logits, count)) if padding else logits)
        arena.extend(row, stored)
        return made[0, -logits:]

    def repeat(self, row: int, tokens: list[int]) -> None:
        """Append `tokens` to `row` and commit them, as steps would have."""
        many = len(tokens)
        self.score((row,), (DraftTree(tuple(tokens), tuple(range(-1, many - 1)), (1.0,) * many),))
        self.arena.extend(row, many)

    def score(self, rows: Rows[int], trees: Rows[DraftTree], nodes: int = 0, *, exact: bool = True) -> Scores:
        """The logits after every node of each row's tree, of `target.most` nodes at most; nothing is committed.

        Several rows are packed: only nodes that exist are computed. A single row's tree is padded to `nodes`, the
        bucket, so that shapes repeat; where steps run as graphs, every row's. `exact` False: attention of nodes behind
        a branch may sum in another order than in plain decoding, as it does in fp32, where that is one bit of 24.
        """
        arena, device = self.arena, self.target.device
        for row in rows:
            arena.place(row)
        if self.graphs is not None and nodes and arena.neighbours(rows):
            return self._replay(self.graphs, rows, trees, nodes)
        counts = [len(tree) for tree in trees]
        if len(rows) > 1 and sum(counts) > self.target.most:
            return self._in_parts(rows, trees, exact)
        lengths = [arena.lengths[row] for row in rows]
        starts = [0, *accumulate(counts[:-1])]
        # On a GPU kernels are launched one by one here: nothing is gained where shapes repeat.
        by_paths = self.target.by_paths
        padding = 0 if by_paths else max(0, nodes - counts[0], self.target.least - counts[0])
        if len(rows) > 1:
            total = sum(counts)
            padding = rounded(total, self._most) - total if self.target.shapes_repeat else 0
        runs: list[Run] = []
        if exact and not by_paths and self.target.dtype != torch.float32:
            for row, (tree, start, length) in enumerate(zip(trees, starts, lengths, strict=True)):
                runs += runs_of(tree, row, start, length, device)
        packing = None
        if len(rows) > 1 or runs:
            packing = Packing.of(counts, device, padding, runs, self.target.least)
        longest = packing.longest if packing is not None and len(rows) > 1 else counts[0] + padding
        view = arena.view(max(map(sum, zip(lengths, counts, strict=True))))
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        for row, tree, length in zip(rows, trees, lengths, strict=True):
            tokens.extend(tree.tokens)
            first = length + self.stretches[row]
            positions.extend([first + depth for depth in tree.depths] if len(tree) > 1 else (first,))
            slots.extend(range(length, length + len(tree)))
        # One transfer for all three.
        padded = [values + values[-1:] * padding for values in (tokens, positions, slots)]
        given = torch.tensor(padded, device=device)[:, None]
        written = given[2] if len(rows) > 1 else given[2, :, : counts[0]]
        if by_paths:
            mask = paths_of(trees, lengths, counts, max(max(tree.depths) for tree in trees) + 1).to(device)
        else:
            mask = tree_mask(trees, lengths, longest, view, device)
        logits = self._forward(Batch(rows, given[0], given[1], written, mask, view, packing), None)
        return Scores(logits[0], tuple(starts))

    def _in_parts(self, rows: Rows[int], trees: Rows[DraftTree], exact: bool) -> Scores:
        """`score` of more nodes than one forward may have: of the first rows that go together, and of the others."""
        counts = [len(tree) for tree in trees]
        together = max(1, sum(reached <= self.target.most for reached in accumulate(counts)))
        ends = sum(counts[:together])
        first = self.score(rows[:together], trees[:together], exact=exact)
        features = self.take_features()
        other = self.score(rows[together:], trees[together:], exact=exact)
        if features is not None and self._features is not None:
            self._features = torch.cat((features[:ends], self._features))
        logits = torch.cat((first.logits[:ends], other.logits))
        return Scores(logits, (*first.starts, *(ends + start for start in other.starts)))

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
