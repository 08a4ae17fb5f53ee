"""What is kept of a conversation: sessions, and their turns as a tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

# complete: the reply ended by itself. interrupted: the user stopped it. partial: the program ended, or failed, while
# the reply was made; its text is what had been written down by then.
TurnState = Literal["complete", "interrupted", "partial"]

TITLE_LENGTH = 72


@dataclass(frozen=True)
class StoredTurn:
    """A user message and its reply. `parent` is the turn before (None: the first), so that turns form a tree: a reply
    made again, an edited message or a fork is a further child. Times are seconds since 1970; `statistics` the object of
    docs/reference.md, empty where it is not known. `system` is set on first turns only."""

    id: int
    parent: int | None
    user: str
    reply: str
    state: TurnState = "complete"
    finish_reason: str | None = None
    created: float = 0.0
    updated: float = 0.0
    system: str | None = None
    statistics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionInfo:
    """One conversation. `turns` are those of the current branch, `stored` all of them; `head` is the branch's last."""

    id: int
    name: str | None
    title: str
    model: str
    created: float
    updated: float
    head: int | None
    turns: int
    stored: int

    @property
    def label(self) -> str:
        """What the user calls it by: its name, else its number."""
        return self.name or str(self.id)


@dataclass(frozen=True)
class Resumed:
    """A stored conversation to go on with: the turns of its current branch, oldest first.

    `unfinished` is the turn that the program was killed in, if it was; with a text it is the last of `turns`.
    """

    session: SessionInfo
    turns: tuple[StoredTurn, ...]
    unfinished: StoredTurn | None = None

    @property
    def system(self) -> str | None:
        return self.turns[0].system if self.turns else None


def branch(turns: Iterable[StoredTurn], head: int | None) -> list[StoredTurn]:
    """The turns from the first to `head`."""
    by_id = {turn.id: turn for turn in turns}
    path: list[StoredTurn] = []
    while head is not None and head in by_id:
        path.append(by_id[head])
        head = by_id[head].parent
    return path[::-1]


def branches(turns: Iterable[StoredTurn]) -> list[list[StoredTurn]]:
    """Every way through the tree, in the order in which the ways ended."""
    turns = list(turns)
    parents = {turn.parent for turn in turns}
    return [branch(turns, turn.id) for turn in sorted(turns, key=lambda turn: turn.id) if turn.id not in parents]


def title_of(message: str) -> str:
    """A title from the first message: one line, cut at a word."""
    line = " ".join(message.split())
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rsplit(" ", 1)[0] or line[:TITLE_LENGTH]
    return f"{cut}…"
