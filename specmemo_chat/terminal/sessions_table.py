"""Stored conversations as a table."""

from __future__ import annotations

import time

from specmemo_chat.sessions.turns import SessionInfo
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.listing import print_table


def print_sessions(screen: Screen, sessions: list[SessionInfo], current: int | None = None) -> None:
    """A line for each: number, name, turns, when, model, title. `current` gets a star."""

    rows = [
        (
            f"{session.id}{'*' if session.id == current else ''}",
            session.name or "",
            str(session.turns),
            ago(session.updated),
            # A local model is called by its folder's path.
            session.model.rstrip("/").rpartition("/")[2] if session.model.startswith("/") else session.model,
            session.title,
        )
        for session in sessions
    ]
    print_table(screen, ("ID", "NAME", "TURNS", "LAST USED", "MODEL", "TITLE"), rows, right="TURNS")


def ago(then: float) -> str:
    """A time as people say it: "5 minutes ago"."""
    seconds = max(0.0, time.time() - then)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{counted(int(seconds // size), unit)} ago"
    return "just now"
