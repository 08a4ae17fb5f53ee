"""The draft model and the chain: no text changes, the tokenizer is compared, the cheap drafter goes first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.drafters import make_drafter
from specmemo_chat.drafters.base import DraftBudget, DraftRow
from specmemo_chat.drafters.chain import LONG_MATCH, ChainDrafter
from specmemo_chat.drafters.model import ModelDrafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.drafters.pairing import check_hash, check_tokenizers, weights_hash
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.runner import Runner
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.tree import DraftTree
from tests.heads import write_eagle
from tests.models import generate, prompts, random_model, target_of, tiny_plan
from tests.tiny import save_tiny

GREEDY = GenerationSettings(max_new_tokens=40)
SAMPLED = GenerationSettings(temperature=0.9, min_p=0.05, repeat_penalty=1.1, seed=21, max_new_tokens=40)
BUDGET = DraftBudget(nodes=8, depth=4, width=2)


@pytest.fixture(scope="module", params=["llama", "qwen3", "mistral"])
def target(request: pytest.FixtureRequest) -> Target:
    return target_of(random_model(request.param))


@pytest.fixture(scope="module")
def small() -> Target:
    """A model of one layer with a shorter embedding than the target's."""
    return target_of(random_model("llama", num_hidden_layers=1, num_key_value_heads=1, vocab_size=55))


@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_the_text_is_that_of_plain_decoding(target: Target, small: Target, settings: GenerationSettings) -> None:
    for prompt in prompts(2, seed=14):
        plain = generate(target, prompt, settings)
        for draft in (small, target):
            for changes in ({}, {"tree_depth": 1}, {"prefill_chunk": 50, "growth_tokens": 64}):
                plan = tiny_plan(**changes)
                assert generate(target, prompt, settings, ModelDrafter(draft, target, plan), **changes) == plain
            chain = ChainDrafter([NgramDrafter(LONG_MATCH), ModelDrafter(draft, target, tiny_plan())])
            assert generate(target, prompt, settings, chain) == plain
            assert generate(target, prompt, settings, chain, adaptive=True) == plain


def test_a_draft_like_the_target_is_always_right(target: Target) -> None:
    prompt = prompts(1, seed=15)[0]
    plan = tiny_plan(tree_depth=4, tree_width=1)
    engine = Engine(target, ModelDrafter(target, target, plan), plan, adaptive=False)
    sequence = engine.open(prompt, GREEDY)
    while sequence.finished is None:
        engine.step([sequence])
    # One token from the prefill, then five a step.
    assert sequence.statistics.steps == 8
    assert sequence.new_tokens == 40


def test_rows_of_different_lengths_and_a_free_row(target: Target, small: Target) -> None:
    texts = prompts(4, seed=16, shortest=2, longest=40)
    plan = tiny_plan(rows=4)
    drafter = ModelDrafter(small, target, plan)
    engine = Engine(target, drafter, plan, adaptive=False)
    wanted = [SAMPLED, GREEDY, GenerationSettings(max_new_tokens=6)]
    sequences = [engine.open(text, want, row=row) for text, want, row in zip(texts, wanted, (0, 1, 3), strict=False)]
    while any(sequence.prefilling for sequence in sequences):
        engine.step(sequences)
    together = drafter.propose([DraftRow(sequence.row, sequence.tokens) for sequence in sequences], BUDGET)
    for sequence, tree in zip(sequences, together, strict=True):
        tree.check()
        alone = ModelDrafter(small, target, plan).propose([DraftRow(0, sequence.tokens)], BUDGET)[0]
        assert (tree.tokens, tree.parents) == (alone.tokens, alone.parents)
    while sequences[2].finished is None:
        engine.step(sequences)
    engine.close(sequences[2])
    sequences.append(engine.open(texts[3], GREEDY, row=3))
    while any(sequence.finished is None for sequence in sequences):
        engine.step(sequences)
        drafter.arena.check_integrity()
    for sequence, text, want in zip(sequences, texts, [*wanted, GREEDY], strict=True):
        assert sequence.tokens[len(text) :] == generate(target, text, want)


def test_a_changed_text_leaves_the_keys_of_a_fresh_prefill(target: Target, small: Target) -> None:
    drafter = ModelDrafter(small, target, tiny_plan())
    engine = Engine(target, drafter, tiny_plan(), adaptive=False)
    sequence = engine.open(prompts(1, seed=17)[0], GREEDY)
    while sequence.finished is None:
        engine.step([sequence])
    common = engine.close(sequence)[:20]
    again = engine.open([*common, 7, 8, 9], GREEDY, keep=20)
    while again.finished is None:
        engine.step([again])
    held = drafter.arena.lengths[0]
    fresh = Runner(small, small.new_arena(1, 256, 32, 32))
    # The draft reads tokens it does not know as its last one.
    fresh.prefill(0, [min(token, small.vocab_size - 1) for token in again.tokens[:held]])
    assert held > 30
    for layer in range(small.layers):
        for mine, other in zip(drafter.arena.committed(layer, 0), fresh.arena.committed(layer, 0), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_a_chain_asks_the_network_only_where_no_long_match_is(small: Target) -> None:
    asked: list[int] = []

    class Watched(ModelDrafter):
        def propose(self, rows: Any, budget: DraftBudget) -> list[DraftTree]:
            asked.extend(row.row for row in rows)
            return super().propose(rows, budget)

    chain = ChainDrafter([NgramDrafter(LONG_MATCH), Watched(small, small, tiny_plan(rows=3))])
    rows = [DraftRow(0, [1, 2, 3, 4, 9, 1, 2, 3]), DraftRow(1, [1, 2, 3, 4, 9, 8, 7, 3]), DraftRow(2, [5])]
    trees = chain.propose(rows, BUDGET)
    assert [tree.source for tree in trees] == ["ngram", "model", "model"]
    assert asked == [1, 2]
    assert chain.name == "ngram+model"
    assert chain.feature_layers == ()


def test_at_most_one_drafter_of_a_chain_reads_features(tmp_path: Path) -> None:
    write_eagle(tmp_path)
    plan = tiny_plan(drafters=("eagle", "eagle"), draft=str(tmp_path))
    with pytest.raises(ValueError, match="at most one"):
        make_drafter(plan, target_of(random_model("llama")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


def change_tokenizer(folder: Path, change: Any) -> None:
    file = folder / "tokenizer.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    change(values)
    file.write_text(json.dumps(values), encoding="utf-8")


def test_the_plan_loads_a_draft_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "draft")
    target = target_of(random_model("llama", vocab_size=2048))
    plan = tiny_plan(drafters=("ngram", "model"), draft=str(tmp_path / "draft"), target=str(folder))
    drafter = make_drafter(plan, target)
    assert isinstance(drafter, ChainDrafter)
    assert drafter.name == "ngram+model"
    prompt = prompts(1, seed=18)[0]
    assert generate(target, prompt, GREEDY, drafter) == generate(target, prompt, GREEDY)


def test_another_tokenizer_is_refused_with_the_reason(folder: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    shutil.copytree(folder, draft)
    check_tokenizers(draft, folder)

    def swapped(values: dict[str, Any]) -> None:
        vocabulary = values["model"]["vocab"]
        first, second = (text for text, token in vocabulary.items() if token in (300, 301))
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]

    change_tokenizer(draft, swapped)
    with pytest.raises(UsageError, match=r"token 300 is .* in the draft and .* in the target") as caught:
        make_drafter(
            tiny_plan(drafters=("model",), draft=str(draft), target=str(folder)), target_of(random_model("llama"))
        )
    assert caught.value.remedy is not None
    (draft / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        check_tokenizers(draft, folder)
    (draft / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read"):
        check_tokenizers(draft, folder)


def test_tokens_that_only_one_tokenizer_has_are_no_mismatch(folder: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    shutil.copytree(folder, draft)
    change_tokenizer(draft, lambda values: values["added_tokens"].append({"id": 5000, "content": "<tool>"}))
    check_tokenizers(draft, folder)
    check_tokenizers(folder, draft)


def test_a_head_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    recorded = weights_hash(folder)
    check_hash(tmp_path, recorded, folder)
    check_hash(tmp_path, "", folder)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    assert weights_hash(other) == recorded
    file = other / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="trained for other weights"):
        check_hash(tmp_path, recorded, other)
    file.unlink()
    with pytest.raises(ModelError, match="no weights"):
        weights_hash(other)
