"""Continuous batching: every row's text is its own single text, whatever runs beside it, and with parking forced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.chain import ChainDrafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_head import EagleHead, load_head
from specmemo_chat.drafters.model import ModelDrafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.engine.sequence import NO_ROW, Sequence
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.packing import rounded as round_up
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from tests.heads import write_eagle, write_eagle3
from tests.models import VOCABULARY, random_model, target_of, tiny_plan

# The end token of the target: replies end at lengths that only the text decides.
END = frozenset({7})
BATCHES = (1, 2, 5, 10)
KINDS = ("none", "ngram", "eagle", "eagle3", "model", "ngram+eagle")
Make = Callable[[str, Plan], Drafter | None]
# An arena that holds two rows of middling length, or one that is full.
TIGHT: dict[str, Any] = {"context_tokens": 48, "growth_tokens": 8, "kv_slots": 72, "node_buckets": (1, 2, 4, 8)}


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama"), END)


@pytest.fixture(scope="module")
def make(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("heads")
    write_eagle(folder / "eagle")
    write_eagle3(folder / "eagle3", draft_vocab=24, head_dim=24)
    small = target_of(random_model("llama", num_hidden_layers=1, num_key_value_heads=1))

    def build(kind: str, plan: Plan) -> Drafter | None:
        def head(name: str) -> Drafter:
            return EagleDrafter(load_head(Path(folder / name), target, "fp32"), target, plan)

        if kind == "ngram+eagle":
            return ChainDrafter([NgramDrafter(2), head("eagle")])
        if kind in ("eagle", "eagle3"):
            return head(kind)
        if kind == "model":
            return ModelDrafter(small, target, plan)
        return NgramDrafter() if kind == "ngram" else None

    return build


def answer(
    engine: Engine, prompts: list[list[int]], wishes: list[GenerationSettings], parkings: int = 0
) -> list[list[int]]:
    """All texts by the scheduler; arenas are checked after every step. Rows enter with no room to grow."""
    scheduler = Scheduler(engine, entry_room=0)
    sequences = [engine.make(prompt, wish) for prompt, wish in zip(prompts, wishes, strict=True)]
    for sequence in sequences:
        scheduler.add(sequence)
    steps = 0
    while scheduler.running or scheduler.waiting:
        for sequence, _ in scheduler.step():
            if sequence.finished is not None:
                scheduler.leave(sequence)
        check(engine, scheduler)
        steps += 1
        assert steps < 2000
    assert scheduler.parked >= parkings
    return [sequence.tokens[sequence.prompt_length :] for sequence in sequences]


def check(engine: Engine, scheduler: Scheduler) -> None:
    engine.arena.check_integrity()
    draft = getattr(engine.drafter, "arena", None)
    if draft is not None:
        draft.check_integrity()
    rows = [sequence.row for sequence in scheduler.running]
    assert len(set(rows)) == len(rows) <= engine.plan.rows
    assert all(sequence.row == NO_ROW for sequence in scheduler.waiting)
    for row, length in enumerate(engine.arena.lengths):
        assert row in rows or length == 0


Texts = tuple[list[list[int]], list[GenerationSettings]]


@st.composite
def texts(draw: st.DrawFn, least: int, most: int) -> Texts:
    """Prompts in which pieces come again, each with its own settings."""
    prompts, wishes = [], []
    token = st.integers(8, VOCABULARY - 1)
    for _ in range(draw(st.integers(least, most))):
        piece = draw(st.lists(token, min_size=1, max_size=5))
        prompts.append(piece * draw(st.integers(1, 3)) + draw(st.lists(token, max_size=12)) + piece)
        wishes.append(
            GenerationSettings(
                temperature=draw(st.sampled_from([0.0, 0.0, 0.8, 1.2])),
                top_k=draw(st.sampled_from([0, 9])),
                repeat_penalty=draw(st.sampled_from([1.0, 1.0, 1.2])),
                seed=draw(st.integers(0, 99)),
                max_new_tokens=draw(st.integers(1, 16)),
                speculate=draw(st.sampled_from([True, True, True, False])),
            )
        )
    return prompts, wishes


@st.composite
def cases(draw: st.DrawFn, rows: int) -> dict[str, Any]:
    """So many texts that all rows are taken, and perhaps some wait; and how they are run."""
    tight = draw(st.booleans())
    return {
        "given": draw(texts(rows, rows + 3)),
        "rows": rows,
        "adaptive": draw(st.booleans()),
        "prefill_chunk": draw(st.sampled_from([7, 96])),
        "rounded": draw(st.booleans()),
        **(TIGHT if tight else {}),
    }


def check_texts(
    target: Target, make: Make, kind: str, given: Texts, *, adaptive: bool, rounded: bool, **plan: Any
) -> None:
    """Batched and one after the other in an engine of one row: the same texts. `rounded`: with forwards padded as they
    are where shapes should repeat."""
    prompts, wishes = given
    batch = tiny_plan(**plan)
    target = target_of(target.model, target.eos_ids)
    with patch.object(Target, "shapes_repeat", rounded), patch.object(EagleHead, "shapes_repeat", rounded):
        batched = answer(Engine(target, make(kind, batch), batch, adaptive=adaptive), prompts, wishes)
    alone = tiny_plan(context_tokens=batch.context_tokens)
    assert batched == answer(Engine(target, None, alone), prompts, wishes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", BATCHES)
@settings(
    # The first is the simplest there is.
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
@given(data=st.data())
def test_batched_text_is_each_texts_own(target: Target, make: Make, kind: str, rows: int, data: st.DataObject) -> None:
    check_texts(target, make, kind, **data.draw(cases(rows)))


@pytest.mark.stress
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", BATCHES)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_batched_text_is_each_texts_own_at_length(
    target: Target, make: Make, kind: str, rows: int, data: st.DataObject
) -> None:
    check_texts(target, make, kind, **data.draw(cases(rows)))


@pytest.mark.parametrize("kind", KINDS)
def test_parking_changes_no_text(target: Target, make: Make, kind: str) -> None:
    """Rows that together outgrow the arena must give way, and lose nothing; the arena stays within its slots."""
    prompts = [[10 + index, 20, 30, 20, 30, 11 + index] for index in range(4)]
    wishes = [GenerationSettings(temperature=1.0, seed=index, max_new_tokens=24) for index in range(4)]
    endless = target_of(target.model)
    tight = tiny_plan(**TIGHT, rows=4)
    engine = Engine(endless, make(kind, tight), tight, adaptive=False)
    texts = answer(engine, prompts, wishes, parkings=2)
    assert engine.arena.nbytes <= 2 * engine.arena.layers * TIGHT["kv_slots"] * 2 * 16 * 4
    alone = tiny_plan(context_tokens=TIGHT["context_tokens"])
    assert texts == answer(Engine(endless, None, alone), prompts, wishes)


@pytest.mark.parametrize("kind", ["none", "ngram", "eagle3"])
@pytest.mark.parametrize("architecture", ["llama", "mistral"])
@pytest.mark.parametrize("rounded", [False, True])
def test_long_and_short_rows_share_a_forward(
    make: Make, target: Target, architecture: str, kind: str, rounded: bool
) -> None:
    """Prompts enter while others decode: chunks are attended apart from trees, with windows too."""
    model = target_of(target.model if architecture == "llama" else random_model(architecture), END)
    if architecture != "llama" and kind == "eagle3":
        pytest.skip("the heads are the llama's")
    prompts = [[9, 10, 11], [20 + index % 30 for index in range(45)], [12] * 3 + [13, 14] * 12, list(range(8, 30))]
    wishes = [GenerationSettings(max_new_tokens=length, temperature=0.7, seed=3) for length in (24, 6, 4, 5)]
    plan = tiny_plan(rows=3, prefill_chunk=96)
    with patch.object(Target, "shapes_repeat", rounded), patch.object(EagleHead, "shapes_repeat", rounded):
        batched = answer(Engine(model, make(kind, plan), plan, adaptive=False), prompts, wishes)
    assert batched == answer(Engine(model, None, tiny_plan()), prompts, wishes)


def test_forwards_have_few_lengths_where_shapes_repeat() -> None:
    assert [round_up(tokens, 512) for tokens in (1, 9, 16, 17, 64, 65, 256, 257)] == [1, 9, 16, 24, 64, 80, 256, 320]
    # Not beyond what was planned, and never less than there are.
    assert [round_up(tokens, 300) for tokens in (290, 300, 301)] == [300, 300, 301]
    assert len({round_up(tokens, 512) for tokens in range(1, 513)}) == 38


def test_those_who_wait_enter_when_a_row_is_free(target: Target) -> None:
    plan = tiny_plan(rows=2)
    engine = Engine(target_of(target.model), None, plan)
    scheduler = Scheduler(engine)
    lengths = [3, 30, 5, 5]
    sequences = [engine.make([9, 10, 11], GenerationSettings(max_new_tokens=length)) for length in lengths]
    for sequence in sequences:
        scheduler.add(sequence)
    ended: list[Sequence] = []
    most = 0
    while scheduler.running or scheduler.waiting:
        for sequence, _ in scheduler.step():
            if sequence.finished is not None:
                scheduler.leave(sequence)
                ended.append(sequence)
        most = max(most, len(scheduler.running))
    assert most <= 2
    # Nobody waits for the slowest row.
    assert [sequences.index(sequence) for sequence in ended] == [0, 2, 3, 1]


def test_a_long_prompt_does_not_stop_the_rows_that_decode(target: Target) -> None:
    plan = tiny_plan(rows=2, prefill_chunk=16)
    engine = Engine(target_of(target.model), None, plan)
    scheduler = Scheduler(engine)
    first = engine.make([9, 10, 11], GenerationSettings(max_new_tokens=60))
    scheduler.add(first)
    scheduler.step()
    long = engine.make([12] * 80, GenerationSettings(max_new_tokens=1))
    scheduler.add(long)
    while long.finished is None:
        before, prefilled = first.new_tokens, long.prefilled
        scheduler.step()
        assert first.new_tokens == before + 1
        assert long.prefilled - prefilled <= 16


def test_a_following_turn_keeps_the_row_and_what_stands_in_it(target: Target) -> None:
    engine = Engine(target_of(target.model), None, tiny_plan(rows=2))
    scheduler = Scheduler(engine)
    first = engine.make([9, 10, 11, 12], GenerationSettings(max_new_tokens=5))
    scheduler.add(first)
    while first.finished is None:
        scheduler.step()
    held = engine.close(first)
    new = engine.make([*first.tokens, 13, 14], GenerationSettings(max_new_tokens=5))
    scheduler.follow(new, first, len(held))
    assert new.row == 0
    assert held == first.tokens
    assert new.statistics.reused_tokens == len(first.tokens) - 1
    while new.finished is None:
        scheduler.step()
    alone = answer(Engine(target_of(target.model), None, tiny_plan()), [[*first.tokens, 13, 14]], [new.settings])
    assert new.tokens[new.prompt_length :] == alone[0]
