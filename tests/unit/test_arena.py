"""The arena and the runner: scores equal sequential logits, commits equal a fresh prefill."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specmemo_chat.engine.runner import Runner
from specmemo_chat.kv.arena import ArenaFullError, KVArena, Window
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree
from tests.models import VOCABULARY, target_of

quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def trees(draw: st.DrawFn) -> DraftTree:
    """Random trees, chains and stars among them."""
    size = draw(st.integers(1, 12))
    tokens, parents = [draw(st.integers(0, VOCABULARY - 1))], [-1]
    for node in range(1, size):
        parent = draw(st.integers(0, node - 1))
        used = {tokens[other] for other in range(1, node) if parents[other] == parent}
        tokens.append(draw(st.sampled_from([token for token in range(VOCABULARY) if token not in used])))
        parents.append(parent)
    tree = DraftTree(tuple(tokens), tuple(parents), (1.0,) * size)
    tree.check()
    return tree


def fresh_logits(target: Target, tokens: list[int]) -> torch.Tensor:
    runner = Runner(target, target.new_arena(1, 256, 32, 32))
    return runner.prefill(0, tokens)[0]


@quick
@given(data=st.data())
def test_scores_equal_sequential_logits_and_commits_equal_a_prefill(model: Any, data: st.DataObject) -> None:
    target = target_of(model)
    rows = data.draw(st.integers(1, 3))
    runner = Runner(target, target.new_arena(rows, 200, 16, 16))
    texts: list[list[int]] = []
    for row in range(rows):
        text = data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40))
        runner.prefill(row, text)
        texts.append(text)
    drafts = [data.draw(trees()) for _ in range(rows)]
    scores = runner.score(range(rows), drafts, 16)
    for row, tree in enumerate(drafts):
        node = data.draw(st.integers(0, len(tree) - 1))
        path = tree.path(node)
        text = texts[row] + [tree.tokens[at] for at in path]
        logits = scores.logits[scores.starts[row] + node]
        torch.testing.assert_close(logits, fresh_logits(target, text), rtol=1e-4, atol=1e-4)
        runner.commit((row,), (path,))
        runner.arena.check_integrity()
        fresh = Runner(target, target.new_arena(1, 256, 32, 32))
        fresh.prefill(0, text)
        for layer in range(runner.arena.layers):
            for mine, other in zip(runner.arena.committed(layer, row), fresh.arena.committed(layer, 0), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_rows_that_are_not_neighbours_are_scored_alike(llama: Any) -> None:
    target = target_of(llama)
    runner = Runner(target, target.new_arena(4, 100, 16, 8))
    runner.prefill(0, [1, 2, 3])
    runner.prefill(3, [4, 5, 6, 7, 8, 9])
    logits = runner.score([0, 3], [DraftTree.root_only(5), DraftTree.from_paths(5, [[6, 7]], 8)]).logits
    torch.testing.assert_close(logits[0], fresh_logits(target, [1, 2, 3, 5]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits[3], fresh_logits(target, [4, 5, 6, 7, 8, 9, 5, 6, 7]), rtol=1e-4, atol=1e-4)


def arena(**changes: Any) -> KVArena:
    fields: dict[str, Any] = {
        "dtype": torch.float32,
        "device": "cpu",
        "limit_tokens": 100,
        "growth_tokens": 16,
        "scratch_tokens": 8,
    }
    return KVArena(2, 2, 2, 4, **{**fields, **changes})


def test_growth_keeps_what_is_committed_and_zeroes_the_rest() -> None:
    kv = arena()
    ones = torch.ones(1, 2, 10, 4)
    kv.store(0, kv.window((1,), torch.arange(10)[None], 16), ones, 2 * ones)
    kv.extend(1, 10)
    kv.reserve(70)
    kv.check_integrity()
    keys, values = kv.committed(0, 1)
    assert torch.equal(keys, ones[0])
    assert torch.equal(values, 2 * ones[0])
    assert kv.capacity % 16 == 0
    assert kv._keys[0][0, :, 10:].abs().sum() == 0


def test_the_arena_never_outgrows_its_plan() -> None:
    kv = arena()
    kv.reserve(108)
    assert kv.capacity == 112 == kv.largest_capacity
    with pytest.raises(ArenaFullError):
        kv.reserve(113)
    with pytest.raises(ArenaFullError):
        kv.extend(0, 101)
    assert arena(allocate_at_load=True).capacity == 112


def test_truncation_only_goes_back() -> None:
    kv = arena()
    kv.extend(0, 12)
    kv.truncate(0, 5)
    assert kv.lengths == [5, 0]
    with pytest.raises(ValueError, match="cannot be cut"):
        kv.truncate(0, 6)


def test_attention_without_a_mask_is_refused(llama: Any) -> None:
    from specmemo_chat.models.attention import folded_attention

    tensor = torch.zeros(1, 2, 1, 4)
    with pytest.raises(ValueError, match="mask"):
        folded_attention(llama, tensor, tensor, tensor, None)


@pytest.mark.parametrize("fixed", [False, True])
def test_rows_are_lined_up_and_keep_what_they_hold(fixed: bool) -> None:
    arena = KVArena(2, 6, 2, 4, dtype=torch.float32, device="cpu", limit_tokens=40, growth_tokens=8, scratch_tokens=8,
                    allocate_at_load=fixed)  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    held = {}
    for row in (4, 0, 2, 5, 1):
        tokens = 3 + row
        keys = torch.randn((1, 2, tokens, 4), generator=generator)
        slots = torch.arange(tokens)[None]
        window = arena.window([row], slots, arena.view(tokens))
        for layer in range(arena.layers):
            arena.store(layer, window, keys + layer, -keys - layer)
        arena.extend(row, tokens)
        held[row] = keys[0]
    for rows in ([1, 4], [5, 4, 2], [0, 1, 2, 4, 5], [2], [1, 0]):
        order = [rows[index] for index in arena.line_up(rows)]
        assert sorted(order) == sorted(rows)
        assert arena.neighbours(order)
        arena.check_integrity()
        for row, keys in held.items():
            for layer in range(arena.layers):
                own, values = arena.committed(layer, row)
                assert torch.equal(own, keys + layer)
                assert torch.equal(values, -keys - layer)


@pytest.mark.parametrize("start", [3, None])
def test_what_pads_a_forward_is_not_stored(start: int | None) -> None:
    """On a CPU, and on a GPU, which is not asked where the first slot is."""
    arena = KVArena(1, 1, 2, 4, dtype=torch.float32, device="cpu", limit_tokens=8, growth_tokens=4, scratch_tokens=4)
    arena.view(8)
    window = Window(torch.tensor([[3, 4]]), None, 0, 1, None, 8, start)
    states = torch.ones(1, 2, 3, 4)
    keys, values = arena.store(0, window, states, states)
    for kept in (keys, values):
        assert kept[0, 0, :, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]
