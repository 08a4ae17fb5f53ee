"""Pocket, the model in the box, and its draft head: 100 prompts, with every draft and without, beside transformers' own
`generate`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from specmemo_chat.drafters import make_drafter
from specmemo_chat.drafters.base import Drafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.models import generate, tiny_plan
from tests.tiny import POCKET
from tools.pocket.evaluation.score import read_prompts

GREEDY = GenerationSettings(max_new_tokens=24)
SAMPLED = [
    GenerationSettings(temperature=0.9, max_new_tokens=24),
    GenerationSettings(temperature=1.2, top_k=30, top_p=0.95, max_new_tokens=24),
    GenerationSettings(temperature=1.0, min_p=0.05, repeat_penalty=1.15, max_new_tokens=24),
]


@pytest.fixture(scope="module")
def pocket() -> Target:
    return load_target(str(POCKET), dtype="fp32", device="cpu")


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    """100 prompts of the evaluation, rendered by Pocket's template; every fourth has an earlier turn."""
    tokenizer = ChatTokenizer(str(POCKET))
    template = tokenizer.template
    assert template is not None
    messages = [prompt.turns[-1] for prompt in read_prompts()][::3][:100]
    rendered = []
    for index, text in enumerate(messages):
        chat = [{"role": "user", "content": text}]
        if index % 4 == 0:
            earlier = messages[index - 1]
            chat = [{"role": "user", "content": earlier}, {"role": "assistant", "content": earlier}, *chat]
        rendered.append(tokenizer.encode(tokenizer.render(chat, template, reply=True)))
    assert len(rendered) == 100
    return rendered


DRAFTS = (("ngram",), ("eagle3",), ("ngram", "eagle3"))


def drafter_of(names: tuple[str, ...], pocket: Target) -> Drafter:
    plan = tiny_plan(target=str(POCKET), draft=str(POCKET / "head"), drafters=names)
    drafter = make_drafter(plan, pocket)
    assert drafter is not None
    return drafter


# All 100 are run under the marker.
counts = pytest.mark.parametrize("count", [15, pytest.param(100, marks=pytest.mark.stress)])


@counts
def test_greedy_text_is_that_of_generate(pocket: Target, prompts: list[list[int]], count: int) -> None:
    plain = LlamaForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    for prompt in prompts[:count]:
        expected = plain.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=24, do_sample=False
        )[0, len(prompt) :].tolist()
        assert generate(pocket, prompt, GREEDY) == expected
        for names in DRAFTS:
            assert generate(pocket, prompt, GREEDY, drafter_of(names, pocket)) == expected


@counts
def test_sampled_text_is_that_of_plain_sampling(pocket: Target, prompts: list[list[int]], count: int) -> None:
    different = 0
    for seed, prompt in enumerate(prompts[:count]):
        settings = replace(SAMPLED[seed % len(SAMPLED)], seed=seed)
        plain = generate(pocket, prompt, settings)
        drafter = drafter_of(DRAFTS[seed % len(DRAFTS)], pocket)
        assert generate(pocket, prompt, settings, drafter) == plain
        different += plain != generate(pocket, prompt, GREEDY)
    # Sampling is not greedy in disguise.
    assert different > 3


def test_the_head_is_small_and_right_more_often_than_not(pocket: Target, prompts: list[list[int]]) -> None:
    assert (POCKET / "head" / "model.safetensors").stat().st_size <= 3_000_000
    plan = tiny_plan(target=str(POCKET), draft=str(POCKET / "head"), drafters=("eagle3",))
    engine = Engine(pocket, make_drafter(plan, pocket), plan, adaptive=False)
    tokens = steps = 0
    for prompt in prompts[:20]:
        sequence = engine.open(prompt, GenerationSettings(max_new_tokens=48))
        while sequence.finished is None:
            engine.step([sequence])
        tokens += sequence.new_tokens - 1
        steps += sequence.statistics.steps
        engine.close(sequence)
    assert tokens / steps > 2.5
