"""Stored conversations: /sessions and /save."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from specmemo_chat.errors import SessionError, UsageError
from specmemo_chat.host.client import ShownTurn
from specmemo_chat.repl.commands.files import files
from specmemo_chat.repl.commands.registry import Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.repl.saving import LIST, write_new
from specmemo_chat.sessions.export import as_json, as_markdown
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.turns import Resumed, SessionInfo, StoredTurn, title_of
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.sessions_table import print_sessions
from specmemo_chat.terminal.text import safe_line

LISTED = 20


def _recorder(repl: Desk) -> Recorder:
    if not isinstance(repl.client.keeper, Recorder):
        raise SessionError("this chat is not stored", "/save FILE writes it to a file")
    return repl.client.keeper


def _stored(repl: Desk, argument: str) -> Iterable[Suggestion]:
    try:
        known = _recorder(repl).listing(LISTED)
    except SessionError:
        return ()
    return matching(argument, {safe_line(session.label): safe_line(session.title) for session in known})


@command("sessions", "/sessions [NAME|ID]", "The stored conversations, or go on with one of them", _stored,
         needs_model=False)  # fmt: skip
def _sessions(repl: Desk, argument: str) -> None:
    recorder = _recorder(repl)
    if not argument:
        known = recorder.listing(LISTED)
        if known:
            print_sessions(repl.screen, known, recorder.session)
        else:
            repl.say("no conversation is stored yet")
        if recorder.error is not None:
            repl.say(f"this chat is not saved: {recorder.error.message}")
        return
    found = recorder.find(argument)
    if found is None:
        raise UsageError(f"there is no stored conversation {safe_line(argument)[:64]!r}", LIST)
    recorder.resume(found)
    repl.attached.clear()
    repl.client.restore([ShownTurn(turn.user, turn.reply) for turn in found.turns], found.system)
    repl.say(f"going on with “{safe_line(found.session.title)}”: {counted(len(found.turns), 'turn')}")
    repl.show_last()


@command("save", "/save FILE", "Write this conversation to a new file: Markdown, or JSON if it ends in .json", files)
def _save(repl: Desk, argument: str) -> None:
    if not argument:
        raise UsageError("/save needs a file's name", "/save talk.md")
    if not repl.client.turns:
        raise UsageError("there is no turn to save yet", "send a message first")
    file = Path(argument.strip("\"'")).expanduser()
    shown = _shown(repl)
    if file.suffix.lower() == ".json":
        text = json.dumps(as_json(shown.session, shown.turns, shown.turns), ensure_ascii=False, indent=2) + "\n"
    else:
        text = as_markdown(shown)
    write_new(file, text)
    repl.say(f"saved to {safe_line(str(file))}")


def _shown(repl: Desk) -> Resumed:
    """The conversation as it is shown, stored or not; with times and statistics where it is stored."""
    turns, system = repl.client.turns, repl.client.system
    recorder = repl.client.keeper
    if isinstance(recorder, Recorder) and recorder.saved and recorder.session is not None:
        stored = recorder.find(str(recorder.session))
        if stored is not None and len(stored.turns) == len(turns):
            return stored
    title = title_of(turns[0].user)
    session = SessionInfo(0, None, title, repl.plan.model, 0.0, 0.0, len(turns), len(turns), len(turns))
    plain = [
        StoredTurn(number, number - 1 or None, turn.user, turn.reply, system=system if number == 1 else None)
        for number, turn in enumerate(turns, start=1)
    ]
    return Resumed(session, tuple(plain))
