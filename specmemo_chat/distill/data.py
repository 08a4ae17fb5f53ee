"""The prompts that a head is trained on: JSONL of conversations, plain or gzipped. Needs no torch."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError

Message = dict[str, str]


@dataclass(frozen=True)
class Prompts:
    """One conversation: the user messages in order, a system prompt, and the replies that the data has (None: none)."""

    line: int
    users: tuple[str, ...]
    system: str | None = None
    replies: tuple[str, ...] | None = None


def read_prompts(file: Path, *, with_replies: bool) -> list[Prompts]:
    """Every conversation of `file`: lines with "messages", "turns" or "prompt", as `batch` takes them.

    `with_replies`: only those whose every user message is answered. Raises UsageError for a file or a line that cannot
    be read, naming the line.
    """
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            prompts = _prompts(number, json.loads(line.decode("utf-8")))
        except ValueError as error:
            raise UsageError(
                f"{file}, line {number}: {error}", 'each line is {"messages": [...]}, {"turns": [...]} or {"prompt": …}'
            ) from error
        if prompts is not None and (prompts.replies is not None or not with_replies):
            found.append(prompts)
    if not found:
        what = "conversations with replies" if with_replies else "user messages"
        raise UsageError(
            f"{file} holds no {what}", 'each line is {"messages": [...]}, {"turns": [...]} or {"prompt": …}'
        )
    return found


def _prompts(number: int, values: Any) -> Prompts | None:
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    if "turns" in values or "prompt" in values:
        turns = values.get("turns", [values.get("prompt")])
        if not isinstance(turns, list) or not all(isinstance(text, str) and text.strip() for text in turns):
            raise ValueError("it holds something that is not a text")
        return Prompts(number, tuple(turns)) if turns else None
    messages = values.get("messages")
    if not isinstance(messages, list):
        raise ValueError('it has none of "messages", "turns" and "prompt"')
    system: str | None = None
    users: list[str] = []
    replies: list[str] = []
    for at, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise ValueError(f'message {at + 1} has no text in "content"')
        role, content = message.get("role"), message["content"].strip()
        if role == "system" and at == 0:
            system = content
        elif role == "user" and content:
            users.append(content)
        elif role == "assistant" and content and len(users) == len(replies) + 1:
            replies.append(content)
    whole = len(users) == len(replies)
    return Prompts(number, tuple(users), system, tuple(replies) if whole else None) if users else None
