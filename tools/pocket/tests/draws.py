"""Draws from the dialogue generator that several tests look at."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tools.pocket.dialogues.base import SKILLS, Fragment, Turn
from tools.pocket.dialogues.mix import Message


def fragments(name: str, count: int = 800) -> Iterator[Fragment]:
    rng = random.Random(name)
    return (SKILLS[name].sample(rng) for _ in range(count))


def turns_of(name: str, count: int = 800) -> Iterator[Turn]:
    return (turn for fragment in fragments(name, count) for turn in fragment.turns)


def said(found: list[list[Message]], role: str) -> Iterator[str]:
    return (message["content"] for messages in found for message in messages if message["role"] == role)
