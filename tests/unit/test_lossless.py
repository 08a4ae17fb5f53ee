"""Speculation changes no text: greedy equals transformers' generate, sampled equals sampled plain, token by token."""

from __future__ import annotations

import collections
import random
from collections.abc import Sequence as Rows
from typing import Any

import pytest
import torch

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.sampling import draw, uniform
from specmemo_chat.speculation.tree import DraftTree, Verdict
from tests.models import DEVICE, VOCABULARY, generate, prompts, target_of


class OracleDrafter(Drafter):
    """Proposes the true continuation in part: deep accepted paths, wrong siblings beside them."""

    name = "oracle"
    feature_layers: tuple[int, ...] = ()

    def __init__(self, text: list[int], seed: int) -> None:
        self._text = text
        self._random = random.Random(seed)

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        trees = []
        for row in rows:
            at = len(row.tokens)
            right = self._text[at : at + self._random.randint(0, 6)]
            paths = [[self._random.randrange(VOCABULARY) for _ in range(3)] for _ in range(3)]
            paths.insert(self._random.randrange(3), right)
            if len(right) > 2:
                paths.append([*right[:2], self._random.randrange(VOCABULARY)])
            trees.append(DraftTree.from_paths(row.tokens[-1], paths, budget.nodes, None, self.name))
        return trees

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict], features: torch.Tensor | None = None) -> None:
        pass

    def truncate(self, row: int, length: int) -> None:
        pass


def test_greedy_equals_generate(model: Any) -> None:
    for index, prompt in enumerate(prompts(4, seed=1)):
        model.set_attn_implementation("sdpa")
        expected = model.generate(
            torch.tensor([prompt], device=DEVICE),
            attention_mask=torch.ones(1, len(prompt), device=DEVICE),
            max_new_tokens=40,
            do_sample=False,
        )[0, len(prompt) :].tolist()
        target = target_of(model)
        settings = GenerationSettings(max_new_tokens=40)
        assert generate(target, prompt, settings) == expected
        assert generate(target, prompt, settings, NgramDrafter()) == expected
        assert generate(target, prompt, settings, OracleDrafter(prompt + expected, index)) == expected
        assert generate(target, prompt, settings, NgramDrafter(), adaptive=True) == expected


@pytest.mark.parametrize(
    "settings",
    [
        GenerationSettings(temperature=1.0, seed=3, max_new_tokens=40),
        GenerationSettings(temperature=0.7, top_k=8, seed=4, max_new_tokens=40),
        GenerationSettings(temperature=1.3, top_p=0.8, seed=5, max_new_tokens=40),
        GenerationSettings(temperature=1.0, min_p=0.1, repeat_penalty=1.2, seed=6, max_new_tokens=40),
        GenerationSettings(repeat_penalty=1.3, max_new_tokens=40),
    ],
    ids=["temperature", "top-k", "top-p", "min-p and penalty", "greedy with penalty"],
)
def test_sampled_speculative_equals_sampled_plain(model: Any, settings: GenerationSettings) -> None:
    target = target_of(model)
    for index, prompt in enumerate(prompts(2, seed=2)):
        plain = generate(target, prompt, settings)
        assert len(plain) == 40
        assert generate(target, prompt, settings, NgramDrafter()) == plain
        assert generate(target, prompt, settings, OracleDrafter(prompt + plain, index)) == plain
        assert generate(target, prompt, settings, NgramDrafter(), growth_tokens=64, prefill_chunk=50) == plain


def test_an_oracle_is_accepted(llama: Any) -> None:
    """The comparison above is worth something only if trees are accepted at all."""
    target = target_of(llama)
    prompt = prompts(1)[0]
    settings = GenerationSettings(max_new_tokens=40)
    plain = generate(target, prompt, settings)

    from specmemo_chat.engine.engine import Engine
    from tests.models import tiny_plan

    engine = Engine(target, OracleDrafter(prompt + plain, 0), tiny_plan(), adaptive=False)
    sequence = engine.open(prompt, settings)
    while sequence.finished is None:
        engine.step([sequence])
    assert sequence.statistics.steps < 25
    assert sequence.statistics.accepted > 15


def test_the_end_token_stops_inside_an_accepted_path(llama: Any) -> None:
    prompt = prompts(1)[0]
    plain = generate(target_of(llama), prompt, GenerationSettings(max_new_tokens=40))
    end = plain[11]
    expected = plain[: plain.index(end) + 1]
    target = target_of(llama, frozenset({end}))
    for drafter in (None, NgramDrafter(), OracleDrafter(prompt + plain, 1)):
        assert generate(target, prompt, GenerationSettings(), drafter) == expected


def test_the_context_ends_a_reply(llama: Any) -> None:
    prompt = prompts(1)[0]
    plain = generate(target_of(llama), prompt, GenerationSettings(max_new_tokens=60))
    new = generate(
        target_of(llama),
        prompt,
        GenerationSettings(),
        OracleDrafter(prompt + plain, 1),
        context_tokens=len(prompt) + 21,
    )
    assert new == plain[:21]


def test_the_plain_sampler_follows_the_distribution() -> None:
    """Chi-square against the exact probabilities, 20,000 draws with fixed seeds."""
    logits = torch.linspace(-2, 2, 12)
    count = 20_000
    uniforms = [uniform(seed, 17) for seed in range(count)]
    drawn = collections.Counter(draw(logits.repeat(count, 1), uniforms).tolist())
    expected = (logits.double().softmax(-1) * count).tolist()
    statistic = sum((drawn[token] - wanted) ** 2 / wanted for token, wanted in enumerate(expected))
    assert statistic < 37.4  # p = 1e-4 with 11 degrees of freedom


def test_uniform_numbers_depend_on_seed_and_position_only() -> None:
    numbers = {uniform(seed, position) for seed in range(50) for position in range(50)}
    assert len(numbers) == 2500
    assert all(0.0 <= number < 1.0 for number in numbers)
    assert uniform(1, 2) == uniform(1, 2)


def test_a_token_without_probability_is_never_drawn() -> None:
    scores = torch.full((3, 4), float("-inf"))
    scores[:, 2] = 0.0
    assert draw(scores, [0.0, 0.5, 1 - 2**-53]).tolist() == [2, 2, 2]
