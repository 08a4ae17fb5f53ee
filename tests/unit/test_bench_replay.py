"""Replayed acceptance: right as often as it says, lossless, with the real head's cost."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Rows
from typing import Any

import pytest
import torch

from specmemo_chat.bench.measuring.replay import ReplayDrafter, Script, best_tree, steer
from specmemo_chat.bench.measuring.shapes import random_head, random_twin
from specmemo_chat.drafters.base import DraftBudget, DraftRow
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.acceptance import expected_tokens, first_choice
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.tree import DraftTree
from tests.models import tiny_plan

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 2048,
}
HEAD = {**CONFIG, "num_hidden_layers": 1, "bias": True}
HEAD3 = {**HEAD, "architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": 200}


def scripted(seed: int = 0) -> tuple[Target, Script]:
    model = drawn_model(CONFIG, dtype="fp32", device="cpu", seed=seed)
    script = Script(300, 4096, seed)
    steer(model, script)
    return Target(model, frozenset()), script


@pytest.mark.parametrize("kind", ["eagle", "eagle3"])
def test_the_tree_is_that_of_the_published_fit(kind: str) -> None:
    tree = best_tree((first_choice(kind),), 60, 7, 10)
    assert len(tree) == 59
    assert 1 + sum(node.path for node in tree) == pytest.approx(expected_tokens(kind, 60, 7, 10))


def test_parents_come_first_and_limits_hold() -> None:
    tree = best_tree((0.9, 0.4, 0.7), 32, 4, 3)
    seen: dict[int, set[int]] = {}
    for index, node in enumerate(tree, start=1):
        assert node.parent < index
        assert node.level == (1 if not node.parent else tree[node.parent - 1].level + 1) <= 4
        assert 1 <= node.rank <= 3
        ranks = seen.setdefault(node.parent, set())
        assert node.rank == len(ranks) + 1
        ranks.add(node.rank)
    assert [node.path for node in tree] == sorted((node.path for node in tree), reverse=True)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_accepted_as_often_as_it_says_and_lossless(temperature: float) -> None:
    target, script = scripted()
    acceptance = (0.8, 0.6, 0.5)
    plan = tiny_plan(context_tokens=2048, node_buckets=(1, 2, 4, 8, 16), tree_depth=4, tree_width=3, growth_tokens=256)
    engine = Engine(target, ReplayDrafter(None, script, acceptance), plan, adaptive=False)
    sequence = engine.open([1, 2, 3], GenerationSettings(max_new_tokens=1000, temperature=temperature))
    while sequence.finished is None:
        engine.step([sequence])
    assert sequence.tokens[3:] == [script.token(position) for position in range(3, 1003)]
    expected = 1 + sum(node.path for node in best_tree(acceptance, 16, 4, 3))
    accepted = (sequence.new_tokens - 1) / sequence.statistics.steps
    # About 400 steps whose lengths have a standard deviation below 1.5: four standard errors.
    assert accepted == pytest.approx(expected, abs=0.3)


def test_the_outcome_at_a_position_is_always_the_same() -> None:
    _, script = scripted()
    row = [DraftRow(0, [5, 6, 7])]
    one, other = (ReplayDrafter(None, script, (0.7,), seed=4) for _ in range(2))
    assert one.propose(row, DraftBudget(16, 4, 3)) == other.propose(row, DraftBudget(16, 4, 3))
    small = one.propose(row, DraftBudget(4, 4, 3))[0]
    large = one.propose(row, DraftBudget(16, 4, 3))[0]
    # A smaller tree is the beginning of a larger one.
    assert large.tokens[: len(small)] == small.tokens
    assert "replayed" in one.name
    assert large.source == one.name
    large.check()


@pytest.mark.parametrize("config", [HEAD, HEAD3], ids=["eagle", "eagle3"])
def test_the_real_head_is_run_for_every_level(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    target, script = scripted()
    if config is HEAD3:
        config = {**config, "eagle_aux_hidden_state_layer_ids": [0, 1, 2]}
    plan = tiny_plan(context_tokens=512, node_buckets=(1, 2, 4, 8, 16, 32), tree_depth=5, tree_width=4)
    head = random_head(parse(config), target, "fp32", 1)
    drafter = ReplayDrafter(EagleDrafter(head, target, plan), script, (0.8,))
    assert drafter.name == f"{parse(config).kind} (replayed)"
    runs = 0

    def counted(run: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def call(*args: Any) -> torch.Tensor:
            nonlocal runs
            runs += 1
            return run(*args)

        return call

    for name in ("append", "forward"):
        monkeypatch.setattr(head, name, counted(getattr(head, name)))
    engine = Engine(target, drafter, plan, adaptive=False)
    sequence = engine.open([1, 2, 3, 4], GenerationSettings(max_new_tokens=60))
    while sequence.finished is None:
        engine.step([sequence])
    assert sequence.tokens[4:] == [script.token(position) for position in range(4, 64)]
    # One for what was committed and one for each of four further levels, in every step.
    assert runs == 5 * sequence.statistics.steps


class _Refusing:
    """A pace that stops at a depth; it sees the replayed head's probabilities."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.sources: list[str] = []
        self.seen: list[float] = []

    def enough(self, tree: DraftTree, source: str) -> bool:
        return False

    def begin(self, source: str, rows: int) -> bool:
        self.sources.append(source)
        return self.levels > 0

    def least(self) -> float:
        return 0.0

    def deeper(self, depth: int, pools: Rows[Rows[float]], frontiers: Rows[Rows[float]], left: int) -> int:
        self.seen.append(pools[0][0])
        return 4 if depth < self.levels else 0


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_the_pace_decides_with_the_replayed_probabilities(levels: int) -> None:
    _, script = scripted()
    pace = _Refusing(levels)
    drafter = ReplayDrafter(None, script, (0.9,))
    tree = drafter.propose([DraftRow(0, [1, 2])], DraftBudget(16, 6, 4, pace))[0]
    assert max(tree.depths) == levels
    assert pace.sources == [drafter.name]
    assert all(value == pytest.approx(0.9) for value in pace.seen)


@pytest.mark.parametrize("acceptance", [(0.0,), (1.0,)])
def test_the_ends_of_the_scale(acceptance: tuple[float, ...]) -> None:
    _, script = scripted()
    tree = ReplayDrafter(None, script, acceptance).propose([DraftRow(0, [1, 2])], DraftBudget(8, 3, 2))[0]
    tree.check()
    right = tree.tokens[1] == script.token(2)
    assert right is bool(acceptance[0])


def test_random_shapes_are_the_seeds_and_unknown_ones_are_refused() -> None:
    one, same, other = (random_twin(CONFIG, "fp32", "cpu", seed) for seed in (1, 1, 2))
    ids = torch.tensor([[1, 2, 3]])
    # Ours has the same weights.
    ours = drawn_model(CONFIG, dtype="fp32", device="cpu", seed=1)
    mask, places = torch.ones(3, 3, dtype=torch.bool).tril()[None, None], torch.arange(3)[None]
    torch.testing.assert_close(ours(ids, mask, places).logits, one(ids).logits, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        assert torch.equal(one(ids).logits, same(ids).logits)
        assert not torch.equal(one(ids).logits, other(ids).logits)
        assert bool(torch.isfinite(one(ids).logits).all())
    with pytest.raises(UsageError, match="'mamba'"):
        random_twin({**CONFIG, "model_type": "mamba"}, "fp32", "cpu", 0)
    with pytest.raises(UsageError, match="q8"):
        random_twin(CONFIG, "q8", "cpu", 0)
