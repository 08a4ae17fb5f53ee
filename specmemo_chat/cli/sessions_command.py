"""`specmemo sessions`: stored conversations, listed, shown, exported, deleted."""

from __future__ import annotations

import json as json_module
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from specmemo_chat.cli import completion, options
from specmemo_chat.errors import SpecmemoError, UsageError
from specmemo_chat.setup.flags import Color
from specmemo_chat.sizes import counted

if TYPE_CHECKING:
    from specmemo_chat.sessions.store import SessionStore
    from specmemo_chat.sessions.turns import SessionInfo

HELP = "Stored conversations: list, show, export, delete."


class Format(StrEnum):
    md = "md"
    json = "json"


Key = Annotated[str, typer.Argument(help="Its name or number.", autocompletion=completion.sessions, show_default=False)]
Branches = Annotated[bool, typer.Option("--branches", help="Other branches too: replies made again, edits, forks.")]


def ls(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """List conversations, the one used last first."""
    from specmemo_chat.sessions.places import existing_store, sessions_file
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value)
    store = existing_store()
    sessions = []
    if store is not None:
        with store:
            sessions = store.sessions(limit)
    if json:
        screen.print_json(
            {"schema": 1, "file": str(sessions_file()), "sessions": [_values(session) for session in sessions]}
        )
    elif not sessions:
        screen.note("no conversation is stored yet")
    else:
        from specmemo_chat.terminal.sessions_table import print_sessions

        print_sessions(screen, sessions)


def _values(session: SessionInfo) -> dict[str, object]:
    return {
        "id": session.id,
        "name": session.name,
        "title": session.title,
        "model": session.model,
        "created": session.created,
        "updated": session.updated,
        "turns": session.turns,
        "stored_turns": session.stored,
    }


def show(
    session: Key,
    branches: Branches = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Show a conversation."""
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value)
    screen.write(_document(session, Format.json if json else Format.md, branches))


def export(
    session: Key,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; without it to stdout.", show_default=False)
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="By default what the file's name ends in, else md.", show_default=False),
    ] = None,
    branches: Branches = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Write a conversation as Markdown or JSON; the JSON has every branch."""
    from specmemo_chat.repl.saving import write_new
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value)
    if format is None:
        format = Format.json if output is not None and output.suffix.lower() == ".json" else Format.md
    text = _document(session, format, branches)
    if output is None:
        screen.write(text)
    else:
        write_new(output, text)
        screen.note(f"written to {output}")


def _document(key: str, format: Format, branches: bool) -> str:
    from specmemo_chat.sessions.export import as_json, as_markdown

    store, session = _find(key)
    with store:
        resumed, turns = store.resume(session), store.turns(session.id)
    if format == Format.json:
        return json_module.dumps(as_json(session, turns, resumed.turns), ensure_ascii=False, indent=2) + "\n"
    return as_markdown(resumed, turns if branches else ())


def _find(key: str) -> tuple[SessionStore, SessionInfo]:
    from specmemo_chat.repl.saving import LIST
    from specmemo_chat.sessions.places import existing_store
    from specmemo_chat.terminal.text import safe_line

    store = existing_store()
    found = store.find(key) if store is not None else None
    if store is None or found is None:
        if store is not None:
            store.close()
        raise UsageError(f"there is no stored conversation {safe_line(key)[:64]!r}", LIST)
    return store, found


def rm(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(help="Names or numbers.", autocompletion=completion.sessions, show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All stored conversations.")] = False,
    yes: options.Yes = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """Delete conversations for good."""
    from specmemo_chat.sessions.places import existing_store
    from specmemo_chat.setup.prepare import HISTORY, state_folder
    from specmemo_chat.terminal.console import Screen
    from specmemo_chat.terminal.text import safe_line

    screen = Screen(color.value)
    if everything == bool(sessions):
        raise UsageError("which conversations?", "give names or numbers, or --all")
    found: list[SessionInfo] = []
    for key in sessions or ():
        store, session = _find(key)
        store.close()
        found += [session] if session not in found else []
    opened = existing_store()
    if opened is None:
        screen.note("no conversation is stored")
        return
    with opened as store:
        if not store.writable:
            raise SpecmemoError(f"{store.path} cannot be written", "make its folder writable")
        found = store.sessions() if everything else found
        turns = sum(session.stored for session in found)
        if not found:
            # What an earlier removal could not overwrite.
            store.remove([])
            screen.note("no conversation is stored")
            return
        which = f"{counted(len(found), 'conversation')} with {counted(turns, 'turn')}"
        if not yes:
            for session in found[:10]:
                screen.note(f"  {session.label}: {safe_line(session.title)}, {counted(session.stored, 'turn')}")
            options.confirm(f"Delete {which} for good?")
        store.remove([session.id for session in found])
    screen.note(f"{which} deleted")
    typed = state_folder() / HISTORY
    if typed.is_file() and typed.stat().st_size:
        screen.note(f"typed lines of all chats stay in {typed}, for the arrow keys; delete that file to forget them")
