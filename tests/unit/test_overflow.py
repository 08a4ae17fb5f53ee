"""What a long conversation costs: the cut is found by the turns' sizes, the text rendered and tokenised once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from specmemo_chat.chat.conversation import OVERFLOW_SHARE, Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import UsageError
from specmemo_chat.events import Note, ReplyEnd
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.models import random_model, target_of, tiny_plan
from tests.tiny import POCKET, TINY

CONTEXT = 320
SHORT = GenerationSettings(max_new_tokens=8)
PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|> {{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Counting(ChatTokenizer):
    """Counts what is rendered and encoded."""

    renders = rendered = encoded = 0

    def encode(self, text: str, *, framed: bool = False) -> list[int]:
        self.encoded += len(text)
        return super().encode(text, framed=framed)

    def render(self, messages: Sequence[dict[str, str]], template: str, *, reply: bool) -> str:
        text = super().render(messages, template, reply=reply)
        self.renders += 1
        self.rendered += len(text)
        return text

    def reset(self) -> None:
        self.renders = self.rendered = self.encoded = 0


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama", **TINY), frozenset({4}))


@pytest.fixture
def tokenizer() -> Counting:
    return Counting(str(POCKET))


def conversation(target: Target, tokenizer: ChatTokenizer, template: str | None = PLAIN) -> Conversation:
    engine = Engine(target, None, tiny_plan(context_tokens=CONTEXT, growth_tokens=64, prefill_chunk=64))
    return Conversation(engine, tokenizer, History(tokenizer, template, target.eos_ids, "Be brief."))


def stored(turns: int) -> list[dict[str, str]]:
    messages = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"message {number} with some words in it"})
        messages.append({"role": "assistant", "content": f"an answer to number {number}"})
    return messages


def said(events: Any) -> tuple[list[str], ReplyEnd]:
    events = list(events)
    assert isinstance(events[-1], ReplyEnd)
    return [event.text for event in events if isinstance(event, Note)], events[-1]


@pytest.mark.parametrize("template", [PLAIN, None])
@pytest.mark.parametrize("action", ["reply", "resume", "regenerate", "outlook"])
def test_a_thousand_stored_turns_cost_what_a_hundred_cost(
    target: Target, tokenizer: Counting, action: str, template: str | None
) -> None:
    costs = []
    for turns in (100, 1000):
        talk = conversation(target, tokenizer, template)
        tokenizer.reset()
        talk.restore(stored(turns), "Be brief.")
        if action == "reply":
            notes, end = said(talk.reply("Hi", SHORT))
            assert end.stats.prompt_tokens <= CONTEXT - 8
            assert f"the oldest {turns - len(talk.history.turns) + 1} turns dropped" in notes[0]
        elif action == "outlook":
            outlook = talk.outlook(SHORT)
            assert 0.5 * CONTEXT < outlook.used_tokens <= CONTEXT
            assert outlook.next_drop > 0
        else:
            said(getattr(talk, action)(SHORT))
            assert 1 < len(talk.history.turns) < 40
        # A token of these texts has five characters on the average: what is kept is counted and encoded, once each.
        assert tokenizer.encoded < 4 * 5 * CONTEXT
        assert tokenizer.renders <= (0 if template is None else 6)
        costs.append((tokenizer.renders, tokenizer.encoded))
    assert costs[1][0] == costs[0][0]
    assert costs[1][1] == pytest.approx(costs[0][1], rel=0.15)


def test_a_conversation_that_overflows_again_and_again_costs_a_constant_each_time(
    target: Target, tokenizer: Counting
) -> None:
    talk = conversation(target, tokenizer)
    talk.restore(stored(200), "Be brief.")
    overflows = 0
    for number in range(30):
        tokenizer.reset()
        notes, end = said(talk.reply(f"message number {number} with some words", SHORT))
        talk._engine.arena.check_integrity()
        assert end.stats.prompt_tokens + 8 <= CONTEXT
        assert tokenizer.renders <= 5
        if any("dropped" in note for note in notes):
            overflows += 1
            assert 0.3 * CONTEXT < end.stats.prompt_tokens <= OVERFLOW_SHARE * CONTEXT + 16
        else:
            # The new message behind what stands before it.
            assert tokenizer.encoded < 500
        sizes = talk.outlook(SHORT).turn_tokens
        assert len(sizes) == len(talk.history.turns)
        assert sum(sizes) == talk.history.turns[-1].end
    assert 3 <= overflows <= 10


def test_a_template_that_leaves_earlier_thoughts_out_keeps_more_turns(target: Target, tokenizer: Counting) -> None:
    template = PLAIN.replace("m.content }}", "m.content.split('</think>')[-1] }}")
    messages = stored(60)
    for message in messages[1::2]:
        message["content"] = "<think>" + "many thoughts about it " * 8 + "</think>" + message["content"]
    talk = conversation(target, tokenizer, template)
    talk.restore(messages, "Be brief.")
    _, end = said(talk.reply("Hi", SHORT))
    assert 0.3 * CONTEXT <= end.stats.prompt_tokens <= CONTEXT - 8
    assert tokenizer.renders <= 8
    # Where all of them fit, none is dropped.
    talk.restore(messages[:16], "Be brief.")
    notes, _ = said(talk.reply("Hi", SHORT))
    assert len(talk.history.turns) == 9
    assert not any("dropped" in note for note in notes)


def test_a_message_that_no_context_holds_leaves_the_conversation_as_it_was(target: Target, tokenizer: Counting) -> None:
    talk = conversation(target, tokenizer)
    talk.restore(stored(4), "Be brief.")
    said(talk.reply("Hi", SHORT))
    before = [(turn.user, turn.reply, list(turn.prompt), list(turn.reply_ids)) for turn in talk.history.turns]
    with pytest.raises(UsageError, match=f"context holds {CONTEXT}"):
        list(talk.reply("word " * 400, SHORT))
    assert [(turn.user, turn.reply, turn.prompt, turn.reply_ids) for turn in talk.history.turns] == before
    _, end = said(talk.reply("Hi again", SHORT))
    assert end.stats.reused_tokens >= len(before[-1][2])
