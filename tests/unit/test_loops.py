"""A reply that only repeats itself is stopped: at the same token however it was decoded, and only a real loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.loops import LEAST_REPEATS, LEAST_TOKENS, LoopWatch
from specmemo_chat.events import Event, ReplyEnd
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.models import generate, prompts, target_of, tiny_plan
from tests.tiny import POCKET, TINY, looping_model
from tests.unit.test_lossless import OracleDrafter

STOPS = GenerationSettings(stop_loops=True)


def stopped_at(tokens: list[int]) -> int | None:
    """After how many tokens the text is a loop."""
    watch = LoopWatch()
    kept = watch.take(tokens)
    return kept if watch.found else None


@pytest.mark.parametrize("period", [1, 2, 3, 8, 16, 40, 64, 200, 512])
def test_a_repeated_piece_is_a_loop(period: int) -> None:
    before = list(range(1000, 1020))
    piece = list(range(period))
    assert stopped_at(before + piece * 900) == len(before) + LEAST_REPEATS * period + LEAST_TOKENS


def test_a_piece_that_repeats_a_part_of_itself_is_a_loop() -> None:
    piece = [1, 2, 1, 2, 1, 2, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4]
    assert stopped_at(piece * 100) == LEAST_REPEATS * len(piece) + LEAST_TOKENS


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_whatever_comes_before_a_loop_is_found(before: list[int], piece: list[int]) -> None:
    # Where the text before happens to end like the piece, a little earlier.
    assert stopped_at(before + piece * 300) is not None


@given(st.data())
def test_the_end_does_not_depend_on_the_steps(data: st.DataObject) -> None:
    piece = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))
    before = data.draw(st.lists(st.integers(0, 4), max_size=20))
    tokens = before + piece * 40
    expected, at, watch = stopped_at(tokens), 0, LoopWatch()
    while at < len(tokens) and not watch.found:
        at += watch.take(tokens[at : at + data.draw(st.integers(1, 9))])
    assert (at if watch.found else None) == expected


@pytest.mark.parametrize(
    "text",
    [
        "-" * 100,
        ("-" * 72 + "\n") * 2,
        "| | | |\n" * 12,
        "|---|---|---|---|---|---|---|---|\n" + "| a | b | c | d | e | f | g | h |\n" * 3,
        "0 0 0 0 0 0 0 0\n" * 8,
        "".join(f"{number}, " for number in range(300)),
        "".join(f"{number}. Write a test for the module {number}.\n" for number in range(60)),
        "I must not talk in class.\n" * 8,
        "    print(x)\n" * 10,
        "/\\/\\/\\/\\/\\/\\/\\/\\/\\\n" * 4,
        "ha" * 60,
    ],
    ids=["rule", "two rules", "empty table", "table", "board", "numbers", "list", "lines", "code", "art", "laughter"],
)
@pytest.mark.parametrize("unit", ["pocket", "characters"])
def test_what_people_ask_for_is_no_loop(text: str, unit: str) -> None:
    tokens = ChatTokenizer(str(POCKET)).encode(text) if unit == "pocket" else [ord(letter) for letter in text[:250]]
    assert stopped_at(tokens) is None


@pytest.fixture(scope="module")
def llama() -> Any:
    return looping_model()


@pytest.mark.parametrize(
    "settings", [STOPS, GenerationSettings(temperature=0.01, seed=5, stop_loops=True)], ids=["greedy", "sampled"]
)
def test_a_reply_stops_at_the_same_token_with_and_without_a_draft(llama: Any, settings: GenerationSettings) -> None:
    target, looped = target_of(llama), 0
    for index, prompt in enumerate(prompts(2, seed=3)):
        whole = generate(target, prompt, GenerationSettings(settings.temperature, seed=settings.seed))
        plain = generate(target, prompt, settings)
        assert plain == whole[: stopped_at(whole)]
        looped += len(plain) < len(whole)
        assert generate(target, prompt, settings, NgramDrafter()) == plain
        assert generate(target, prompt, settings, OracleDrafter(prompt + whole, index)) == plain
        assert generate(target, prompt, settings, OracleDrafter(prompt + whole, index + 7), adaptive=True) == plain
    assert looped


def end_of(events: Iterator[Event]) -> ReplyEnd:
    last = list(events)[-1]
    assert isinstance(last, ReplyEnd)
    return last


def test_a_stopped_loop_is_said_and_goes_on_when_asked() -> None:
    tokenizer, target = ChatTokenizer(str(POCKET)), target_of(looping_model(**TINY))
    plan = tiny_plan(context_tokens=1200, growth_tokens=64, prefill_chunk=64)
    talk = Conversation(
        Engine(target, NgramDrafter(), plan), tokenizer, History(tokenizer, tokenizer.template, target.eos_ids)
    )
    first = end_of(talk.reply("Hello there", STOPS))
    assert (first.finish_reason, first.stats.new_tokens < 600) == ("loop", True)
    more = end_of(talk.resume(STOPS))
    assert more.finish_reason == "loop"
    assert more.stats.new_tokens >= LEAST_TOKENS
    assert more.text.startswith(first.text)
    assert end_of(talk.regenerate(GenerationSettings())).finish_reason == "length"
