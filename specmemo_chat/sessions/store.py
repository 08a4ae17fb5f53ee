"""sessions.db: stored conversations in one SQLite file (WAL), private to the user, shared by several chats at once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from specmemo_chat.errors import SessionError
from specmemo_chat.sessions import schema
from specmemo_chat.sessions.turns import Resumed, SessionInfo, StoredTurn, TurnState, branch

FILE_NAME = "sessions.db"
# How long another program's write is waited for.
PATIENCE_S = 2.0

_SESSIONS = """
    WITH RECURSIVE way (session, turn, parent) AS (
        SELECT sessions.id, turns.id, turns.parent FROM sessions JOIN turns ON turns.id = sessions.head
        UNION ALL
        SELECT way.session, turns.id, turns.parent FROM way JOIN turns ON turns.id = way.parent
    ), lengths AS (SELECT session, count(*) AS turns FROM way GROUP BY session),
    totals AS (SELECT session, count(*) AS stored FROM turns GROUP BY session)
    SELECT id, name, title, model, created, updated, head, coalesce(turns, 0), coalesce(stored, 0) FROM sessions
    LEFT JOIN lengths ON lengths.session = id LEFT JOIN totals ON totals.session = id
"""
_TURNS = (
    "SELECT id, parent, user, reply, state, finish_reason, created, updated, system, coalesce(statistics, '{}') "
    "FROM turns"
)


def problem(error: Exception, path: Path) -> SessionError:
    """A failure of the file as one sentence with its remedy."""
    if isinstance(error, schema.NewerSchemaError):
        return SessionError(
            f"{path} was written by a newer specmemo (its {error}, this one knows {len(schema.MIGRATIONS)})",
            "update specmemo, or move the file away to begin a new one",
        )
    if isinstance(error, schema.ForeignFileError):
        return SessionError(f"{path} is the database of another program", "move it away to begin a new one")
    code = getattr(error, "sqlite_errorcode", None)
    code = code & 0xFF if code is not None else None
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return SessionError(f"{path} is locked by another program", "close that program; `fuser` names it")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA):
        return SessionError(
            f"{path} is corrupt ({error})",
            f"move it away to begin a new one; `sqlite3 {path.name} .recover` may save what it held",
        )
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in (28, 122):
        return SessionError(f"the disk with {path} is full", "free some space")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM) or isinstance(error, OSError):
        reason = getattr(error, "strerror", None) or str(error)
        return SessionError(
            f"{path} cannot be written ({reason})", "make its folder writable, or set XDG_DATA_HOME to one that is"
        )
    return SessionError(f"{path} cannot be used ({error})", "look at the disk; move the file away to begin a new one")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise inside into SessionError."""
    try:
        yield
    except (sqlite3.Error, OSError, schema.NewerSchemaError, schema.ForeignFileError) as error:
        raise problem(error, path) from error


class SessionStore:
    """An open sessions.db. Not thread-safe. Every method raises SessionError where the file fails.

    `writable` False: the folder is read-only, and what is stored can be read all the same.
    """

    def __init__(self, path: Path, *, patience_s: float = PATIENCE_S) -> None:
        self.path = path
        self.writable = True
        with explained(path):
            try:
                _make_private(path)
                self._db = self._connect(f"file:{quote(str(path))}?mode=rw", patience_s)
            except (OSError, sqlite3.OperationalError) as error:
                if not path.is_file() or not _denied(error):
                    raise
                self._db = self._open_read_only(patience_s)
        self._identity = self._file_identity()

    def _connect(self, uri: str, patience_s: float) -> sqlite3.Connection:
        db = _open(uri, patience_s)
        try:
            schema.check(db)
            # A commit is on the disk when the prompt appears, also where the power fails.
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            _use_wal(db)
            schema.migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _open_read_only(self, patience_s: float) -> sqlite3.Connection:
        """Without write access SQLite cannot make the files that go with a WAL: then the file is read as it lies."""
        self.writable = False
        for mode in ("mode=ro", "immutable=1"):
            db = _open(f"file:{quote(str(self.path))}?{mode}", patience_s)
            try:
                schema.check(db)
                if schema.version_of(db) != len(schema.MIGRATIONS):
                    raise sqlite3.OperationalError("an older version's file, and it cannot be brought up to date")
                return db
            except sqlite3.OperationalError:
                db.close()
                if mode == "immutable=1":
                    raise
            except BaseException:
                db.close()
                raise
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> SessionStore:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def replaced(self) -> bool:
        """Whether the file was removed or exchanged since it was opened: what is written would go nowhere."""
        return self._file_identity() != self._identity

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def wait_at_most(self, seconds: float) -> None:
        """How long a write waits for another program's."""
        self._db.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All of what is written inside, or nothing. `durable` False: a power failure may lose it, a kill does not."""
        with explained(self.path):
            if not durable:
                self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            finally:
                if not durable:
                    self._db.execute("PRAGMA synchronous = FULL")

    # --- reading

    def sessions(self, limit: int = -1) -> list[SessionInfo]:
        """Stored conversations, the one used last first."""
        return self._infos("ORDER BY updated DESC, id DESC LIMIT ?", limit)

    def find(self, key: str) -> SessionInfo | None:
        """The conversation with this name or number."""
        number = int(key) if key.isascii() and key.isdigit() and len(key) < 18 else -1
        found = self._infos("WHERE name = ? OR id = ?", key, number)
        return found[0] if found else None

    def _infos(self, where: str, *values: Any) -> list[SessionInfo]:
        with explained(self.path):
            return [SessionInfo(*row) for row in self._db.execute(_SESSIONS + where, values)]

    def turns(self, session: int) -> list[StoredTurn]:
        """All turns of a conversation, of every branch, in the order in which they began."""
        with explained(self.path):
            rows = self._db.execute(f"{_TURNS} WHERE session = ? ORDER BY id", (session,)).fetchall()
        turns = (StoredTurn(*row) for row in rows)
        # SQLite holds the statistics as JSON text.
        return [replace(turn, statistics=json.loads(str(turn.statistics))) for turn in turns]

    def resume(self, session: SessionInfo) -> Resumed:
        """The conversation to go on with, and where it was cut off."""
        turns = self.turns(session.id)
        way = branch(turns, session.head)
        last = turns[-1] if turns else None
        if last is None or last.state != "partial" or last.parent != session.head:
            return Resumed(session, tuple(way))
        return Resumed(session, (*way, last) if last.reply else tuple(way), last)

    def check_integrity(self) -> None:
        """Raise SessionError where the file is damaged (SQLite's own check)."""
        with explained(self.path):
            answer = [row[0] for row in self._db.execute("PRAGMA integrity_check")]
            if answer != ["ok"]:
                raise SessionError(f"{self.path} is damaged: {answer[0]}", "move it away to begin a new one")
            if self._db.execute("PRAGMA foreign_key_check").fetchall():
                raise SessionError(f"{self.path} is damaged: a turn without a session", "move it away")

    # --- writing, inside `transaction`

    def create(self, name: str | None, title: str, model: str, now: float) -> int:
        """A new conversation's number; that of the one called `name` where another program made it just now."""
        row = self._db.execute(
            "INSERT INTO sessions (name, title, model, created, updated) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO NOTHING RETURNING id",
            (name, _text(title), _text(model), now, now),
        ).fetchone()
        if row is None:
            row = self._db.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    def exists(self, session: int) -> bool:
        return self._db.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone() is not None

    def child(self, session: int, parent: int | None, system: str | None, user: str, reply: str) -> int | None:
        """The stored turn with these texts after `parent`, if there is one; `system` is None but for first turns."""
        row = self._db.execute(
            "SELECT id FROM turns WHERE session = ? AND parent IS ? AND system IS ? AND user = ? AND reply = ? "
            "ORDER BY id DESC",
            (session, parent, None if system is None else _text(system), _text(user), _text(reply)),
        ).fetchone()
        return int(row[0]) if row else None

    def add(self, session: int, parent: int | None, system: str | None, user: str, reply: str, now: float) -> int:
        """A turn after `parent`; it is partial until `finish`."""
        cursor = self._db.execute(
            "INSERT INTO turns (session, parent, system, user, reply, state, created, updated) "
            "VALUES (?, ?, ?, ?, ?, 'partial', ?, ?)",
            (session, parent, None if system is None else _text(system), _text(user), _text(reply), now, now),
        )
        return int(cursor.lastrowid or 0)

    def write_partial(self, turn: int, reply: str, now: float) -> None:
        self._db.execute("UPDATE turns SET reply = ?, updated = ? WHERE id = ?", (_text(reply), now, turn))

    def finish(
        self, turn: int, reply: str, state: TurnState, reason: str | None, statistics: dict[str, Any], now: float
    ) -> None:
        """The whole reply of a turn, and how it ended."""
        self._db.execute(
            "UPDATE turns SET reply = ?, state = ?, finish_reason = ?, statistics = ?, updated = ? WHERE id = ?",
            (_text(reply), state, reason, json.dumps(statistics) if statistics else None, now, turn),
        )

    def drop(self, session: int, turn: int) -> bool:
        """Forget a turn of which nothing was shown, and its conversation where it was the only one: True."""
        self._db.execute("DELETE FROM turns WHERE id = ?", (turn,))
        emptied = self._db.execute(
            "DELETE FROM sessions WHERE id = ? AND NOT EXISTS (SELECT 1 FROM turns WHERE session = ?)",
            (session, session),
        )
        return emptied.rowcount > 0

    def set_head(self, session: int, head: int | None, model: str, now: float) -> None:
        """The last turn of the current branch, and the model that the conversation is held with now."""
        self._db.execute(
            "UPDATE sessions SET head = ?, model = ?, updated = ? WHERE id = ?", (head, _text(model), now, session)
        )

    def remove(self, sessions: list[int]) -> None:
        """Delete conversations for good: no byte of them stays in the file or in its log.

        Raises SessionError also where they are deleted and another program or a full disk keeps the file from being
        written anew.
        """
        with self.transaction():
            for session in sessions:
                self._db.execute("DELETE FROM turns WHERE session = ?", (session,))
                self._db.execute("DELETE FROM sessions WHERE id = ?", (session,))
        try:
            # What an older version or another program freed without overwriting it goes with the free pages.
            self._db.execute("VACUUM")
            kept = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            cause = problem(error, self.path)
            raise SessionError(f"{_REMAINS}: {cause.message}", *cause.remedies) from error
        if kept:
            raise SessionError(
                f"{_REMAINS}: another program reads {self.path}",
                "close that program; it is overwritten when the last chat ends, or with the next removal",
            )


_REMAINS = "the conversations are deleted, but their text is not overwritten yet"


def _open(uri: str, patience_s: float) -> sqlite3.Connection:
    """A connection on which whatever is deleted is overwritten, also where SQLite was built to leave it, and which
    writes nothing of the conversations to files elsewhere."""
    db = sqlite3.connect(uri, uri=True, timeout=patience_s, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA temp_store = MEMORY")
    return db


def _text(text: str) -> str:
    """`text` as SQLite can keep it: half a surrogate pair is no Unicode text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _make_private(path: Path) -> None:
    """The file 0600 (SQLite gives its log the same) in a folder 0700, whatever they were before."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _close_to_others(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    _close_to_others(path)


def _close_to_others(path: Path) -> None:
    mode = path.stat().st_mode & 0o7777
    if mode & 0o077:
        path.chmod(mode & ~0o077)


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to a write-ahead log: readers and a writer do not wait for each other. The switch itself needs the file
    alone, and SQLite does not wait for it: of two chats that start at once, the second finds it done."""
    for attempt in range(50):
        try:
            if db.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                return
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if attempt == 49 or (error.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.02)


def _denied(error: Exception) -> bool:
    """The system refuses to write."""
    if isinstance(error, OSError):
        return True
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
