"""The input of `specmemo batch`: one conversation a line, in one of three forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError

IDS = ("question_id", "id")


@dataclass(frozen=True)
class Conversation:
    """One line of the input: its number from 1, its id, what stands before, and the user messages to be answered.

    `seed` None: the line has none of its own.
    """

    number: int
    key: dict[str, Any]
    turns: list[str]
    before: list[dict[str, str]] = field(default_factory=list)
    system: str | None = None
    seed: int | None = None

    def as_json(self, system: str | None) -> dict[str, Any]:
        """The conversation as the request AnswerAll wants it; `system` is the prompt of those without their own."""
        return {
            "number": self.number,
            "turns": self.turns,
            "before": self.before,
            "system": self.system or system,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class BrokenLine:
    """A line that cannot be run: what is wrong with it."""

    number: int
    key: dict[str, Any]
    error: str


def read_conversations(path: Path) -> Iterator[Conversation | BrokenLine]:
    """The lines of the file, in order; blank lines are passed over. Raises UsageError where it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield _conversation(number, line)


def _conversation(number: int, line: bytes) -> Conversation | BrokenLine:
    key: dict[str, Any] = {"line": number}
    try:
        values = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BrokenLine(number, key, f"line {number} is not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return BrokenLine(number, key, f"line {number} is not JSON: {error.msg} at column {error.colno}")
    if not isinstance(values, dict):
        return BrokenLine(number, key, f"line {number} is not a JSON object")
    key = next(({name: values[name]} for name in IDS if name in values), key)
    try:
        return _parse(number, key, values)
    except UsageError as error:
        return BrokenLine(number, key, f"line {number}: {error.message}")


def _parse(number: int, key: dict[str, Any], values: dict[str, Any]) -> Conversation:
    seed = values.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63):
        raise UsageError('"seed" is not a whole number from 0 to 2^63 - 1')
    if "turns" in values:
        return Conversation(number, key, _texts(values["turns"], "turns"), seed=seed)
    if "prompt" in values:
        return Conversation(number, key, _texts([values["prompt"]], "prompt"), seed=seed)
    if "messages" not in values:
        raise UsageError('it has none of "turns", "prompt" and "messages"')
    system: str | None = None
    pending: str | None = None
    before: list[dict[str, str]] = []
    messages = values["messages"]
    if not isinstance(messages, list) or not messages:
        raise UsageError('"messages" is not a list with messages')
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise UsageError(f'message {index + 1} has no text in "content"')
        role, content = message.get("role"), message["content"]
        if role == "system" and index == 0:
            system = content
        elif role == "user" and pending is None:
            pending = content
        elif role == "assistant" and pending is not None:
            before += [{"role": "user", "content": pending}, {"role": "assistant", "content": content}]
            pending = None
        else:
            raise UsageError(f"message {index + 1} with the role {role!r} is out of order")
    if pending is None:
        raise UsageError("the last message is not the user's")
    return Conversation(number, key, _texts([pending], "messages"), before, system, seed)


def _texts(values: Any, name: str) -> list[str]:
    if not isinstance(values, list) or not values:
        raise UsageError(f'"{name}" is not a list with texts')
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f'"{name}" holds something that is not a text')
    return values
