"""Trees grown level by level: the most confident paths, whatever the budget."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.drafters.base import DraftBudget
from specmemo_chat.drafters.level_tree import grow
from specmemo_chat.speculation.tree import DraftTree, draft_scratch


class Markov:
    """A made-up draft whose logits depend on the whole path: [R, vocab] tables by the tokens since the root."""

    def __init__(self, rows: int, vocab: int, seed: int) -> None:
        self.vocab = vocab
        self.paths: list[list[tuple[int, ...]]] = [[()] for _ in range(rows)]
        self._seed = seed

    def logits(self, row: int, path: tuple[int, ...]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash((self._seed, row, path)) % 2**31)
        return 2 * torch.randn(self.vocab, generator=generator)

    def expand(self, tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        assert straight == all(row == list(range(len(row))) for row in picked)
        self.paths = [
            [(*old[at], token) for token, at in zip(row_tokens, row_picked, strict=True)]
            for old, row_tokens, row_picked in zip(self.paths, tokens.tolist(), picked, strict=True)
        ]
        return torch.stack(
            [torch.stack([self.logits(row, path) for path in paths]) for row, paths in enumerate(self.paths)]
        )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_trees_hold_the_most_confident_paths(seed: int, nodes: int, depth: int, width: int, rows: int) -> None:
    """Against the same search written with plain lists and without an early end."""
    vocab = 6
    draft = Markov(rows, vocab, seed)
    first = torch.stack([draft.logits(row, ()) for row in range(rows)])
    trees = grow([9] * rows, first, draft.expand, DraftBudget(nodes, depth, width), "test")
    kept = min(width, nodes - 1)
    for row, tree in enumerate(trees):
        tree.check()
        assert len(tree) <= nodes
        pool: dict[tuple[int, ...], float] = {}
        frontier: list[tuple[int, ...]] = [()]
        for _ in range(depth if kept else 0):
            level = {}
            for path in frontier:
                shares = draft.logits(row, path).log_softmax(0)
                for token in shares.topk(kept).indices.tolist():
                    level[(*path, token)] = pool.get(path, 0.0) + float(shares[token])
            pool |= level
            frontier = sorted(level, key=lambda path: -level[path])[:kept]
        best = set(sorted(pool, key=lambda path: -pool[path])[: nodes - 1])
        mine = [tuple(tree.tokens[at] for at in tree.path(node)[1:]) for node in range(1, len(tree))]
        assert set(mine) == best
        for node, path in enumerate(mine, start=1):
            reach = itertools.accumulate((tree.probabilities[at] for at in tree.path(node)), lambda a, b: a * b)
            assert list(reach)[-1] == pytest.approx(torch.tensor(pool[path]).exp().item(), rel=1e-4)


def test_the_drafts_own_vocabulary_is_translated() -> None:
    first, ids = torch.tensor([[0.0, 2.0, 1.0]]), [5, 11, 40]
    tree = grow([1], first, lambda *_: torch.zeros(1, 2, 3), DraftBudget(3, 1, 2), "t", ids)[0]
    assert tree.tokens == (1, 11, 40)


def test_no_budget_no_draft() -> None:
    for budget in (DraftBudget(1, 4, 4), DraftBudget(8, 0, 4), DraftBudget(8, 4, 0)):
        assert grow([3], torch.zeros(1, 5), lambda *_: torch.zeros(1, 4, 5), budget, "t") == [DraftTree.root_only(3)]
    # One slot at least, for padding.
    assert [draft_scratch(*sizes) for sizes in ((16, 5, 8), (4, 5, 8), (1, 5, 8), (16, 1, 8))] == [32, 12, 1, 1]


def test_levels_that_cannot_enter_the_tree_are_not_run() -> None:
    calls = 0

    def expand(tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return torch.zeros(1, tokens.shape[1], 6)

    # Two sure tokens beside a level of guesses: three nodes need no second level of them.
    logits = torch.tensor([[5.0, 5.0, -5.0, -5.0, -5.0, -5.0]])
    tree = grow([1], logits, expand, DraftBudget(3, 8, 2), "t")[0]
    assert calls == 0
    assert set(tree.tokens[1:]) == {0, 1}


class _Narrow:
    """A pace that lets every level follow so many nodes."""

    def __init__(self, *followed: int) -> None:
        self.followed = followed
        self.frontiers: list[list[float]] = []

    def enough(self, tree: DraftTree, source: str) -> bool:
        return False

    def begin(self, source: str, rows: int) -> bool:
        return True

    def least(self) -> float:
        return 0.0

    def deeper(self, depth: int, pools: list[list[float]], frontiers: list[list[float]], left: int) -> int:
        assert all(pool == sorted(pool, reverse=True) for pool in pools)
        self.frontiers.extend(frontiers)
        return self.followed[depth - 1] if depth <= len(self.followed) else 0


def test_a_level_follows_as_many_nodes_as_its_pace_says() -> None:
    draft = Markov(2, 6, seed=5)
    counts: list[int] = []

    def expand(tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        assert [len(row) for row in picked] == [tokens.shape[1]] * tokens.shape[0]
        counts.append(tokens.shape[1])
        return draft.expand(tokens, picked, straight)

    pace = _Narrow(1, 3, 2)
    first = torch.stack([draft.logits(row, ()) for row in range(2)])
    trees = grow([9, 9], first, expand, DraftBudget(24, 8, 3, pace), "test")
    assert counts == [1, 3, 2]
    assert all(front == sorted(front, reverse=True) and len(front) == 3 for front in pace.frontiers)
    for row, tree in enumerate(trees):
        tree.check()
        # 3 children of the root, and 3 of each node that was followed.
        assert len(tree) == 1 + 3 * (1 + 1 + 3 + 2)
        for node in range(1, len(tree)):
            path = tuple(tree.tokens[at] for at in tree.path(node)[1:])
            share = draft.logits(row, path[:-1]).softmax(0)[path[-1]].item()
            assert tree.probabilities[node] == pytest.approx(share, rel=1e-4)


def test_logits_that_are_no_numbers_make_no_torn_tree() -> None:
    nan = float("nan")
    trees = grow([1], torch.full((1, 5), nan), lambda *_: torch.full((1, 2, 5), nan), DraftBudget(8, 3, 2), "test")
    trees[0].check()


def test_nothing_follows_a_token_that_ends_the_text() -> None:
    followed: list[list[int]] = []

    def expand(tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        followed.extend(tokens.tolist())
        return torch.tensor([0.0, 9.0, 1.0, 0.5, 0.2]).expand(*tokens.shape, 5)

    # Token 1 ends the text and is the likeliest everywhere.
    first = torch.tensor([[0.0, 9.0, 1.0, 0.5, 0.2]])
    tree = grow([3], first, expand, DraftBudget(16, 4, 2, _Narrow(1, 1, 1)), "test", ends={1})[0]
    assert followed == [[2], [2], [2]]
    assert tree.tokens.count(1) == 4
    assert all(tree.tokens[parent] != 1 for parent in tree.parents[1:])
    # Where every candidate ends it the tree is done.
    followed.clear()
    assert len(grow([3], first, expand, DraftBudget(16, 4, 1), "test", ends={1})[0]) == 2
    assert not followed
    # Where another row goes on, something stands in its place.
    both = torch.cat((first, torch.tensor([[9.0, 0.0, 1.0, 0.5, 0.2]])))
    grow([3, 3], both, expand, DraftBudget(16, 2, 1), "test", ends={1})
    assert followed == [[0], [0]]


def test_the_likeliest_path_comes_first() -> None:
    draft = Markov(1, 6, seed=3)
    tree = grow([9], draft.logits(0, ())[None], draft.expand, DraftBudget(12, 4, 3), "test")[0]
    reach = [1.0]
    for node in range(1, len(tree)):
        reach.append(reach[tree.parents[node]] * tree.probabilities[node])
    first = [0]
    while children := [node for node in range(1, len(tree)) if tree.parents[node] == first[-1]]:
        first.append(max(children, key=reach.__getitem__))
    assert first == list(range(len(first)))
    assert len(first) > 2


class _Demanding(_Narrow):
    """A pace for which nodes must promise more than 0.2."""

    def least(self) -> float:
        return 0.2


def test_nodes_that_cannot_pay_are_not_kept() -> None:
    followed: list[list[int]] = []
    # Of the first row 0.64, 0.24, 0.09, .., of the second 0.31, 0.31, 0.31, ..
    shares = torch.tensor([[0.64, 0.24, 0.09, 0.03], [0.31, 0.31, 0.31, 0.07]]).log()

    def expand(tokens: torch.Tensor, picked: Sequence[Sequence[int]], straight: bool) -> torch.Tensor:
        followed.extend(tokens.tolist())
        return shares[:, None].expand(2, tokens.shape[1], 4)

    pace = _Demanding(3, 3)
    first, second = grow([9, 9], shares, expand, DraftBudget(24, 8, 4, pace), "test")
    # 0.64² = 0.41 and 0.64³ = 0.26, but 0.64 · 0.24 = 0.15; nothing below 0.31 is above 0.2.
    assert (first.tokens, first.parents) == ((9, 0, 0, 0, 1), (-1, 0, 1, 2, 0))
    assert sorted(second.tokens[1:]) == [0, 1, 2]
    assert second.parents == (-1, 0, 0, 0)
    assert [len(front) for front in pace.frontiers] == [2, 3, 1, 0, 1, 0]
    # All rows run as many; whatever stands where a row has no more is never read.
    assert all(len(row) == 3 for row in followed)
