"""The conversation: reuse, undo, regenerate, compare, overflow, interrupts, templates, bad input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import UsageError
from specmemo_chat.events import Event, Note, ReplyEnd, Text
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.models import random_model, target_of, tiny_plan
from tests.tiny import POCKET, TINY

SHORT = GenerationSettings(max_new_tokens=12)


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return ChatTokenizer(str(POCKET))


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama", **TINY), frozenset({4}))


@pytest.fixture
def talk(target: Target, tokenizer: ChatTokenizer) -> Conversation:
    return conversation(target, tokenizer)


def conversation(
    target: Target,
    tokenizer: ChatTokenizer,
    template: str | None = "own",
    context: int = 400,
    system: str | None = None,
) -> Conversation:
    engine = Engine(target, NgramDrafter(), tiny_plan(context_tokens=context, growth_tokens=64))
    template = tokenizer.template if template == "own" else template
    return Conversation(engine, tokenizer, History(tokenizer, template, target.eos_ids, system))


def end_of(events: Iterator[Event]) -> ReplyEnd:
    last = list(events)[-1]
    assert isinstance(last, ReplyEnd)
    return last


def test_the_text_events_are_the_reply(talk: Conversation) -> None:
    events = list(talk.reply("Hello there", SHORT))
    end = events[-1]
    assert isinstance(end, ReplyEnd)
    assert "".join(event.text for event in events if isinstance(event, Text)).rstrip() == end.text
    assert end.finish_reason == "length"
    assert end.stats.new_tokens == 12
    assert end.stats.reused_tokens == 0


def test_a_second_turn_does_not_compute_the_first_again(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer)
    texts = ["Hello there", "and then?", "what else", "go on please"]
    replies = []
    for number, text in enumerate(texts):
        before = talk.used_tokens
        end = end_of(talk.reply(text, SHORT))
        replies.append(end.text)
        if number:
            # Only the last token of the reply had no keys and values yet.
            assert end.stats.reused_tokens >= before - 1
            assert end.stats.reused_tokens / end.stats.prompt_tokens > 0.5
    # The same conversation from its texts alone gives the same next reply.
    fresh = conversation(target, tokenizer)
    messages = []
    for text, reply in zip(texts[:2], replies[:2], strict=True):
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": reply}]
    fresh.restore(messages, None)
    rendered = fresh.history.prompt(texts[2]).tokens
    kept = talk.history.turns[2].prompt
    # Generated ids need not be how the tokenizer would split their text; the text is the same.
    assert tokenizer.decode(rendered, special=True).replace(" ", "") == tokenizer.decode(kept, special=True).replace(
        " ", ""
    )


def test_undo_and_regenerate(talk: Conversation) -> None:
    first = end_of(talk.reply("Hello there", SHORT))
    end_of(talk.reply("Something else", SHORT))
    assert talk.undo()
    again = end_of(talk.regenerate(SHORT))
    assert again.text == first.text
    # The prompt's end is read as it was read the first time.
    assert again.stats.reused_tokens == first.stats.reused_tokens
    assert len(talk.history.turns) == 1
    other = end_of(talk.regenerate(GenerationSettings(temperature=1.0, seed=5, max_new_tokens=12)))
    assert other.text != first.text
    assert talk.history.turns[0].reply == other.text
    assert talk.undo()
    assert not talk.undo()


def test_a_reply_that_was_cut_goes_on_as_if_it_had_not_been(target: Target, tokenizer: ChatTokenizer) -> None:
    for settings in (SHORT, GenerationSettings(temperature=1.0, seed=3, max_new_tokens=12)):
        whole = end_of(conversation(target, tokenizer).reply("Hello there", replace(settings, max_new_tokens=24)))
        talk = conversation(target, tokenizer)
        first = end_of(talk.reply("Hello there", settings))
        events = list(talk.resume(settings))
        end = events[-1]
        assert isinstance(end, ReplyEnd)
        assert end.text == whole.text
        assert end.text.startswith(first.text)
        # Only what is new is shown; nothing is computed again but the last token.
        shown = "".join(event.text for event in events if isinstance(event, Text))
        assert (first.text + shown).rstrip() == whole.text or shown.strip() == whole.text[len(first.text) :].strip()
        assert end.stats.reused_tokens == end.stats.prompt_tokens - 1
        assert len(talk.history.turns) == 1
        follow = end_of(talk.reply("And then?", settings))
        assert follow.stats.reused_tokens > end.stats.prompt_tokens


def test_a_restored_reply_goes_on_from_its_text(talk: Conversation) -> None:
    talk.restore([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Once upon a"}], None)
    end = end_of(talk.resume(SHORT))
    assert end.text.startswith("Once upon a")
    assert len(end.text) > len("Once upon a")


def test_going_on_drops_old_turns_and_never_the_last(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer, context=96)
    with pytest.raises(UsageError, match="no turn"):
        list(talk.resume(SHORT))
    for text in ("one two three four five six", "seven eight nine ten eleven"):
        end_of(talk.reply(text, GenerationSettings(max_new_tokens=30)))
    long = GenerationSettings(max_new_tokens=40)
    notes = [event.text for event in talk.resume(long) if isinstance(event, Note)]
    assert notes == ["the context (96 tokens) is full: the oldest 1 turn dropped"]
    while len(talk.history.turns[0].prompt) + len(talk.history.turns[0].reply_ids) < 96:
        list(talk.resume(long))
    with pytest.raises(UsageError, match="fill the context"):
        list(talk.resume(long))
    assert len(talk.history.turns) == 1


def test_the_outlook_counts_turns_and_what_goes_next(talk: Conversation) -> None:
    for text in ("Hello there", "And then?", "What else?"):
        end_of(talk.reply(text, SHORT))
    outlook = talk.outlook(SHORT)
    sizes = outlook.turn_tokens
    assert len(sizes) == 3
    assert sum(sizes) >= talk.used_tokens
    assert outlook.reply_room == 12
    assert outlook.next_drop == 0
    # From the texts alone the counts are nearly the same.
    talk.restore(talk.history.messages(), None)
    assert sum(talk.history.turn_tokens(400)) == pytest.approx(sum(sizes), abs=16)
    assert talk.undo(2)
    assert not talk.undo(2)
    assert len(talk.history.turns) == 1


def test_compare_leaves_the_conversation_alone(talk: Conversation) -> None:
    end = end_of(talk.reply("Say it again and again and again", SHORT))
    speculative, plain = talk.compare(SHORT)
    assert speculative.text == plain.text == end.text
    assert plain.stats.drafter == "none"
    assert plain.stats.steps == 11
    assert len(talk.history.turns) == 1
    follow = end_of(talk.reply("and more", SHORT))
    assert follow.stats.reused_tokens > 0


def test_an_interrupt_keeps_the_partial_reply_and_a_valid_arena(talk: Conversation) -> None:
    asked = 0

    def interrupted() -> bool:
        nonlocal asked
        asked += 1
        return asked > 8

    end = end_of(talk.reply("Hello there", GenerationSettings(), interrupted))
    assert end.finish_reason == "interrupted"
    assert 0 < end.stats.new_tokens < 40
    assert talk.history.turns[0].reply == end.text
    talk._engine.arena.check_integrity()
    follow = end_of(talk.reply("go on", SHORT))
    assert follow.stats.reused_tokens > 0


def test_an_interrupt_before_the_first_token_forgets_the_turn(talk: Conversation) -> None:
    end = end_of(talk.reply("Hello there", SHORT, lambda: True))
    assert (end.text, end.finish_reason) == ("", "interrupted")
    assert talk.history.turns == []
    assert end_of(talk.reply("Hello there", SHORT)).text


def test_an_abandoned_reply_leaves_the_arena_valid(talk: Conversation) -> None:
    """A consumer that goes away in mid-reply (an error, a closed link) closes the generator."""
    events = talk.reply("Hello there", GenerationSettings(max_new_tokens=50))
    while not isinstance(next(events), Text):
        pass
    events.close()  # type: ignore[attr-defined]
    talk._engine.arena.check_integrity()
    assert talk.history.turns[0].reply
    assert end_of(talk.reply("go on", SHORT)).text


def test_stop_texts_end_a_reply_and_are_not_shown(talk: Conversation) -> None:
    whole = end_of(talk.reply("Hello there", GenerationSettings(max_new_tokens=30))).text
    stop = whole[10:13]
    talk.undo()
    settings = GenerationSettings(max_new_tokens=30, stop=(stop,))
    events = list(talk.reply("Hello there", settings))
    end = events[-1]
    assert isinstance(end, ReplyEnd)
    assert end.finish_reason == "stop"
    assert end.text == whole[: whole.index(stop)].rstrip()
    assert stop not in "".join(event.text for event in events if isinstance(event, Text))
    follow = end_of(talk.reply("and now?", SHORT))
    assert follow.stats.reused_tokens > 0
    prompt = talk.history.turns[1].prompt
    assert end.text in talk._tokenizer.decode(prompt).replace("  ", " ")


def test_overflow_drops_whole_oldest_turns_and_says_so(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer, context=160, system="Be brief.")
    settings = GenerationSettings(max_new_tokens=16)
    notes: list[str] = []
    for number in range(14):
        for event in talk.reply(f"message number {number} with some words", settings):
            if isinstance(event, Note):
                notes.append(event.text)
        talk._engine.arena.check_integrity()
    assert 0 < len(notes) < 7
    assert "dropped" in notes[0]
    rendered = tokenizer.decode(talk.history.turns[-1].prompt)
    assert "Be brief." in rendered
    assert "message number 0 " not in rendered


def test_a_template_that_rewrites_history_is_rendered_again(target: Target, tokenizer: ChatTokenizer) -> None:
    """Reasoning models' templates drop earlier replies."""
    template = (
        "{% for m in messages %}{% if m.role == 'user' or loop.last %}<|{{ m.role }}|> {{ m.content }}<|end|>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    talk = conversation(target, tokenizer, template)
    end_of(talk.reply("Hello there my friend", SHORT))
    events = list(talk.reply("and now something longer", SHORT))
    assert any(isinstance(event, Note) and "rewrites" in event.text for event in events)
    end = events[-1]
    assert isinstance(end, ReplyEnd)
    assert 0 < end.stats.reused_tokens < end.stats.prompt_tokens


def test_without_a_template_the_text_is_sent_raw(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer, None)
    end_of(talk.reply("Once upon a time", SHORT))
    assert tokenizer.decode(talk.history.turns[0].prompt, special=True) == "Once upon a time"


@pytest.mark.parametrize(("text", "message"), [("   \n", "empty"), ("word " * 500, "context holds 400")])
def test_bad_prompts_change_nothing(talk: Conversation, text: str, message: str) -> None:
    end_of(talk.reply("Hello", SHORT))
    with pytest.raises(UsageError, match=message):
        list(talk.reply(text, SHORT))
    assert len(talk.history.turns) == 1


def test_restoring_needs_alternating_roles(talk: Conversation) -> None:
    for messages in (
        [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        [{"role": "assistant", "content": "a"}],
        [{"role": "user", "content": "a"}],
    ):
        with pytest.raises(UsageError):
            talk.restore(messages, None)


def test_twelve_turns_reuse_nearly_everything(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer, context=500)
    for turn in range(12):
        before = len(talk.history.turns[-1].prompt) + len(talk.history.turns[-1].reply_ids) if turn else 0
        end = end_of(talk.reply(f"word {turn} and some more of it", SHORT))
        assert end.stats.reused_tokens >= 0.95 * before


def test_old_turns_do_not_keep_the_ids_of_all_that_stood_before_them(target: Target, tokenizer: ChatTokenizer) -> None:
    talk = conversation(target, tokenizer, context=500)
    sizes, exact = [], 0
    for number in range(10):
        end_of(talk.reply(f"word {number} and some more of it", SHORT))
        sizes.append(talk.history.turns[-1].end - exact)
        exact = talk.history.turns[-1].end
    assert sum(len(turn.prompt) for turn in talk.history.turns) < 5 * exact
    assert talk.history.turn_tokens(500) == sizes
    # Those that did are taken back, asked again and gone on with as ever.
    first = talk.history.turns[2].reply
    assert talk.undo(7)
    assert talk.history.turn_tokens(500) == sizes[:3]
    assert end_of(talk.regenerate(SHORT)).text == first
    assert end_of(talk.reply("and now?", SHORT)).stats.reused_tokens >= sum(sizes[:3]) - 20


def test_the_tokenizer_of_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    from specmemo_chat.errors import ModelError

    with pytest.raises(ModelError, match="tokenizer"):
        ChatTokenizer(str(tmp_path))


@pytest.mark.parametrize(
    "settings",
    [SHORT, replace(SHORT, stop=("e",)), GenerationSettings(max_new_tokens=60, temperature=1.5, seed=1)],
    ids=["length", "stop text", "end token or length"],
)
def test_the_end_counts_the_context_as_the_outlook_does(talk: Conversation, settings: GenerationSettings) -> None:
    for events in (
        talk.reply("Hello there", settings),
        talk.resume(SHORT),
        talk.reply("and then?", settings),
        talk.regenerate(settings),
    ):
        assert end_of(events).used_tokens == talk.outlook(settings).used_tokens
