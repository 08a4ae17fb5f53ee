"""Many conversations beside each other: each is answered, turn by turn, as if it were alone."""

from __future__ import annotations

import random
from typing import Any

import pytest

from specmemo_chat.chat.batch import ConversationBatch
from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.chat.reply import Reply
from specmemo_chat.chat.task import Task
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.events import Answered, BatchProgress, Event, ReplyEnd
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.sampling import row_seed
from tests.models import random_model, target_of, tiny_plan
from tests.tiny import POCKET, TINY

CONTEXT = 200


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return ChatTokenizer(str(POCKET))


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama", **TINY), frozenset({4}))


def conversation(target: Target, tokenizer: ChatTokenizer, plan: Plan, *, draft: bool = True) -> Conversation:
    engine = Engine(target, NgramDrafter() if draft else None, plan, adaptive=False)
    return Conversation(engine, tokenizer, History(tokenizer, tokenizer.template, target.eos_ids, None))


def tasks_of(pick: random.Random, count: int) -> list[Task]:
    """One to three turns, some with a system prompt, turns before them, or a seed of their own."""
    before = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"})
    return [
        Task(
            number,
            tuple(f"word{pick.randrange(9)} " * pick.randint(1, 6) for _ in range(pick.randint(1, 3))),
            before if pick.random() < 0.3 else (),
            "Be brief." if pick.random() < 0.3 else None,
            pick.randrange(99) if pick.random() < 0.3 else None,
        )
        for number in range(1, count + 1)
    ]


def answered(
    batch: ConversationBatch, engine: Engine, tasks: list[Task], settings: GenerationSettings
) -> list[Answered]:
    """What the batch answers, in the order of the tasks; the arena is looked at after every step."""
    most = engine.plan.kv_slots or engine.plan.rows * (CONTEXT + engine.plan.tree_nodes)
    found = []
    for event in batch.run(tasks, settings):
        engine.arena.check_integrity()
        assert sum(engine.arena.lengths) <= most
        if isinstance(event, BatchProgress):
            assert len(event.running) <= engine.plan.rows
        else:
            assert not event.error
            found.append(event)
    assert not any(engine.arena.lengths)
    return sorted(found, key=lambda event: event.number)


def alone(single: Conversation, task: Task, settings: GenerationSettings) -> list[tuple[str, str, int]]:
    """Text, ending and length of the replies that the conversation of this task gets by itself."""
    seed = task.seed if task.seed is not None else row_seed(settings.seed, task.number - 1)
    single.restore(task.before, task.system)
    ends = []
    for turn in task.turns:
        *_, last = single.reply(turn, GenerationSettings(**{**vars(settings), "seed": seed}))
        assert isinstance(last, ReplyEnd)
        ends.append((last.text, last.stats.seed, last.stats.new_tokens))
    return ends


def check(target: Target, tokenizer: ChatTokenizer, plan: Plan, tasks: list[Task], settings: GenerationSettings) -> int:
    """Batched with drafts and one by one without: the same replies. Returns how often a row was parked."""
    own = conversation(target, tokenizer, plan)
    batch = ConversationBatch(own.engine, own.sibling)
    found = answered(batch, own.engine, tasks, settings)
    assert [event.number for event in found] == [task.number for task in tasks]
    single = conversation(target, tokenizer, tiny_plan(context_tokens=CONTEXT, prefill_chunk=96), draft=False)
    for task, event in zip(tasks, found, strict=True):
        got = [(text, s.seed, s.new_tokens) for text, s in zip(event.replies, event.stats, strict=True)]
        assert got == alone(single, task, settings)
    return batch.parked


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("rows", [1, 2, 5, 10])
def test_every_conversation_gets_its_own_replies(
    target: Target, tokenizer: ChatTokenizer, rows: int, temperature: float
) -> None:
    tasks = tasks_of(random.Random(10 * rows + int(10 * temperature)), rows + 3)
    settings = GenerationSettings(temperature=temperature, seed=3, max_new_tokens=14, stop=("st", "on", "er"))
    plan = tiny_plan(rows=rows, context_tokens=CONTEXT, prefill_chunk=32, node_buckets=(1, 2, 4, 8))
    check(target, tokenizer, plan, tasks, settings)


def test_conversations_that_outgrow_the_arena_are_parked_and_lose_nothing(
    target: Target, tokenizer: ChatTokenizer
) -> None:
    tasks = [Task(number, ("Tell me more", "And then?", "Go on")) for number in range(1, 6)]
    settings = GenerationSettings(temperature=0.9, seed=8, max_new_tokens=36)
    plan = tiny_plan(rows=4, context_tokens=CONTEXT, prefill_chunk=32, node_buckets=(1, 2, 4, 8), kv_slots=CONTEXT + 80)
    assert check(target, tokenizer, plan, tasks, settings) >= 2


@pytest.mark.parametrize("place", ["begin", "take", "conclude", "second begin", "encode"])
def test_an_error_of_one_conversation_ends_no_other(
    target: Target,
    tokenizer: ChatTokenizer,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also one that nobody foresaw: it is named, the row is given back, the others get what they get alone."""
    tasks = [Task(number, (f"Tell me {number}", "And then?")) for number in range(1, 7)]
    settings = GenerationSettings(temperature=0.9, seed=8, max_new_tokens=12)
    plan = tiny_plan(rows=2, context_tokens=CONTEXT, prefill_chunk=32, node_buckets=(1, 2, 4, 8))
    own = conversation(target, tokenizer, plan)
    single = conversation(target, tokenizer, tiny_plan(context_tokens=CONTEXT, prefill_chunk=96), draft=False)
    expected = {task.number: [text for text, *_ in alone(single, task, settings)] for task in tasks}
    ill = "Tell me 3"

    def fail(*_values: object) -> Any:
        raise ValueError("a fault of this one")

    def converse() -> Conversation:
        talk = own.sibling()
        begin, conclude = talk.begin, talk.conclude

        def began(text: str, settings: GenerationSettings) -> tuple[Reply, list[Event]]:
            follows = bool(talk.history.turns) and talk.history.turns[0].user == ill
            if (place, text) == ("begin", ill) or (place == "second begin" and follows):
                fail()
            reply, notes = begin(text, settings)
            if (place, text) == ("take", ill):
                reply.take = fail  # type: ignore[method-assign]
            return reply, notes

        talk.begin = began  # type: ignore[method-assign]
        talk.conclude = lambda reply: fail() if (place, reply.turn.user) == ("conclude", ill) else conclude(reply)  # type: ignore[method-assign]
        return talk

    if place == "encode":
        encode = tokenizer.encode
        monkeypatch.setattr(tokenizer, "encode", lambda text, **how: fail() if ill in text else encode(text, **how))
    answers = {
        e.number: e for e in ConversationBatch(own.engine, converse).run(tasks, settings) if isinstance(e, Answered)
    }
    assert sorted(answers) == [1, 2, 3, 4, 5, 6]
    assert answers[3].error == "internal error: ValueError: a fault of this one"
    assert answers[3].replies == (expected[3][:1] if place == "second begin" else [])
    assert "a fault of this one" in capsys.readouterr().err
    for number, answer in answers.items():
        if number != 3:
            assert (answer.replies, answer.error) == (expected[number], "")
    assert not any(own.engine.arena.lengths)


def test_an_error_of_the_engine_is_the_whole_batch_s(target: Target, tokenizer: ChatTokenizer) -> None:
    own = conversation(target, tokenizer, tiny_plan(rows=2, context_tokens=CONTEXT))

    def exhausted(_sequences: object) -> Any:
        raise MemoryError

    own.engine.step = exhausted  # type: ignore[method-assign]
    with pytest.raises(MemoryError):
        list(ConversationBatch(own.engine, own.sibling).run([Task(1, ("Hi",))], GenerationSettings()))
