"""The prompts that a head is trained on: JSONL of conversations. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.conversations import BrokenLine, ChatLine, read_conversations
from specmemo_chat.errors import UsageError


@dataclass(frozen=True)
class Prompts:
    """One conversation: the user messages in order, a system prompt, and the replies that the data has (None: none)."""

    line: int
    users: tuple[str, ...]
    system: str | None = None
    replies: tuple[str, ...] | None = None


def read_prompts(file: Path, *, with_replies: bool) -> list[Prompts]:
    """Every conversation of `file` (specmemo_chat.conversations), plain or gzipped.

    `with_replies`: only those whose every user message is answered. Raises UsageError for a file or a line that cannot
    be read, naming the line.
    """
    found = []
    for line in read_conversations(file):
        if isinstance(line, BrokenLine):
            raise UsageError(
                f"{file}, {line.error}", 'each line is {"messages": [...]}, {"turns": [...]} or {"prompt": …}'
            )
        prompts = _prompts(line)
        if prompts is not None and (prompts.replies is not None or not with_replies):
            found.append(prompts)
    if not found:
        what = "conversations with replies" if with_replies else "user messages"
        raise UsageError(
            f"{file} holds no {what}", 'each line is {"messages": [...]}, {"turns": [...]} or {"prompt": …}'
        )
    return found


def _prompts(line: ChatLine) -> Prompts | None:
    """None where the user says nothing. A message without text, and a reply that answers none, are passed over."""
    if line.turns:
        return Prompts(line.number, line.turns)
    system: str | None = None
    users: list[str] = []
    replies: list[str] = []
    for at, message in enumerate(line.messages):
        role, content = message["role"], message["content"].strip()
        if role == "system" and at == 0:
            system = content
        elif role == "user" and content:
            users.append(content)
        elif role == "assistant" and content and len(users) == len(replies) + 1:
            replies.append(content)
    whole = len(users) == len(replies)
    return Prompts(line.number, tuple(users), system, tuple(replies) if whole else None) if users else None
