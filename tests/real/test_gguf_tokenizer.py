"""The tokenizer of the real chat model's GGUF file on 10,000 texts, against transformers' and llama.cpp's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from specmemo_chat.models.tokenizer import ChatTokenizer
from tests.any_text import any_texts
from tests.real_model import fetch

pytestmark = pytest.mark.real

TEXTS = any_texts(14_000, special=["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<file_sep>"])


@pytest.fixture(scope="module")
def file(real_model: Path) -> Path:
    return fetch(real_model.parent)


@pytest.fixture(scope="module")
def read(file: Path) -> ChatTokenizer:
    return ChatTokenizer(str(file))


def test_ids_and_texts_are_those_of_transformers(file: Path, read: ChatTokenizer) -> None:
    converted = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    backend = converted.backend_tokenizer
    # The model's own tokenizer.json has it so; transformers knows no "smollm" and leaves blanks at the digits.
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
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
