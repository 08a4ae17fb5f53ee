"""What `sessions rm` leaves on the disk: nothing, however SQLite was built and whoever else has the file open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.errors import SessionError
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore
from tests.recording import Turns, current, end, new_recorder, say

SECRET = "xylophone"
# Longer than a page, so that a growing reply frees pages again and again.
LONG = f"{SECRET} " * 900


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture(params=["overwriting", "leaving"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """SQLite with either default of `secure_delete`."""
    connect = sqlite3.connect
    default = {"overwriting": "ON", "leaving": "OFF"}[request.param]

    def built(*arguments: Any, **named: Any) -> sqlite3.Connection:
        db = connect(*arguments, **named)
        db.execute(f"PRAGMA secure_delete = {default}")
        return db

    monkeypatch.setattr(sqlite3, "connect", built)
    return str(request.param)


@pytest.fixture
def recorder(file: Path) -> Iterator[Recorder]:
    recorder = new_recorder(file)
    yield recorder
    recorder.close()


def copies(file: Path) -> int:
    """How often the secret is in the files of the folder."""
    return sum(path.read_bytes().count(SECRET.encode()) for path in file.parent.rglob("*") if path.is_file())


def tell(recorder: Recorder) -> None:
    """A conversation whose replies grow, are made again, are taken back, and fail before a word of them."""
    turns: Turns = []
    for number in range(4):
        recorder.began(turns, f"Keep {SECRET}.", f"{number}: {LONG}")
        for _ in range(4):
            recorder.grew(LONG)
        turns.append((f"{number}: {LONG}", LONG))
        recorder.changed(turns, f"Keep {SECRET}.", end(LONG))
    recorder.changed(turns[:2], f"Keep {SECRET}.")
    recorder.began(turns[:2], f"Keep {SECRET}.", LONG)
    recorder.stopped()
    assert recorder.saved


def remove(file: Path, name: str | None = None) -> None:
    with SessionStore(file) as store:
        store.remove([info.id for info in store.sessions() if name in (None, info.name)])


def test_deleted_text_is_gone_from_the_disk(file: Path, build: str) -> None:
    recorder, other = new_recorder(file, "secret"), new_recorder(file, "other")
    tell(recorder)
    say(other, [], "Hello", "Hi")
    recorder.close()
    other.close()
    assert copies(file) > 3000
    remove(file, "secret")
    assert copies(file) == 0
    assert current(file) == [("Hello", "Hi")]
    remove(file)
    with SessionStore(file) as store:
        assert store.sessions() == []
        store.check_integrity()


def test_it_is_gone_while_other_chats_have_the_file_open(file: Path, build: str, recorder: Recorder) -> None:
    talking = new_recorder(file, "talking")
    tell(recorder)
    turns: Turns = []
    say(talking, turns, "Hello", "Hi")
    with SessionStore(file) as store:
        store.remove([info.id for info in store.sessions() if info.name is None])
        assert copies(file) == 0
    say(talking, turns, "And?", "Yes.")
    assert talking.saved
    assert current(file) == turns
    talking.close()


def test_free_pages_of_an_earlier_version_go_too(file: Path, recorder: Recorder) -> None:
    """Freed without being overwritten, before the file came here."""
    tell(recorder)
    say(recorder, [], "Hello", "Hi")
    recorder.close()
    db = sqlite3.connect(file)
    db.execute("PRAGMA secure_delete = OFF")
    with db:
        db.execute("DELETE FROM turns WHERE instr(user, ?)", (SECRET,))
    db.close()
    assert copies(file) > 1000
    remove(file)
    assert copies(file) == 0


def test_a_reader_that_keeps_it_from_being_overwritten_is_told(file: Path, build: str, recorder: Recorder) -> None:
    tell(recorder)
    recorder.close()
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM turns").fetchone()
    with SessionStore(file, patience_s=0.05) as store:
        with pytest.raises(SessionError, match=r"deleted, but their text is not overwritten yet: another program"):
            store.remove([1])
        assert store.sessions() == []
    reader.close()
    SessionStore(file).close()
    assert copies(file) == 0


def test_a_disk_without_room_to_write_the_file_anew_is_told(file: Path, recorder: Recorder) -> None:
    tell(recorder)
    say(recorder, [], "Hello", "Hi")

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql == "VACUUM":
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(sql, *values)

    with SessionStore(file) as store:
        store._db.close()
        store._db = sqlite3.connect(file, isolation_level=None, factory=Full)
        with pytest.raises(SessionError, match=r"deleted, but .* the disk with .* is full"):
            store.remove([1])
        assert store.find("1") is None
