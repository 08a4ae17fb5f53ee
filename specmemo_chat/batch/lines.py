"""The input of `specmemo batch`: conversations to be answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specmemo_chat import conversations
from specmemo_chat.chat.task import Task
from specmemo_chat.conversations import BrokenLine, ChatLine, Message
from specmemo_chat.errors import UsageError
from specmemo_chat.settings import GenerationSettings


@dataclass(frozen=True)
class Conversation:
    """One line of the input: its number from 1, its id, what stands before, and the user messages to be answered.

    `seed` None: the line has none of its own. `sampling`: settings of this line alone, by their names.
    """

    number: int
    key: dict[str, Any]
    turns: list[str]
    before: list[Message] = field(default_factory=list)
    system: str | None = None
    seed: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """All that is said in it."""
        return [self.system or "", *(message["content"] for message in self.before), *self.turns]

    def task(self, system: str | None) -> Task:
        """What the worker is asked; `system` is the prompt of those without their own."""
        system = self.system or system
        return Task(self.number, tuple(self.turns), tuple(self.before), system, self.seed, self.sampling)


def read_conversations(path: Path) -> Iterator[Conversation | BrokenLine]:
    """The lines of the file, in order; blank lines are passed over. Raises UsageError where it cannot be read."""
    for line in conversations.read_conversations(path):
        try:
            yield line if isinstance(line, BrokenLine) else _to_answer(line)
        except UsageError as error:
            yield BrokenLine(line.number, line.key, f"line {line.number}: {error.message}")


def _to_answer(line: ChatLine) -> Conversation:
    """Raises UsageError where the messages are in no order that can be answered."""
    system: str | None = None
    pending: str | None = None
    before: list[Message] = []
    for index, message in enumerate(line.messages):
        role, content = message["role"], message["content"]
        if role == "system" and index == 0:
            system = content
        elif role == "user" and pending is None:
            pending = content
        elif role == "assistant" and pending is not None:
            before += [{"role": "user", "content": pending}, message]
            pending = None
        else:
            raise UsageError(f"message {index + 1} with the role {role!r} is out of order")
    if line.messages and pending is None:
        raise UsageError("the last message is not the user's")
    if pending is not None and not pending.strip():
        raise UsageError("the last message is empty")
    turns = list(line.turns) if pending is None else [pending]
    GenerationSettings(**line.sampling)  # raises where a value is out of range
    return Conversation(line.number, line.key, turns, before, system, line.seed, line.sampling)
