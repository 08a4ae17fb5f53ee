"""In every precision a draft changes no bit: what was accepted leaves the bytes of plain decoding in the arena."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.models import attention
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from tests.models import own, prompts, random_model, target_of, tiny_plan
from tests.unit.test_lossless import OracleDrafter

# Wide enough that products of one row and of several differ where they can; logits so near each other that in bf16 many
# are equal: whatever changes a bit changes the text.
NEAR_TIES = {"hidden_size": 256, "intermediate_size": 704, "initializer_range": 0.06}
PRECISIONS = ("bf16", "fp16", "q8", "q4")
GREEDY = GenerationSettings(max_new_tokens=60)
SAMPLED = GenerationSettings(temperature=0.8, seed=5, max_new_tokens=60)


@cache
def target(precision: str, model_type: str = "llama", heads: int = 2) -> Target:
    """A model of `heads` key heads and four query heads, by our own module."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    model = random_model(model_type, num_key_value_heads=heads, **NEAR_TIES).to(dtype)
    return target_of(own(model, precision if precision in ("q8", "q4") else ""))


def engine_of(target: Target, drafter: Drafter | None, **plan: Any) -> Engine:
    return Engine(target, drafter, tiny_plan(prefill_chunk=16, **plan), adaptive=False)


def finish(engine: Engine, sequence: Sequence) -> list[int]:
    while sequence.finished is None:
        engine.step([sequence])
        engine.arena.check_integrity()
    return sequence.tokens


def stands(engine: Engine, row: int, tokens: int) -> list[torch.Tensor]:
    """Keys and values of the first tokens of a row."""
    return [
        states[:, :tokens].clone()
        for layer in range(engine.arena.layers)
        for states in engine.arena.committed(layer, row)
    ]


def assert_same_bytes(found: Rows[torch.Tensor], expected: Rows[torch.Tensor]) -> None:
    for layer, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(one, other), f"tensor {layer}: {(one != other).any(0).any(-1).nonzero().flatten().tolist()}"


def plain_of(target: Target, prompt: list[int], settings: GenerationSettings) -> tuple[list[int], list[torch.Tensor]]:
    engine = engine_of(target, None)
    tokens = finish(engine, engine.open(prompt, settings))
    return tokens, stands(engine, 0, len(tokens) - 1)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_branching_drafts_leave_the_bytes_of_plain_decoding(precision: str, settings: GenerationSettings) -> None:
    for index, prompt in enumerate(prompts(3, seed=11)):
        tokens, expected = plain_of(target(precision), prompt, settings)
        engine = engine_of(target(precision), OracleDrafter(tokens, index))
        sequence = engine.open(prompt, settings)
        assert finish(engine, sequence) == tokens
        assert sequence.statistics.accepted > 25
        assert_same_bytes(stands(engine, 0, len(tokens) - 1), expected)


def test_branches_behind_long_texts() -> None:
    """Texts of which keys in other slots change a bit, on a processor with AMX."""
    model = target_of(own(random_model("llama", head_dim=64, num_hidden_layers=4, **NEAR_TIES).to(torch.bfloat16)))
    settings = replace(GREEDY, max_new_tokens=70)
    texts = prompts(24, seed=21, shortest=100, longest=150)
    for index in (7, 20, 23):
        plain = engine_of(model, None)
        tokens = finish(plain, plain.open(texts[index], settings))
        engine = engine_of(model, OracleDrafter(tokens, index))
        assert finish(engine, engine.open(texts[index], settings)) == tokens
        count = len(tokens) - 1
        assert_same_bytes(stands(engine, 0, count), stands(plain, 0, count))


@pytest.mark.parametrize(("model_type", "heads"), [("mistral", 2), ("llama", 4), ("qwen3", 1)])
def test_windows_and_heads_of_other_groups(model_type: str, heads: int) -> None:
    model = target("bf16", model_type, heads)
    for index, prompt in enumerate(prompts(3, seed=12)):
        tokens, expected = plain_of(model, prompt, GREEDY)
        engine = engine_of(model, OracleDrafter(tokens, index))
        assert finish(engine, engine.open(prompt, GREEDY)) == tokens
        assert_same_bytes(stands(engine, 0, len(tokens) - 1), expected)


class Oracles(OracleDrafter):
    """An oracle for each prompt: rows are told apart by how their texts begin."""

    def __init__(self, texts: list[list[int]]) -> None:
        super().__init__([], 3)
        self._texts = texts

    def propose(self, rows: Rows[Any], budget: Any) -> list[Any]:
        trees = []
        for row in rows:
            self._text = next((text for text in self._texts if text[:8] == row.tokens[:8]), [])
            trees += super().propose([row], budget)
        return trees


@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("drafted", [False, True], ids=["plain", "drafts"])
def test_other_rows_change_no_bit(heads: int, drafted: bool) -> None:
    """Rows enter while others decode, with prompts of several pieces, and one gives its row up and takes it again."""
    model = target("bf16", "llama", heads)
    texts = prompts(5, seed=13, shortest=8, longest=40)
    alone = [plain_of(model, text, GREEDY) for text in texts]
    engine = engine_of(model, Oracles([tokens for tokens, _ in alone]) if drafted else None, rows=3)
    scheduler = Scheduler(engine)
    sequences = [engine.make(text, GREEDY) for text in texts]
    for sequence in sequences:
        scheduler.add(sequence)
    steps = 0
    while any(sequence.finished is None for sequence in sequences):
        scheduler.step()
        steps += 1
        if steps == 12:
            scheduler._park(scheduler.running[-1])
        for sequence, (tokens, expected) in zip(sequences, alone, strict=True):
            if sequence.finished is not None and sequence in scheduler.running:
                assert sequence.tokens == tokens
                assert_same_bytes(stands(engine, sequence.row, len(tokens) - 1), expected)
                scheduler.leave(sequence)
    assert scheduler.parked == 1


def test_a_reply_made_again_is_the_same() -> None:
    """Its prompt is read in the pieces of the first time, though all but the last token stand in the arena."""
    model = target("bf16")
    prompt = prompts(1, seed=14, shortest=40, longest=50)[0]
    for drafter in (None, OracleDrafter(plain_of(model, prompt, GREEDY)[0], 1)):
        engine = engine_of(model, drafter)
        first = engine.open(prompt, GREEDY)
        tokens = list(finish(engine, first))
        before = stands(engine, 0, len(tokens) - 1)
        kept = engine.close(first)
        again = engine.open(prompt, GREEDY, keep=sum(a == b for a, b in zip(kept, prompt, strict=False)))
        assert finish(engine, again) == tokens
        assert again.statistics.reused_tokens == len(prompt) // 16 * 16
        assert_same_bytes(stands(engine, 0, len(tokens) - 1), before)


def test_exact_off_attends_branches_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompt = target("bf16"), prompts(1, seed=11)[0]
    tokens, _ = plain_of(model, prompt, GREEDY)
    calls: list[int] = []
    apart = attention._attend_runs

    def counted(*given: Any) -> torch.Tensor:
        calls.append(1)
        return apart(*given)

    monkeypatch.setattr(attention, "_attend_runs", counted)
    for exact in (True, False):
        calls.clear()
        engine = engine_of(model, OracleDrafter(tokens, 0))
        finish(engine, engine.open(prompt, replace(GREEDY, exact=exact)))
        assert bool(calls) is exact
