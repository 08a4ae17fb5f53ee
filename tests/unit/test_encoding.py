"""Encoding in pieces gives the ids of one encoding, whatever the tokenizer and the text."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer

from specmemo_chat.models import encoding
from tests.made_tokenizers import TEXTS, TOKENIZERS

# Small pieces, so that short texts have many.
PIECE, OVERLAP = 1200, 240


class Recorded:
    """A tokenizer whose longest text is kept."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self.model = backend.model
        self.longest = 0
        self.encoded = 0

    def encode(self, text: str, **options: Any) -> Any:
        self.longest = max(self.longest, len(text))
        self.encoded += len(text)
        return self._backend.encode(text, **options)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "PIECE", PIECE)
    monkeypatch.setattr(encoding, "OVERLAP", OVERLAP)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_pieces_give_the_ids_of_one_encoding(name: str) -> None:
    backend = TOKENIZERS[name]
    for text in TEXTS:
        whole = backend.encode(text, add_special_tokens=False).ids
        assert encoding.encode_all(backend, text) == whole


@pytest.mark.parametrize("name", ["pocket", "Llama 3", "digits one by one", "SentencePiece"])
def test_pieces_stay_small_also_without_blanks(name: str) -> None:
    for text in (text for text in TEXTS[3:] if text.strip()):
        recorded = Recorded(TOKENIZERS[name])
        encoding.encode_all(recorded, text)
        assert recorded.longest <= 2 * PIECE
        assert recorded.encoded <= 2 * len(text)


def test_what_depends_on_the_end_is_not_divided() -> None:
    """Groups of three from the right: two pieces that end anywhere would agree on wrong ones in one case of three."""
    backend = TOKENIZERS["digits from the right"]
    for length in range(5000, 5003):
        text = "1" * length
        assert encoding.encode_all(backend, text) == backend.encode(text, add_special_tokens=False).ids
