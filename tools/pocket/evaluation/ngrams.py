"""The words of the evaluation's prompts: no training dialogue may hold eight of them in a row, or a whole prompt."""

from __future__ import annotations

import json
import re
from pathlib import Path

PROMPTS = Path(__file__).with_name("prompts.jsonl")


def words_of(text: str) -> tuple[str, ...]:
    """The words of `text`, in lower case and without punctuation."""
    return tuple(re.findall(r"[\w'+*-]+", text.lower()))


def word_ngrams(text: str, n: int = 8) -> set[tuple[str, ...]]:
    """The runs of `n` words of `text`, in lower case and without punctuation."""
    words = words_of(text)
    return {words[at : at + n] for at in range(len(words) - n + 1)}


def evaluation_ngrams(file: Path = PROMPTS) -> frozenset[tuple[str, ...]]:
    """All 8-grams of the evaluation's user messages."""
    grams: set[tuple[str, ...]] = set()
    for line in file.read_text(encoding="utf-8").splitlines():
        for turn in json.loads(line)["turns"]:
            grams |= word_ngrams(turn)
    return frozenset(grams)


def evaluation_prompts(file: Path = PROMPTS) -> frozenset[tuple[str, ...]]:
    """The words of every prompt that is a single message."""
    turns = [json.loads(line)["turns"] for line in file.read_text(encoding="utf-8").splitlines()]
    return frozenset(words_of(messages[0]) for messages in turns if len(messages) == 1)
