"""The file of conversations locked, corrupt, newer, full, moved, read-only, older, and shared: what each costs."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from specmemo_chat.errors import SessionError
from specmemo_chat.sessions import schema
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore
from tests.powers import bound_by_permissions
from tests.recording import Turns, current, new_recorder, say


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def recorder(file: Path) -> Iterator[Recorder]:
    recorder = new_recorder(file)
    yield recorder
    recorder.close()


def locked(file: Path) -> sqlite3.Connection:
    SessionStore(file).close()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_locked_file_is_told_once_and_caught_up_with(file: Path) -> None:
    other = locked(file)
    recorder = new_recorder(file)
    recorder.open()
    turns: Turns = []
    say(recorder, turns, "one", "1")
    say(recorder, turns, "two", "2")
    assert not recorder.saved
    (news,) = recorder.news()
    assert isinstance(news, SessionError)
    assert "locked by another program" in news.message
    assert "unsaved" in news.message
    other.execute("ROLLBACK")
    say(recorder, turns, "three", "3")
    assert recorder.error is None
    assert recorder.news() == ["this chat is saved again, with all its turns"]
    assert current(file) == turns


def corrupt(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"this is no database, but it is long enough to be looked at as one" * 40)


def torn(file: Path) -> None:
    """Pages in the middle overwritten, the header whole."""
    recorder = new_recorder(file)
    say(recorder, [], "x" * 9000, "y" * 9000)
    recorder.close()
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    file.write_bytes(bytes(data))


def newer(file: Path) -> None:
    SessionStore(file).close()
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")


def foreign(file: Path) -> None:
    file.parent.mkdir()
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")


def no_folder(file: Path) -> None:
    file.parent.write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (corrupt, "is corrupt"),
        (torn, "is corrupt"),
        (newer, "newer specmemo"),
        (foreign, "another program"),
        (no_folder, "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_used_costs_the_record_only(
    file: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(file)
    before = file.read_bytes() if file.is_file() else b""
    recorder = new_recorder(file)
    recorder.open()
    turns: Turns = []
    for number in range(3):
        say(recorder, turns, str(number), "reply")
    (news,) = recorder.news()
    assert isinstance(news, SessionError)
    assert words in news.message
    assert "unsaved" in news.message
    assert news.remedy
    assert not recorder.saved
    # Nothing of it was touched.
    assert (file.read_bytes() if file.is_file() else b"") == before
    recorder.close()


def test_a_full_disk_is_told_and_the_turn_is_stored_when_there_is_room(file: Path) -> None:
    def open_small() -> SessionStore:
        store = SessionStore(file)
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        return store

    recorder = Recorder(open_small, "pocket", partial_every_s=0.0)
    turns: Turns = []
    say(recorder, turns, "one", "1")
    say(recorder, turns, "two", "2" * 100_000)
    (news,) = recorder.news()
    assert isinstance(news, SessionError)
    assert "is full" in news.message
    assert current(file) == turns[:1]
    assert recorder._store is not None
    recorder._store._db.execute("PRAGMA max_page_count = 100000")
    say(recorder, turns, "three", "3")
    assert recorder.saved
    assert current(file) == turns


def test_a_file_that_is_moved_away_is_made_again_with_all_turns(file: Path, recorder: Recorder) -> None:
    turns: Turns = []
    say(recorder, turns, "one", "1")
    for path in list(file.parent.iterdir()):
        path.unlink()
    say(recorder, turns, "two", "2")
    assert current(file) == turns


def test_a_read_only_folder_can_be_read(file: Path) -> None:
    recorder = new_recorder(file)
    say(recorder, [], "one", "1")
    recorder.close()
    for path in (*file.parent.iterdir(), file.parent):
        path.chmod(0o500 if path.is_dir() else 0o400)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from specmemo_chat.sessions.store import SessionStore\n"
        "from specmemo_chat.sessions.recorder import Recorder\n"
        "file = Path(sys.argv[1])\n"
        "store = SessionStore(file)\n"
        "print(store.writable, [turn.reply for turn in store.turns(1)])\n"
        "recorder = Recorder(lambda: SessionStore(file), 'pocket')\n"
        "recorder.open()\n"
        "recorder.changed([('a', 'b')], None)\n"
        "print(recorder.saved, *recorder.news())\n"
    )
    command = bound_by_permissions(sys.executable, "-c", code, str(file))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "False ['1']"
    assert second.startswith("False this chat is not saved")
    assert "read-only" in second


def test_an_older_file_is_migrated_and_keeps_its_turns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: Turns = []
    recorder = new_recorder(file)
    say(recorder, turns, "one", "1")
    recorder.close()
    later = "ALTER TABLE sessions ADD COLUMN colour TEXT; UPDATE sessions SET colour = 'green'"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, later))
    with SessionStore(file) as store:
        assert store._db.execute("SELECT colour FROM sessions").fetchall() == [("green",)]
        assert schema.version_of(store._db) == len(schema.MIGRATIONS)
    assert current(file) == turns
    # One that fails leaves the file as it was.
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "DROP TABLE turns; NONSENSE"))
    with pytest.raises(SessionError):
        SessionStore(file)
    monkeypatch.undo()
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT count(*) FROM turns").fetchone() == (1,)


def test_many_chats_may_start_at_once(file: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from specmemo_chat.sessions.recorder import Recorder\n"
        "from specmemo_chat.sessions.store import SessionStore\n"
        "recorder = Recorder(lambda: SessionStore(Path(sys.argv[1]), patience_s=20), 'pocket')\n"
        "sys.stdin.readline()\n"
        "turns = []\n"
        "for number in range(20):\n"
        "    recorder.began(turns, None, str(number))\n"
        "    turns.append((str(number), 'reply'))\n"
        "    recorder.changed(turns, None)\n"
        "print(recorder.saved, *recorder.news())\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].strip() for process in started]
    assert answers == ["True"] * 6
    with SessionStore(file) as store:
        assert [info.turns for info in store.sessions()] == [20] * 6
        store.check_integrity()
