"""Rotations that depend on the length of a text: each token is drawn as by one forward of transformers over it all."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.model import ModelDrafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from tests.models import ARCHITECTURES, DEVICE, VOCABULARY, generate, own, prompts, random_model, target_of, tiny_plan
from tests.unit.test_lossless import OracleDrafter

BOUNDARY, COUNT = 40, 14
GREEDY = GenerationSettings(max_new_tokens=COUNT)
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 100.0, "short_factor": [1.0] * 8, "factor": 512 / BOUNDARY,
    "long_factor": [3.0 + index for index in range(8)], "original_max_position_embeddings": BOUNDARY,
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 24},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 24,
    },
    "proportional": {},
}  # fmt: skip


def stretched(model_type: str = "llama", **changes: Any) -> Any:
    return random_model(model_type, rope_parameters=LONGROPE, **changes)


def reference(model: Any, prompt: list[int], count: int = COUNT) -> list[int]:
    """The likeliest tokens, each by a forward of transformers over the whole text."""
    theirs = copy.deepcopy(model)
    theirs.set_attn_implementation("sdpa")
    tokens = list(prompt)
    for _ in range(count):
        with torch.inference_mode():
            tokens.append(int(theirs(torch.tensor([tokens], device=DEVICE), use_cache=False).logits[0, -1].argmax()))
    return tokens[len(prompt) :]


def texts() -> list[list[int]]:
    """Prompts before the boundary, that cross it in the reply, and behind it; all longer than a chunk."""
    long = prompts(1, seed=31, shortest=90, longest=90)[0]
    return [long[:12], long[:30], long[: BOUNDARY - 1], long[:BOUNDARY], long[: BOUNDARY + 1], long[:70]]


def target_for(model: Any, kind: str) -> Target:
    return target_of(own(model) if kind == "own" else copy.deepcopy(model))


@pytest.mark.parametrize("kind", ["library", "own"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_longrope_turns_a_text_by_one_set_of_factors(model_type: str, kind: str) -> None:
    model = stretched(model_type)
    target = target_for(model, kind)
    for prompt in texts():
        assert generate(target, prompt, GREEDY) == reference(model, prompt), len(prompt)


def test_drafts_change_no_text_at_the_boundary() -> None:
    model = stretched()
    target = target_for(model, "own")
    small = target_of(stretched(num_hidden_layers=1))
    for index, prompt in enumerate(texts()):
        wanted = reference(model, prompt)
        plan = tiny_plan()
        drafters: list[Drafter] = [
            NgramDrafter(), OracleDrafter(prompt + wanted, index), ModelDrafter(small, target, plan),
        ]  # fmt: skip
        for drafter in drafters:
            assert generate(target, prompt, GREEDY, drafter) == wanted, (len(prompt), drafter.name)
        sampled = GenerationSettings(temperature=0.9, seed=index, max_new_tokens=COUNT)
        plain = generate(target, prompt, sampled)
        assert generate(target, prompt, sampled, OracleDrafter(prompt + plain, index)) == plain


def test_a_draft_of_the_same_rotation_is_always_right() -> None:
    model = stretched()
    target = target_for(model, "own")
    plan = tiny_plan(tree_depth=4, tree_width=1)
    for prompt in texts():
        engine = Engine(target, ModelDrafter(target_for(model, "own"), target, plan), plan, adaptive=False)
        sequence = engine.open(prompt, GREEDY)
        finish(engine, sequence)
        # Five tokens a step, but where the text crosses the boundary.
        assert sequence.statistics.steps <= -(-COUNT // 5) + 1, len(prompt)


def finish(engine: Engine, sequence: Sequence) -> list[int]:
    while sequence.finished is None:
        engine.step([sequence])
        engine.arena.check_integrity()
    return sequence.tokens[sequence.prompt_length :]


def test_a_row_that_is_kept_is_turned_anew_where_the_length_asks_for_it() -> None:
    model = stretched()
    engine = Engine(target_for(model, "own"), NgramDrafter(), tiny_plan())
    long = texts()[-1]
    kept: list[int] = []
    reused = []
    # Longer, beyond the boundary, longer still, and back again.
    for length in (12, 20, 50, 70, 20):
        prompt = long[:length]
        keep = next((at for at, (a, b) in enumerate(zip(prompt, kept, strict=False)) if a != b), min(length, len(kept)))
        sequence = engine.open(prompt, GenerationSettings(max_new_tokens=4), keep=keep)
        assert finish(engine, sequence) == reference(model, prompt, 4), length
        reused.append(sequence.statistics.reused_tokens)
        kept = engine.close(sequence)
    assert reused == [0, 12, 0, 50, 0]


def test_rows_of_different_lengths_share_a_forward() -> None:
    model = stretched()
    target = target_for(model, "own")
    plan = tiny_plan(rows=4)
    for drafter in (None, NgramDrafter(), ModelDrafter(target_of(stretched(num_hidden_layers=1)), target, plan)):
        scheduler = Scheduler(engine := Engine(target, drafter, plan))
        sequences = [engine.make(prompt, GREEDY) for prompt in texts()]
        for sequence in sequences:
            scheduler.add(sequence)
        while scheduler.running or scheduler.waiting:
            for sequence, _ in scheduler.step():
                if sequence.finished is not None:
                    scheduler.leave(sequence)
        for sequence, prompt in zip(sequences, texts(), strict=True):
            assert sequence.tokens[len(prompt) :] == reference(model, prompt), len(prompt)


@pytest.mark.parametrize("kind", ["library", "own"])
@pytest.mark.parametrize("rope", OTHERS)
def test_other_rotations_are_those_of_transformers_up_to_the_last_token(rope: str, kind: str) -> None:
    """Trees reach beyond the context's end, where dynamic NTK has other factors: they are no part of the text."""
    parameters = {"rope_type": rope, "rope_theta": 100.0, **OTHERS[rope]}
    model = random_model("llama", rope_parameters=parameters, max_position_embeddings=64)
    prompt = texts()[-1][:40]
    wanted = reference(model, prompt, 24)
    target = target_for(model, kind)
    drafter = OracleDrafter(prompt + wanted + [0] * 12, 3)
    settings = GenerationSettings(max_new_tokens=0)
    assert generate(target, prompt, settings, context_tokens=64) == wanted
    assert generate(target, prompt, settings, drafter, context_tokens=64) == wanted
    # And the next text is a short one.
    assert generate(target, prompt[:9], GREEDY, context_tokens=64) == reference(model, prompt[:9])


def test_texts_that_are_read_whole_behind_each_other() -> None:
    """As in training: a row holds a short and a long text."""
    model = stretched()
    target = target_for(model, "own")
    long = [token % VOCABULARY for token in texts()[-1]]
    short = long[:9]
    tokens = torch.tensor([short + long], device=DEVICE)
    positions = torch.tensor([[*range(9), *range(len(long))]], device=DEVICE)
    number = torch.tensor([[0] * 9 + [1] * len(long)], device=DEVICE)
    mask = (number[:, :, None] == number[:, None, :]) & (positions[:, :, None] >= positions[:, None, :])
    hidden = target.read(tokens, positions, mask[:, None])[0]
    plain = copy.deepcopy(model)
    plain.set_attn_implementation("sdpa")
    with torch.inference_mode():
        for text, found in ((short, hidden[:9]), (long, hidden[9:])):
            wanted = plain.model(torch.tensor([text], device=DEVICE), use_cache=False).last_hidden_state[0]
            torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-4)


class EagerPool:
    """In place of CUDA graphs: the same inputs and calls, nothing captured."""

    problem, captured, prepared = "", 0, 0

    def __init__(self) -> None:
        self.runs = 0

    def run(self, _key: Any, _stamp: Any, call: Any, inputs: Any) -> Any:
        self.runs += 1
        return call(inputs)


def test_what_a_graph_is_given_says_how_its_texts_are_turned() -> None:
    model = stretched()
    engine = Engine(target_for(model, "own"), NgramDrafter(), tiny_plan(rows=2))
    engine.runner.graphs = pool = EagerPool()  # type: ignore[assignment]
    one, other = texts()[-1], texts()[1]
    sequences = [engine.open(one, GREEDY, row=0), engine.open(other, GREEDY, row=1)]
    while any(sequence.finished is None for sequence in sequences):
        engine.step(sequences)
    assert pool.runs
    for sequence, prompt in zip(sequences, (one, other), strict=True):
        assert sequence.tokens[len(prompt) :] == reference(model, prompt)
