"""Text to token ids a piece at a time: encoding holds the interpreter's lock, and takes 170 times the text's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

# Characters that are encoded at once, about 10 ms, and that two pieces have in common.
PIECE = 16 * 1024
OVERLAP = 1024

Token = tuple[int, int, int]


@dataclass(frozen=True)
class _Window:
    """The tokens of text[begin:end]: first and last character in the whole text, and id."""

    begin: int
    end: int
    tokens: list[Token]


def encode(backend: Any, text: str) -> Iterator[list[int]]:
    """The ids of one encoding of `text` by a tokenizers.Tokenizer, without special tokens, in portions.

    Neighbouring pieces overlap. Around the middle of the overlap both know OVERLAP / 4 characters or more of what is
    before and after; where their tokens agree there, over OVERLAP / 2 characters, the next piece goes on from a token
    between them. Where they do not (what a token is then depends on text further away) the piece grows, up to the
    whole text. Some tokenizers group digits from the right: pieces end so that groups of two to six would not agree. A
    unigram model weighs whole words, so that its pieces meet at blanks only.
    """
    if len(text) <= PIECE:
        yield backend.encode(text, add_special_tokens=False).ids
        return
    window, first = _window(backend, text, 0, PIECE), 0
    while window.end < len(text):
        begin = _restart(window)
        following = _window(backend, text, begin, PIECE - (begin + PIECE - window.end - 1) % 60)
        seam = _seam(window, following, text if type(backend.model).__name__ == "Unigram" else "")
        if seam is None:
            longer = _window(backend, text, window.begin, 2 * (window.end - window.begin))
            while longer.tokens[:first] != window.tokens[:first] and longer.end < len(text):
                longer = _window(backend, text, window.begin, 2 * (longer.end - longer.begin))
            window = longer
            continue
        yield [token[2] for token in window.tokens[first : seam[0]]]
        window, first = following, seam[1]
    yield [token[2] for token in window.tokens[first:]]


def encode_all(backend: Any, text: str) -> list[int]:
    """The ids of `encode` as one list."""
    return list(chain.from_iterable(encode(backend, text)))


def _window(backend: Any, text: str, begin: int, length: int) -> _Window:
    end = min(len(text), begin + length)
    encoded = backend.encode(text[begin:end], add_special_tokens=False)
    tokens = [(begin + a, begin + b, token) for (a, b), token in zip(encoded.offsets, encoded.ids, strict=True)]
    return _Window(begin, end, tokens)


def _restart(window: _Window) -> int:
    """Where the next piece begins: with a token of this one, so that long runs are divided alike."""
    about = window.end - OVERLAP
    return next((token[0] for token in reversed(window.tokens) if token[0] <= about), about)


def _seam(left: _Window, right: _Window, worded: str) -> tuple[int, int] | None:
    """The index of the same token in both, from which on `right` is to be believed; None where they do not agree, or
    where none stands at a blank of the text `worded`, unless that is empty."""
    margin = (left.end - right.begin) // 4
    low, high = right.begin + margin, left.end - margin
    in_left = [index for index, token in enumerate(left.tokens) if low <= token[0] < high]
    in_right = [index for index, token in enumerate(right.tokens) if low <= token[0] < high]
    if not in_left or [left.tokens[index] for index in in_left] != [right.tokens[index] for index in in_right]:
        return None
    places = list(zip(in_left, in_right, strict=True))
    middle = len(places) // 2
    for place in places[middle:] + places[:middle]:
        at = left.tokens[place[0]][0]
        if not worded or worded[at].isspace() or worded[at - 1].isspace():
            return place
    return None
