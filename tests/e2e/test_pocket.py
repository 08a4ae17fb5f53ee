"""Pocket, the model in the box: 100 prompts, with and without a draft, beside transformers' own `generate`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.train.evaluation.score import read_prompts
from tests.models import generate
from tests.tiny import POCKET

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


# All 100 are run under the marker.
counts = pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.stress)])


@counts
def test_greedy_text_is_that_of_generate(pocket: Target, prompts: list[list[int]], count: int) -> None:
    plain = LlamaForCausalLM.from_pretrained(POCKET, dtype=torch.float32)
    for prompt in prompts[:count]:
        expected = plain.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=24, do_sample=False
        )[0, len(prompt) :].tolist()
        assert generate(pocket, prompt, GREEDY) == expected
        assert generate(pocket, prompt, GREEDY, NgramDrafter()) == expected


@counts
def test_sampled_text_is_that_of_plain_sampling(pocket: Target, prompts: list[list[int]], count: int) -> None:
    different = 0
    for seed, prompt in enumerate(prompts[:count]):
        settings = replace(SAMPLED[seed % len(SAMPLED)], seed=seed)
        plain = generate(pocket, prompt, settings)
        assert generate(pocket, prompt, settings, NgramDrafter()) == plain
        different += plain != generate(pocket, prompt, GREEDY)
    # Sampling is not greedy in disguise.
    assert different > 5
