"""`specmemo batch`: answers every conversation of a JSONL file, resumable after any stop."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specmemo_chat.cli.console import Screen
from specmemo_chat.cli.text import safe_line
from specmemo_chat.errors import SpecmemoError, UsageError, WorkerError
from specmemo_chat.events import ReplyEnd
from specmemo_chat.host.client import ChatClient, ShownTurn
from specmemo_chat.settings import GenerationSettings

IDS = ("question_id", "id")


@dataclass(frozen=True)
class Conversation:
    """One line of the input: its number from 1, its id, what stands before, and the user messages to be answered."""

    number: int
    key: dict[str, Any]
    turns: list[str]
    before: list[ShownTurn] = field(default_factory=list)
    system: str | None = None


@dataclass(frozen=True)
class BrokenLine:
    """A line that cannot be run: what is wrong with it."""

    number: int
    key: dict[str, Any]
    error: str


@dataclass
class Totals:
    """The summary of CONTRACT.md."""

    conversations: int = 0
    failed: int = 0
    skipped: int = 0
    tokens: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "conversations": self.conversations,
            "failed": self.failed,
            "skipped": self.skipped,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds, 3) if self.seconds else 0.0,
            "batch_size": 1,
            "world_size": 1,
            "peak_bytes": [self.peak_bytes],
        }


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
    if "turns" in values:
        return Conversation(number, key, _texts(values["turns"], "turns"))
    if "prompt" in values:
        return Conversation(number, key, _texts([values["prompt"]], "prompt"))
    if "messages" not in values:
        raise UsageError('it has none of "turns", "prompt" and "messages"')
    system: str | None = None
    pending: str | None = None
    before: list[ShownTurn] = []
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
            before.append(ShownTurn(pending, content))
            pending = None
        else:
            raise UsageError(f"message {index + 1} with the role {role!r} is out of order")
    if pending is None:
        raise UsageError("the last message is not the user's")
    return Conversation(number, key, _texts([pending], "messages"), before, system)


def _texts(values: Any, name: str) -> list[str]:
    if not isinstance(values, list) or not values:
        raise UsageError(f'"{name}" is not a list with texts')
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f'"{name}" holds something that is not a text')
    return values


class OutputFile:
    """The output JSONL: one line is appended, flushed and synced per conversation, so a kill costs only the unfinished.

    `done` are the line numbers that an earlier run finished; a torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.done: set[int] = set()
        try:
            self._read_done(path)
            self._file = path.open("ab")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def _read_done(self, path: Path) -> None:
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        for line in data[:whole].splitlines():
            try:
                self.done.add(int(json.loads(line)["input_line"]))
            except (ValueError, KeyError, TypeError):
                raise UsageError(
                    f"{path} holds lines that `specmemo batch` did not write", "give another file with -o"
                ) from None

    def write(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def run_batch(client: ChatClient, source: Path, target: Path, settings: GenerationSettings, screen: Screen) -> Totals:
    """Answer what an earlier run has not; a line that fails gets an "error" and the rest still runs."""
    conversations = list(read_conversations(source))
    output = OutputFile(target)
    totals = Totals()
    system = client.system
    started = time.perf_counter()
    try:
        for entry in conversations:
            if entry.number in output.done:
                totals.skipped += 1
                continue
            line: dict[str, Any] = {**entry.key, "input_line": entry.number}
            try:
                if isinstance(entry, BrokenLine):
                    raise UsageError(entry.error)
                line.update(_answer(client, entry, entry.system or system, settings, totals))
            except WorkerError as error:
                screen.error(error)
                line["error"] = error.message
            except UsageError as error:
                screen.note(f"input line {entry.number}: {safe_line(error.message)}")
                line["error"] = error.message
            totals.conversations += 1
            totals.failed += "error" in line
            output.write(line)
            screen.note(f"{totals.conversations + totals.skipped} of {len(conversations)} conversations")
    finally:
        totals.seconds = time.perf_counter() - started
        output.close()
    return totals


def _answer(
    client: ChatClient, entry: Conversation, system: str | None, settings: GenerationSettings, totals: Totals
) -> dict[str, Any]:
    client.restore(list(entry.before), system)
    replies, stats = [], []
    for text in entry.turns:
        for event in client.say(text, settings):
            if isinstance(event, ReplyEnd):
                replies.append(event.text)
                stats.append(event.stats.as_json())
                totals.tokens += event.stats.new_tokens
                totals.peak_bytes = max(totals.peak_bytes, event.stats.peak_bytes)
    if not replies:
        raise SpecmemoError("no reply was made")
    return {"replies": replies, "stats": stats}
