"""The conversations that a benchmark runs: read from a file, shipped, or made against speculation. Needs no torch."""

from __future__ import annotations

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError

FOLDER = Path(__file__).parent / "prompts"
# Names that --prompts takes beside a file.
POCKET, RANDOM = "pocket", "random"
_IDS = ("question_id", "id")
# The set against speculation: so many two-turn conversations, with so many random words in a turn.
RANDOM_TALKS, RANDOM_WORDS = 60, (8, 24)


@dataclass(frozen=True)
class Talk:
    """One conversation: its id, the user's messages in order, and a system prompt where it has one of its own."""

    id: str
    turns: tuple[str, ...]
    system: str | None = None


def find_talks(name: str, seed: int = 0) -> tuple[Talk, ...]:
    """The conversations that `--prompts NAME` means: `pocket`, `random`, or a JSONL file.

    Lines are `{"question_id"?, "turns": [...]}` (MT-Bench's question.jsonl), `{"prompt": ...}` or
    `{"messages": [...]}`; of messages the user's become turns, between which the model's own replies stand. Raises
    UsageError for a file that cannot be read, is empty, or has a line in none of these forms.
    """
    if name == RANDOM:
        return random_talks(seed)
    path = FOLDER / "pocket_two_turns.jsonl" if name == POCKET else Path(name).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"--prompts {path} is not UTF-8 at byte {error.start}", "convert it to UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"--prompts {path} cannot be read: {error.strerror}", f"give a JSONL file, {POCKET} or {RANDOM}"
        ) from error
    talks = tuple(_talk(path, number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if not talks:
        raise UsageError(f"--prompts {path} holds no conversation", 'write lines like {"turns": ["Hello!"]}')
    return talks


def random_talks(seed: int, count: int = RANDOM_TALKS) -> tuple[Talk, ...]:
    """Two-turn conversations of random letters: nothing in them predicts anything, and nothing is said twice."""
    source = random.Random(seed)

    def message() -> str:
        words = source.randint(*RANDOM_WORDS)
        return " ".join(
            "".join(source.choices(string.ascii_letters + string.digits, k=source.randint(2, 9))) for _ in range(words)
        )

    return tuple(Talk(f"random-{number}", (message(), message())) for number in range(1, count + 1))


def _talk(path: Path, number: int, line: str) -> Talk:
    where = f"--prompts {path}, line {number}"
    try:
        values = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}", "write one JSON object a line") from error
    if not isinstance(values, dict):
        raise UsageError(f"{where} is not a JSON object", 'write it like {"turns": ["Hello!"]}')
    name = str(next((values[key] for key in _IDS if key in values), number))
    if "turns" in values:
        return Talk(name, _texts(where, values["turns"]))
    if "prompt" in values:
        return Talk(name, _texts(where, [values["prompt"]]))
    if "messages" in values:
        return _messages(where, name, values["messages"])
    raise UsageError(f'{where} has none of "turns", "prompt" and "messages"', 'write it like {"turns": ["Hello!"]}')


def _messages(where: str, name: str, messages: Any) -> Talk:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise UsageError(f'{where}: "messages" is not a list of messages')
    roles = [message.get("role") for message in messages]
    wrong = next((role for role in roles if role not in ("system", "user", "assistant")), None)
    if wrong is not None:
        raise UsageError(f"{where}: the role {wrong!r} is not known", "roles are system, user and assistant")
    turns = _texts(where, [message.get("content") for message in messages if message["role"] == "user"])
    system = messages[0].get("content") if roles[0] == "system" else None
    if system is not None and not isinstance(system, str):
        raise UsageError(f"{where}: the system prompt is no text")
    return Talk(name, turns, system)


def _texts(where: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where} has no message of the user", 'write it like {"turns": ["Hello!"]}')
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{where} holds a message that is no text: {str(value)[:40]!r}")
    return tuple(values)
