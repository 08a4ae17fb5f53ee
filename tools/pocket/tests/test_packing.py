"""Rows of whole dialogues, and the tokenizer that makes them."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from specmemo_chat.distill.training.packing import Batch, Example
from tests.tiny import POCKET
from tools.pocket import train
from tools.pocket.dialogues.mix import Message, Mixer, dialogues
from tools.pocket.packing import Packer
from tools.pocket.tokenizer import (
    ASSISTANT,
    END,
    PAD,
    SPECIAL,
    VOCABULARY,
    encode_dialogue,
    save_tokenizer,
)

TALK: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "My name is Ana and I'm 42."},
    {"role": "assistant", "content": "Nice to meet you, Ana!"},
    {"role": "user", "content": "Zażółć gęślą jaźń 🦆\nПривет, мир! 你好"},
    {"role": "assistant", "content": "```python\nfor n in range(10):\n    print(n)\n```"},
]


# --- packing ----------------------------------------------------------------------------------------------------


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """Dialogues of 2 to 14 tokens without a token in common; some are too long for a row of 12."""
    sizes = draw(st.lists(st.integers(2, 14), min_size=20, max_size=60))
    numbers = itertools.count(1)
    return [
        ([next(numbers) for _ in range(size)], draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        for size in sizes
    ]


def documents(batch: Batch, row: int) -> Iterator[tuple[int, list[int]]]:
    """(where it starts, its tokens) of each document of a row: the tokens are consecutive numbers."""
    tokens = [int(token) for token in batch.tokens[row] if token]
    starts = [at for at in range(len(tokens)) if batch.positions[row, at] == 0]
    for start, stop in itertools.pairwise([*starts, len(tokens)]):
        yield start, tokens[start:stop]


@settings(max_examples=40, deadline=None)
@given(given_examples=examples(), rows=st.integers(1, 3))
def test_rows_hold_whole_dialogues_that_attend_only_to_themselves(given_examples: list[Example], rows: int) -> None:
    length, window = 12, 10
    by_first = {ids[0]: (ids, wanted) for ids, wanted in given_examples}
    seen: list[int] = []
    for batch in Packer(rows, length, window).batches(iter(given_examples)):
        assert batch.tokens.shape == batch.targets.shape == batch.positions.shape == (rows, length)
        assert batch.mask.shape == (rows, 1, length, length)
        count = 0
        for row in range(rows):
            owner = [-1] * length
            targets = [-1] * length
            for number, (start, tokens) in enumerate(documents(batch, row)):
                ids, wanted = by_first[tokens[0]]
                assert tokens == ids
                seen.append(ids[0])
                count += len(ids)
                for at, token in enumerate(ids):
                    owner[start + at] = number
                    assert batch.positions[row, start + at] == at
                    if at and wanted[at]:
                        targets[start + at - 1] = token
            assert batch.targets[row].tolist() == targets
            expected = [[k <= q and owner[k] == owner[q] for k in range(length)] for q in range(length)]
            assert batch.mask[row, 0].tolist() == expected
            # Every position attends to something, padding too: a softmax over nothing is not a number.
            assert batch.mask[row, 0].any(-1).all()
        assert batch.count == count
    assert len(set(seen)) == len(seen)
    fitting = [ids[0] for ids, _ in given_examples if len(ids) <= length]
    assert set(seen) <= set(fitting)
    # What is left over is less than a window.
    assert len(fitting) - len(seen) < window


def test_rows_are_nearly_full() -> None:
    rng = random.Random(0)
    endless: Iterator[Example] = (([1] * size, [True] * size) for size in iter(lambda: rng.randint(20, 400), 0))
    batches = list(islice(Packer(12, 512).batches(endless), 20))
    assert sum(batch.count for batch in batches) / (20 * 12 * 512) > 0.95


# --- tokenizer --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["trained", "bundled"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tokenizer's files: freshly made, and those of the model in the box."""
    if request.param == "bundled":
        return POCKET
    made: Path = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(request.getfixturevalue("trained"), made, 2048)
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_the_vocabulary_has_all_bytes_and_single_digits(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() <= VOCABULARY
    assert [tokenizer.token_to_id(token) for token in SPECIAL] == list(range(len(SPECIAL)))
    assert tokenizer.encode("90210 + 7").tokens == ["9", "0", "2", "1", "0", "Ġ+", "Ġ", "7"]
    multiple = [token for token in tokenizer.get_vocab() if sum(character.isdigit() for character in token) > 1]
    assert multiple == []
    assert len(tokenizer.encode(" the").ids) == 1


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    if not any(token in text for token in SPECIAL):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_emoji_and_foreign_letters_come_back(tokenizer: Tokenizer) -> None:
    for text in ("🦆👩‍👩‍👧", "Привет, мир!", "你好", "\t\n  x  ", "éß\u0000\u202e"):
        encoded = tokenizer.encode(text)
        assert tokenizer.decode(encoded.ids) == text
        assert tokenizer.token_to_id(PAD) not in encoded.ids


def test_a_dialogue_is_encoded_message_by_message(tokenizer: Tokenizer) -> None:
    ids, wanted = encode_dialogue(tokenizer, TALK)
    assert len(ids) == len(wanted)
    text = tokenizer.decode(ids, skip_special_tokens=False)
    assert text == "".join(f"<|{message['role']}|> {message['content']}{END}" for message in TALK)
    # Trained on the replies and their ends, and on nothing else.
    produced = tokenizer.decode(
        [token for token, want in zip(ids, wanted, strict=True) if want], skip_special_tokens=False
    )
    assert produced == f" {TALK[2]['content']}{END} {TALK[4]['content']}{END}"
    padded = [{**message, "content": f"  {message['content']}\n"} for message in TALK]
    assert encode_dialogue(tokenizer, padded) == (ids, wanted)


QUESTIONS = set(
    "who what where when why how which can could do does did is are was were will would should may am".split()
)
LITERAL = set(
    "spell letter letters word words repeat say upper capital capitals opposite echo copy backwards shout".split()
)


def sentence(message: dict[str, str]) -> dict[str, str]:
    """What the chat template makes of a user's message."""
    text = message["content"].strip()
    words = text.lower().split()
    literal = re.search(r"[:\"'“”`=+*/0-9]", text) or LITERAL & set(words)
    if message["role"] == "user" and " " in text and not literal:
        end = "?" if words[0] in QUESTIONS else "."
        text = text[:1].upper() + text[1:] + end * text[-1:].isalnum()
    return {**message, "content": text}


def test_the_chat_template_renders_what_training_encodes(tokenizer: Tokenizer, loaded: Any) -> None:
    samples = [TALK, [{"role": "user", "content": " padded \n"}], *islice(dialogues(5), 40), Mixer(1).dialogue(True)]
    for messages in samples:
        text = loaded.apply_chat_template(messages, tokenize=False)
        wanted = encode_dialogue(tokenizer, [sentence(message) for message in messages])[0]
        assert loaded(text, add_special_tokens=False).input_ids == wanted
        asked = loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert asked == text + ASSISTANT


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("how do i fix a tap", "How do i fix a tap?"),
        ("tell me a story", "Tell me a story."),
        ("Who are you?", "Who are you?"),
        ("hm, ok 😀", "Hm, ok 😀"),
        ("thanks", "thanks"),
        ("repeat after me: the cat", "repeat after me: the cat"),
        ("what is 3 plus 4", "what is 3 plus 4"),
        ("say good night", "say good night"),
        ("what's new", "what's new"),
    ],
)
def test_what_is_typed_without_capital_and_end_mark_gets_them(loaded: Any, typed: str, read: str) -> None:
    rendered = loaded.apply_chat_template([{"role": "user", "content": typed}], tokenize=False)
    assert rendered == f"<|user|> {read}<|end|>"
    others = [{"role": "assistant", "content": typed}, {"role": "system", "content": typed}]
    assert (
        loaded.apply_chat_template(others, tokenize=False) == f"<|assistant|> {typed}<|end|><|system|> {typed}<|end|>"
    )


def test_transformers_loads_the_tokenizer(folder: Path, loaded: Any) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert loaded.model_max_length == config["model_max_length"] == train.CONTEXT
    assert (loaded.eos_token, loaded.pad_token) == (END, PAD)
    ids, _ = encode_dialogue(Tokenizer.from_file(str(folder / "tokenizer.json")), TALK[1:3])
    assert loaded.decode(ids, skip_special_tokens=True) == " My name is Ana and I'm 42. Nice to meet you, Ana!"
