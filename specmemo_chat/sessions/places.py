"""Where conversations are stored."""

from __future__ import annotations

from pathlib import Path

from specmemo_chat.errors import SessionError
from specmemo_chat.sessions.store import FILE_NAME, SessionStore


def sessions_file() -> Path:
    """Where conversations are stored; the file need not exist."""
    import platformdirs

    return platformdirs.user_data_path("specmemo", appauthor=False) / FILE_NAME


def open_store() -> SessionStore:
    """The store, made where there is none. Raises SessionError."""
    return SessionStore(sessions_file())


def existing_store() -> SessionStore | None:
    """The store, None where nothing was ever stored. Raises SessionError."""
    try:
        return open_store() if sessions_file().exists() else None
    except OSError as error:
        raise SessionError(f"{sessions_file()} cannot be read ({error.strerror})", "look at its folder") from error
