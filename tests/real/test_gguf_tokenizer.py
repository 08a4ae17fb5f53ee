"""The tokenizer of the real chat model's GGUF file on 10,000 texts, against transformers' and llama.cpp's."""

from __future__ import annotations

from pathlib import Path

import pytest

from specmemo_chat.models.tokenizer import ChatTokenizer
from tests.any_text import any_texts
from tests.real_model import fetch, tokenizer_of

pytestmark = pytest.mark.real

TEXTS = any_texts(14_000, special=["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<file_sep>"])


@pytest.fixture(scope="module")
def file(real_model: Path) -> Path:
    return fetch(real_model.parent)


@pytest.fixture(scope="module")
def read(file: Path) -> ChatTokenizer:
    return ChatTokenizer(str(file))


def test_ids_and_texts_are_those_of_transformers(file: Path, read: ChatTokenizer) -> None:
    converted = tokenizer_of(file)
    backend = converted.backend_tokenizer
    assert read.template == converted.chat_template
    for text in TEXTS[:10_000]:
        ids = read.encode(text)
        assert ids == backend.encode(text, add_special_tokens=False).ids, text
        assert read.decode(ids) == backend.decode(ids), text
        stream = read.stream()
        assert "".join(stream.push(token) for token in ids) + stream.flush() == read.decode(ids), text


def test_ids_are_those_of_llama_cpp(file: Path, read: ChatTokenizer) -> None:
    """Of texts whose bytes the model knows all: the others are divided differently around what is left out."""
    peer = pytest.importorskip("llama_cpp").Llama(str(file), vocab_only=True, verbose=False)
    known = [text for text in TEXTS if read.decode(read.encode(text), special=True) == text][:10_000]
    assert len(known) == 10_000
    for text in known:
        assert read.encode(text) == peer.tokenize(text.encode(), add_bos=False, special=True), text
