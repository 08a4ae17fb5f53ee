"""The conversations that a benchmark runs: read from a file, shipped, or made against speculation. Needs no torch."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.conversations import BrokenLine, ChatLine, read_conversations
from specmemo_chat.errors import UsageError

FOLDER = Path(__file__).parent / "prompts"
# Names that --prompts takes beside a file.
POCKET, RANDOM = "pocket", "random"
# The set against speculation: two-turn conversations, and the least and most random words of a turn.
RANDOM_TALKS, RANDOM_WORDS = 60, (8, 24)


@dataclass(frozen=True)
class Talk:
    """One conversation: its id, the user's messages in order, and a system prompt where it has one of its own."""

    id: str
    turns: tuple[str, ...]
    system: str | None = None


def find_talks(name: str, seed: int = 0) -> tuple[Talk, ...]:
    """The conversations that `--prompts NAME` means: `pocket`, `random`, or a JSONL file.

    The file's lines are those of specmemo_chat.conversations; of messages the user's become turns, between which the
    model's own replies stand. Raises UsageError for a file that cannot be read, is empty, or has a line of no form.
    """
    if name == RANDOM:
        return random_talks(seed)
    path = FOLDER / "pocket_two_turns.jsonl" if name == POCKET else Path(name).expanduser()
    talks = tuple(_talk(path, line) for line in read_conversations(path))
    if not talks:
        raise UsageError(f"--prompts {path} holds no conversation", 'write lines like {"turns": ["Hello!"]}')
    return talks


def random_talks(seed: int) -> tuple[Talk, ...]:
    """Two-turn conversations of random letters: nothing in them predicts anything, and nothing is said twice."""
    source = random.Random(seed)

    def message() -> str:
        words = source.randint(*RANDOM_WORDS)
        return " ".join(
            "".join(source.choices(string.ascii_letters + string.digits, k=source.randint(2, 9))) for _ in range(words)
        )

    return tuple(Talk(f"random-{number}", (message(), message())) for number in range(1, RANDOM_TALKS + 1))


def _talk(path: Path, line: ChatLine | BrokenLine) -> Talk:
    if isinstance(line, BrokenLine):
        raise UsageError(f"--prompts {path}, {line.error}", 'write lines like {"turns": ["Hello!"]}')
    users = tuple(message["content"] for message in line.messages if message["role"] == "user")
    turns = line.turns or users
    if not turns or not all(text.strip() for text in turns):
        what = "a message that is no text" if turns else "no message of the user"
        raise UsageError(f"--prompts {path}, line {line.number} has {what}", 'write it like {"turns": ["Hello!"]}')
    system = line.messages[0] if line.messages else {}
    name = str(next(iter(line.key.values())))
    return Talk(name, turns, system["content"] if system.get("role") == "system" else None)
