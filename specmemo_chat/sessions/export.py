"""A stored conversation as Markdown or as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from specmemo_chat.sessions.turns import Resumed, SessionInfo, StoredTurn, branches

CUT_OFF = {"interrupted": "interrupted", "partial": "cut off: the program ended during this reply"}


def as_json(session: SessionInfo, turns: Sequence[StoredTurn], current: Sequence[StoredTurn]) -> dict[str, Any]:
    """Everything that is stored. `turns` is the whole tree, `messages` the current branch in the form that
    `specmemo batch` and most libraries read; times are seconds since 1970."""
    return {
        "schema": 1,
        "id": session.id,
        "name": session.name,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "head": session.head,
        "messages": messages(current),
        "turns": [
            {
                "id": turn.id,
                "parent": turn.parent,
                "user": turn.user,
                "reply": turn.reply,
                "state": turn.state,
                "finish_reason": turn.finish_reason,
                "created": turn.created,
                "updated": turn.updated,
                **({"system": turn.system} if turn.system is not None else {}),
                "stats": turn.statistics,
            }
            for turn in turns
        ],
    }


def messages(turns: Iterable[StoredTurn]) -> list[dict[str, str]]:
    """The turns as role/content pairs, the system prompt first."""
    pairs: list[dict[str, str]] = []
    for turn in turns:
        if turn.parent is None and turn.system:
            pairs.append({"role": "system", "content": turn.system})
        pairs.append({"role": "user", "content": turn.user})
        pairs.append({"role": "assistant", "content": turn.reply})
    return pairs


def as_markdown(resumed: Resumed, turns: Sequence[StoredTurn] = ()) -> str:
    """The current branch as a document; with `turns`, the whole tree, the other branches after it."""
    session = resumed.session
    parts = [f"# {session.title}", f"{session.model}, {_day(session.created)}"]
    parts += _way(session.model, resumed.turns)
    shown = {turn.id for turn in resumed.turns}
    for number, way in enumerate((way for way in branches(turns) if way[-1].id not in shown), start=1):
        fork = next((turn for turn in reversed(way) if turn.id in shown), None)
        after = f"after “{_first_line(fork.user)}”" if fork is not None else "from the beginning"
        parts += [f"# Branch {number}, {after}"]
        parts += _way(session.model, [turn for turn in way if turn.id not in shown])
    return "\n\n".join(parts) + "\n"


def _way(model: str, turns: Iterable[StoredTurn]) -> list[str]:
    parts = []
    for turn in turns:
        if turn.parent is None and turn.system:
            parts += ["## System", turn.system]
        parts += ["## You", turn.user, f"## {model}"]
        if turn.reply:
            parts.append(turn.reply)
        if turn.state in CUT_OFF:
            parts.append(f"*({CUT_OFF[turn.state]})*")
    return parts


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:60]
