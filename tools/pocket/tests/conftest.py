"""Fixtures that several files share."""

from __future__ import annotations

from itertools import islice

import pytest
from tokenizers import Tokenizer

from tests.conftest import gradients, private_folders
from tools.pocket.dialogues.mix import Message, Mixer, dialogues
from tools.pocket.tokenizer import train_tokenizer

__all__ = ["gradients", "private_folders"]


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    """A tokenizer trained on 300 dialogues."""
    found = islice(dialogues(2), 300)
    return train_tokenizer(" " + message["content"] for messages in found for message in messages)


@pytest.fixture(scope="session")
def drawn() -> list[list[Message]]:
    """1,500 dialogues."""
    return list(islice(dialogues(7), 1500))


@pytest.fixture(scope="session")
def long() -> list[list[Message]]:
    mixer = Mixer(3)
    return [mixer.dialogue(long=True) for _ in range(350)]
