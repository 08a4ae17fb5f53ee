"""Trees, verification, stop texts and the n-gram drafter: pure functions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.drafters.base import DraftBudget, DraftRow
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.stops import StopMatcher
from specmemo_chat.speculation.tree import DraftTree
from specmemo_chat.speculation.verify import verify

paths = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=8)
BUDGET = DraftBudget(nodes=16, depth=6, width=4)


@given(paths, st.integers(1, 20))
def test_merged_trees_are_valid_and_hold_the_first_paths(candidates: list[list[int]], limit: int) -> None:
    tree = DraftTree.from_paths(9, candidates, limit)
    tree.check()
    assert len(tree) <= limit
    held = {tuple(tree.tokens[at] for at in tree.path(node))[1:] for node in range(len(tree))}
    prefixes = {tuple(path[:size]) for path in candidates for size in range(len(path) + 1)}
    assert held <= prefixes | {()}
    if limit == 20 and len(prefixes) < 20:
        assert held == prefixes | {()}


@given(paths, st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_verify_accepts_exactly_the_longest_matching_path(candidates: list[list[int]], text: list[int]) -> None:
    """`text` is what plain decoding would emit; every other node draws a token that nobody proposed."""
    tree = DraftTree.from_paths(9, candidates, 64)
    drawn = []
    for node in range(len(tree)):
        walked = [tree.tokens[at] for at in tree.path(node)][1:]
        matches = walked == text[: len(walked)] and len(walked) < len(text)
        drawn.append(text[len(walked)] if matches else 99)
    verdict = verify(tree, drawn)
    longest = max(
        (size for path in [*candidates, []] for size in range(len(path) + 1) if path[:size] == text[:size]), default=0
    )
    expected = [*text[:longest], text[longest] if longest < len(text) else 99]
    assert list(verdict.tokens) == expected
    assert verdict.bonus == expected[-1]
    assert verdict.path[0] == 0
    assert verdict.accepted == longest


@pytest.mark.parametrize(
    ("parents", "tokens"), [((0,), (1,)), ((-1, 1), (1, 2)), ((-1, 0, 0), (1, 2, 2)), ((-1, 0), (1,))]
)
def test_broken_trees_are_found(parents: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        DraftTree(tokens, parents).check()


@given(st.text(alphabet="abc", max_size=30), st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
def test_stop_texts_cut_at_the_first_match_however_the_text_is_split(text: str, stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    pieces = [text[at : at + 2] for at in range(0, len(text), 2)]
    shown = "".join(matcher.push(piece) for piece in pieces)
    shown += matcher.flush()
    # A stop is seen when it is complete: of two that overlap the one that ends first wins.
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    assert matcher.stopped == bool(ends)
    if not ends:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert all(stop not in shown for stop in stops)


def test_a_repetition_is_proposed_with_its_branches() -> None:
    drafter = NgramDrafter()
    tokens = [1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3]
    tree = drafter.propose([DraftRow(0, tokens)], BUDGET)[0]
    tree.check()
    assert tree.tokens[0] == 3
    children = {tree.tokens[node] for node in range(1, len(tree)) if tree.parents[node] == 0}
    assert children == {5, 4}
    assert tree.source == "ngram"
    # The later continuation comes first.
    assert tree.tokens[1:4] == (5, 9, 1)


def test_new_words_are_not_drafted() -> None:
    tree = NgramDrafter().propose([DraftRow(0, [1, 2, 3])], BUDGET)[0]
    assert tree == DraftTree.root_only(3)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
def test_truncating_equals_starting_anew(tokens: list[int], data: st.DataObject) -> None:
    drafter = NgramDrafter()
    drafter.propose([DraftRow(0, tokens)], BUDGET)
    length = data.draw(st.integers(0, len(tokens)))
    drafter.truncate(0, length)
    other = tokens[:length] + data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=10))
    assert drafter.propose([DraftRow(0, other)], BUDGET) == NgramDrafter().propose([DraftRow(0, other)], BUDGET)


def test_the_index_stays_small_under_random_use() -> None:
    rng = random.Random(1)
    drafter = NgramDrafter()
    tokens = [rng.randrange(20) for _ in range(500)]
    for _ in range(50):
        drafter.propose([DraftRow(0, tokens)], BUDGET)
        cut = rng.randrange(len(tokens))
        drafter.truncate(0, cut)
        tokens = tokens[:cut] + [rng.randrange(20) for _ in range(rng.randrange(1, 60))]
    index = drafter._indices[0]
    assert sum(len(ends) for ends in index.follows.values()) <= 4 * len(index.tokens)
