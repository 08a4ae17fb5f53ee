"""Training of draft heads: data, memory, batches and replies."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.config import spec_from_folder
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.distill.training.batches import Batches, split
from specmemo_chat.distill.training.data import read_prompts
from specmemo_chat.distill.training.network import HeadNetwork
from specmemo_chat.distill.training.replies import Example, ReplyStore, given_replies, make_replies
from specmemo_chat.distill.training.settings import (
    TrainingSettings,
    check,
    feature_layers,
    fit,
    head_parameters,
    training_bytes,
)
from specmemo_chat.distill.training.trainer import head_config
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import ModelError, PlanError, UsageError
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer, read_template
from specmemo_chat.settings import GenerationSettings
from tests.distilling import small, some_examples
from tests.heads import INTERMEDIATE, write_eagle3
from tests.models import random_model, target_of, tiny_plan
from tests.tiny import save_tiny


@pytest.fixture(scope="module")
def target() -> Target:
    return target_of(random_model("llama"))


def llama() -> ModelSpec:
    return load_catalog()["llama-2-7b-chat"].spec()


# --- data -------------------------------------------------------------------------------------------------------


def test_conversations_are_read_in_every_form(tmp_path: Path) -> None:
    lines = [
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]},
        {"turns": ["one", "two"]},
        {"prompt": "only"},
        {"messages": [{"role": "assistant", "content": "nobody asked"}]},
    ]
    file = tmp_path / "chats.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(["", *map(json.dumps, lines)]).encode()))
    found = read_prompts(file, with_replies=False)
    assert [entry.users for entry in found] == [("Hi",), ("A",), ("one", "two"), ("only",)]
    assert [entry.line for entry in found] == [2, 3, 4, 5]
    assert found[0].system == "Be brief."
    assert [entry.replies for entry in read_prompts(file, with_replies=True)] == [("B",)]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"{", "line 1"),
        (b'{"prompt": "a"}\n[]', "line 2 is not a JSON object"),
        (b'{"turns": ["a", 3]}', "not a text"),
        (b'{"messages": [{"role": "user"}]}', "message 1 has no text"),
        (b"{}", "none of"),
        (b"\xe9", "line 1 is not UTF-8"),
        (b"\xff\xfe{\0", "begins like UTF-16"),
        (b"", "holds no user messages"),
        (b"\x1f\x8bbroken", "cannot be read"),
    ],
)
def test_a_file_that_is_no_data_is_an_error_with_its_line(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=what):
        read_prompts(file, with_replies=False)


# --- settings and memory ----------------------------------------------------------------------------------------


def test_what_depends_on_the_model_is_filled_in() -> None:
    spec = llama()
    filled = check(spec, TrainingSettings("d", "o"))
    assert (filled.draft_vocab, filled.intermediate) == (32000, 11008)
    assert filled.feature_layers == (2, 16, 29)
    assert 5e-5 <= filled.learning_rate < 1e-4
    with pytest.raises(UsageError, match="more than the 32000 tokens"):
        check(spec, TrainingSettings("d", "o", draft_vocab=40000))
    with pytest.raises(UsageError, match="hidden state 33"):
        check(spec, TrainingSettings("d", "o", feature_layers=(2, 33)))
    assert feature_layers(2) == (2, 1, 1)


def test_a_head_to_begin_with_gives_the_shape(tmp_path: Path, target: Target) -> None:
    target.config.save_pretrained(tmp_path)
    spec = spec_from_folder("tiny", tmp_path)
    head = tmp_path / "head"
    head.mkdir()
    write_eagle3(head, draft_vocab=24)
    begun = TrainingSettings("d", "o", start=str(head))
    filled = check(spec, begun)
    assert (filled.draft_vocab, filled.intermediate, filled.feature_layers) == (24, INTERMEDIATE, (0, 1, 2))
    with pytest.raises(UsageError, match="--intermediate is not that of the head"):
        check(spec, dataclasses.replace(begun, intermediate=INTERMEDIATE + 8))
    with pytest.raises(UsageError, match="does not have the shape"):
        check(llama(), begun)
    with pytest.raises(ModelError, match="nowhere"):
        check(spec, dataclasses.replace(begun, start=str(tmp_path / "nowhere")))


def test_the_weights_of_a_head_are_counted_exactly(tmp_path: Path, target: Target) -> None:
    asked = small(tmp_path, draft_vocab=40, feature_layers=(0, 2))
    network = HeadNetwork(head_config(target, asked, ""), 0)
    target.config.save_pretrained(tmp_path)
    spec = spec_from_folder("tiny", tmp_path)
    assert sum(weight.numel() for weight in network.parameters()) == head_parameters(spec, asked)


@settings(max_examples=60, deadline=None)
@given(free=st.integers(10**7, 10**12), row=st.sampled_from([64, 256, 1024]), batch=st.sampled_from([512, 8192]))
def test_training_is_cut_until_it_fits_or_is_refused(free: int, row: int, batch: int) -> None:
    spec = llama()
    asked = check(spec, TrainingSettings("d", "o", row_tokens=row, batch_tokens=batch))
    least = min(128, row)
    if training_bytes(spec, dataclasses.replace(asked, row_tokens=least), least) > free:
        with pytest.raises(PlanError, match="at least"):
            fit(spec, asked, free)
        return
    fitted = fit(spec, asked, free)
    assert training_bytes(spec, fitted, fitted.micro_tokens) <= free
    assert fitted.row_tokens <= row
    assert fitted.micro_tokens % fitted.row_tokens == 0


# --- batches ----------------------------------------------------------------------------------------------------


def test_every_example_comes_once_an_epoch_and_the_order_is_the_seeds() -> None:
    examples = [example for found in some_examples(30).values() for example in found]
    batches = Batches(examples, 48, 2, 5)
    first = [batches.step(number) for number in range(batches.per_epoch)]
    assert sorted(index for rows in first for row in rows for index in row) == list(range(30))
    second = [batches.step(batches.per_epoch + number) for number in range(batches.per_epoch)]
    assert second != first
    again = Batches(examples, 48, 2, 5)
    assert [again.step(batches.per_epoch + number) for number in range(batches.per_epoch)] == second
    assert [again.step(number) for number in range(batches.per_epoch)] == first
    for rows in first:
        assert all(sum(len(examples[index].tokens) for index in row) <= 48 for row in rows)


def test_long_texts_are_cut_and_held_out_ones_are_whole_conversations() -> None:
    long = Example(tuple(range(50)), ((10, 20), (45, 50)))
    batches = Batches([long], 40, 1, 0)
    batch = batches.batch(batches.step(0))
    assert batch.count == 40
    assert int((batch.targets >= 0).sum()) == 10
    examples = some_examples(60)
    training, held_out = split(examples)
    assert len(held_out) == 3
    assert not {example.tokens for example in training} & {example.tokens for example in held_out}
    assert split({1: examples[1]}) == (examples[1], [])


# --- replies ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, ChatTokenizer, str]:
    from specmemo_chat.models.loading import load_target

    folder = save_tiny(tmp_path_factory.mktemp("tiny"))
    tokenizer = ChatTokenizer(str(folder))
    template = read_template("auto", tokenizer)
    assert template is not None
    return load_target(str(folder), dtype="fp32", device="cpu"), tokenizer, template


def chats(tmp_path: Path) -> Path:
    lines = [
        {"turns": ["Spell owl.", "And fox?"]},
        {"prompt": "Tell me a joke."},
        {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello there!"}]},
        {"prompt": "x " * 300},
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return file


def test_replies_are_the_models_own_however_many_at_once(
    tmp_path: Path, talker: tuple[Target, ChatTokenizer, str]
) -> None:
    target, tokenizer, template = talker
    prompts = read_prompts(chats(tmp_path), with_replies=False)
    sampling = GenerationSettings(max_new_tokens=12)
    found = []
    for rows in (1, 3):
        engine = Engine(target, None, tiny_plan(rows=rows, context_tokens=256))
        with ReplyStore(tmp_path / f"replies{rows}.jsonl") as store:
            done = list(make_replies(engine, tokenizer, template, prompts, store, sampling, None))
        assert done == [1, 2, 3, 4]
        with ReplyStore(tmp_path / f"replies{rows}.jsonl") as again:
            found.append(again.examples)
    assert found[0] == found[1]
    # A prompt that fills the context has no reply.
    assert found[0][4] == []
    (two_turns,) = found[0][1]
    assert len(two_turns.replies) == 2
    engine = Engine(target, None, tiny_plan())
    for start, end in two_turns.replies:
        alone = engine.open(list(two_turns.tokens[:start]), sampling)
        while alone.finished is None:
            engine.step([alone])
        assert tuple(alone.tokens[start:]) == two_turns.tokens[start:end]
        engine.close(alone)


def test_replies_go_on_after_a_torn_line(tmp_path: Path, talker: tuple[Target, ChatTokenizer, str]) -> None:
    target, tokenizer, template = talker
    prompts = read_prompts(chats(tmp_path), with_replies=False)
    file = tmp_path / "replies.jsonl"
    engine = Engine(target, None, tiny_plan())
    sampling = GenerationSettings(max_new_tokens=5)
    with ReplyStore(file) as store:
        next(iter(make_replies(engine, tokenizer, template, prompts, store, sampling, None)))
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"line": 2, "exam')
    with ReplyStore(file) as again:
        assert list(again.examples) == [1]
        assert list(make_replies(engine, tokenizer, template, prompts, again, sampling, None)) == [2, 3, 4]
    assert file.read_bytes().startswith(whole)
    file.write_bytes(b"not ours\n")
    with pytest.raises(UsageError, match="cannot be used"):
        ReplyStore(file)


def test_given_replies_are_kept_as_they_are(tmp_path: Path, talker: tuple[Target, ChatTokenizer, str]) -> None:
    target, tokenizer, template = talker
    prompts = read_prompts(chats(tmp_path), with_replies=True)
    with ReplyStore(tmp_path / "replies.jsonl") as store:
        given_replies(tokenizer, template, prompts, store, target.eos_ids, None)
    ((example,),) = store.examples.values()
    ((start, end),) = example.replies
    assert tokenizer.decode(example.tokens[start:end]).strip() == "Hello there!"
    assert example.tokens[end - 1] in target.eos_ids
