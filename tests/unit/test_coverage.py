"""What cannot fit by its bytes: the bound is never above the tokens there are, and nothing is encoded for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from specmemo_chat.catalog import coverage
from specmemo_chat.catalog.coverage import read_coverage
from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.errors import UsageError
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.requests import Load
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings
from tests.made_tokenizers import TEXTS, TOKENIZERS
from tests.models import tiny_plan
from tests.tiny import POCKET

BOUNDED = [name for name in TOKENIZERS if name != "unigram"]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    coverage.read_coverage.cache_clear()
    yield
    coverage.read_coverage.cache_clear()


def changed(folder: Path, name: str, **parts: Any) -> Tokenizer:
    """The tokenizer `name` with other parts, written into `folder`."""
    values = json.loads(TOKENIZERS[name].to_str())
    for part, value in parts.items():
        values[part] = {**values["model"], **value} if part == "model" else value
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    return Tokenizer.from_str(json.dumps(values))


@pytest.mark.parametrize("name", BOUNDED)
def test_no_text_has_fewer_tokens_than_the_bound(tmp_path: Path, name: str) -> None:
    backend = changed(tmp_path, name)
    found = read_coverage(tmp_path)
    assert found is not None

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.text() | st.text("ab1 \n\u00e9e\u0301\u1100\u1161\u11a8\u212b漢🙂▁<", max_size=80))
    def holds(text: str) -> None:
        assert found.fewest(text) <= len(backend.encode(text.strip(), add_special_tokens=False).ids)

    holds()
    for text in TEXTS:
        assert found.fewest(text) <= len(backend.encode(text.strip(), add_special_tokens=False).ids)


def test_the_bound_is_the_longest_piece(tmp_path: Path) -> None:
    changed(tmp_path, "GPT-2")
    found = read_coverage(tmp_path)
    assert found is not None
    assert (found.most, found.free) == (8, b"")
    assert found.fewest("a" * 800) == 100
    assert found.fewest("  \n") == 0


def test_bytes_without_a_letter_are_free(tmp_path: Path) -> None:
    """SmolLM2's vocabulary has no letters for some control characters: they vanish."""
    vocabulary = json.loads(TOKENIZERS["GPT-2"].to_str())["model"]["vocab"]
    del vocabulary["Ą"]  # the letter for byte 4
    backend = changed(tmp_path, "GPT-2", model={"vocab": {piece: at for at, piece in enumerate(vocabulary)}})
    found = read_coverage(tmp_path)
    assert found is not None
    assert found.free == b"\x04"
    assert backend.encode("\x04" * 800).ids == []
    assert found.fewest("\x04" * 800) == 0


REPLACE = {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}
REMOVE = {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False}
MASK = {"id": 1, "content": "<mask>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("unigram", {}),
        ("GPT-2", {"normalizer": REPLACE}),
        ("GPT-2", {"normalizer": {"type": "StripAccents"}}),
        ("GPT-2", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, REPLACE]}}),
        ("GPT-2", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [REMOVE]}}),
        ("GPT-2", {"pre_tokenizer": {"type": "WhitespaceSplit"}}),
        ("GPT-2", {"added_tokens": [{**MASK, "special": True}]}),
        ("SentencePiece", {"model": {"byte_fallback": False}}),
    ],
)
def test_where_text_may_vanish_there_is_no_bound(tmp_path: Path, name: str, parts: dict[str, Any]) -> None:
    changed(tmp_path, name, **parts)
    assert read_coverage(tmp_path) is None
    coverage.check_length("a" * 10_000_000, "the prompt", tmp_path, 16)


def test_a_folder_without_a_readable_tokenizer_has_none(tmp_path: Path) -> None:
    assert read_coverage(tmp_path) is None
    for number, content in enumerate(("{", "[]", "{}", '{"model": {"vocab": [["a", 0]]}}')):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "tokenizer.json").write_text(content, encoding="utf-8")
        assert read_coverage(folder) is None


def test_what_cannot_fit_is_not_even_sent() -> None:
    """5.9 MB for a context of 256 tokens: said at once, with figures, and no worker is started for it."""

    def start() -> Any:
        raise AssertionError("a worker was started")

    client = ChatClient(start, Load(tiny_plan(target=str(POCKET))))
    text = "the quick fox " * 421_429
    for ask in (lambda: list(client.say(text, GenerationSettings())), lambda: client.count(text)):
        with pytest.raises(UsageError, match=r"is longer than the context: 5\.6 MiB are \d{6} tokens or more") as told:
            ask()
        assert told.value.remedy == "shorten it: no more than 3.2 KiB can fit"
    assert not client.turns


def test_a_long_message_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the bound the worker counts in pieces; the whole text never becomes one list of ids."""
    tokenizer = ChatTokenizer(str(POCKET))
    monkeypatch.setattr(tokenizer, "encode", lambda _text: pytest.fail("encoded as a whole"))

    class Engine:
        plan = tiny_plan(context_tokens=256)

        def larger_context(self, _tokens: int) -> None:
            return None

    engine: Any = Engine()
    conversation = Conversation(engine, tokenizer, History(tokenizer, None, frozenset()))
    text = "the quick fox " * 2000
    assert conversation.count(text) == 6002
    with pytest.raises(UsageError, match="the prompt is 6002 tokens long and the context holds 256"):
        list(conversation.reply(text, GenerationSettings()))
