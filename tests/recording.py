"""Telling a recorder what a chat does, and reading back what it stored."""

from __future__ import annotations

from pathlib import Path

from specmemo_chat.events import ReplyEnd, Statistics
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore

Turns = list[tuple[str, str]]


def new_recorder(file: Path, name: str | None = None, patience: float = 0.05) -> Recorder:
    return Recorder(lambda: SessionStore(file, patience_s=patience), "pocket", name=name, partial_every_s=0.0)


def end(text: str, reason: str = "stop") -> ReplyEnd:
    return ReplyEnd(text, reason, Statistics(new_tokens=3))  # type: ignore[arg-type]


def say(recorder: Recorder, turns: Turns, user: str, reply: str, system: str | None = None) -> None:
    """One turn as the client tells it."""
    recorder.began(turns, system, user)
    recorder.grew(reply)
    turns.append((user, reply))
    recorder.changed(turns, system, end(reply))


def current(file: Path, which: int = 0) -> Turns:
    with SessionStore(file) as store:
        return [(turn.user, turn.reply) for turn in store.resume(store.sessions()[which]).turns]
