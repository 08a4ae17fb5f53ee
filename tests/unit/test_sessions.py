"""The store of conversations: what is kept, in which state, as which branch, and what is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import Done, Event, Ready, Text
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.requests import Load, Request, Resume, Say
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.terms import Terms
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore
from specmemo_chat.sessions.turns import branches, title_of
from specmemo_chat.settings import GenerationSettings
from tests.recording import Turns, current, end, new_recorder, say


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions.db"


@pytest.fixture
def recorder(file: Path) -> Iterator[Recorder]:
    recorder = new_recorder(file)
    yield recorder
    recorder.close()


def test_turns_are_kept_with_times_states_statistics_and_system(file: Path, recorder: Recorder) -> None:
    turns: Turns = []
    say(recorder, turns, "Hello\nthere", "Hi!", system="Be kind.")
    say(recorder, turns, "And?", "Half surrogate \ud800 and NUL \0.", system="Be kind.")
    with SessionStore(file) as store:
        (info,) = store.sessions()
        assert (info.title, info.model, info.name, info.turns) == ("Hello there", "pocket", None, 2)
        resumed = store.resume(info)
        assert resumed.system == "Be kind."
        first, second = resumed.turns
        assert (first.state, first.finish_reason, first.statistics["new_tokens"]) == ("complete", "stop", 3)
        assert second.reply == "Half surrogate ? and NUL \0."
        assert second.parent == first.id
        assert info.created <= first.created <= first.updated <= info.updated


def test_the_file_and_its_folder_are_private(file: Path, recorder: Recorder) -> None:
    file.parent.mkdir(mode=0o755)
    file.touch(mode=0o644)
    say(recorder, [], "a", "b")
    assert file.parent.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert modes == {"sessions.db": 0o600, "sessions.db-wal": 0o600, "sessions.db-shm": 0o600}


def test_every_change_of_a_conversation_is_a_branch(file: Path, recorder: Recorder) -> None:
    turns: Turns = []
    say(recorder, turns, "one", "1")
    say(recorder, turns, "two", "2")
    # Made again: a sibling.
    recorder.began(turns[:-1], None, "two")
    recorder.grew("zwei")
    turns[-1] = ("two", "zwei")
    recorder.changed(turns, None, end("zwei"))
    assert current(file) == [("one", "1"), ("two", "zwei")]
    # Taken back, another way taken, and back again to the first: found, not stored twice.
    recorder.changed(turns[:1], None)
    other = turns[:1]
    say(recorder, other, "three", "3")
    assert current(file) == [("one", "1"), ("three", "3")]
    recorder.changed([("one", "1"), ("two", "2")], None)
    assert current(file) == [("one", "1"), ("two", "2")]
    with SessionStore(file) as store:
        (info,) = store.sessions()
        assert (info.turns, info.stored) == (2, 4)
        ways = [[turn.reply for turn in way] for way in branches(store.turns(info.id))]
        assert ways == [["1", "2"], ["1", "zwei"], ["1", "3"]]
        store.check_integrity()


def test_a_reply_that_is_cut_off_leaves_its_partial_text(file: Path) -> None:
    recorder = new_recorder(file)
    turns: Turns = []
    say(recorder, turns, "one", "1")
    recorder.began(turns, None, "two")
    recorder.grew("half a ")
    recorder.grew("reply")
    # No end: as after kill -9.
    with SessionStore(file) as store:
        resumed = store.resume(store.sessions()[0])
        assert resumed.unfinished is not None
        assert resumed.unfinished.state == "partial"
        assert [turn.reply for turn in resumed.turns] == ["1", "half a reply"]
        again = new_recorder(file)
        again.resume(resumed)
        turns.append(("two", "half a reply"))
        say(again, turns, "three", "3")
        kept = store.resume(store.sessions()[0]).turns
        assert [(turn.reply, turn.state) for turn in kept] == [
            ("1", "complete"),
            ("half a reply", "partial"),
            ("3", "complete"),
        ]
        assert len(store.sessions()) == 1


def test_a_message_of_which_nothing_was_shown(file: Path) -> None:
    recorder = new_recorder(file)
    turns: Turns = []
    say(recorder, turns, "one", "1")
    # An error before the first text: the message is the user's to send again.
    recorder.began(turns, None, "too long")
    recorder.stopped()
    with SessionStore(file) as store:
        assert [turn.user for turn in store.turns(1)] == ["one"]
        # An error in the middle: what was shown stays.
        recorder.began(turns, None, "fails")
        recorder.grew("so far")
        recorder.stopped()
        assert [(turn.reply, turn.state) for turn in store.turns(1)][1:] == [("so far", "partial")]
        # Interrupted before the first text.
        recorder.began(turns, None, "stopped at once")
        recorder.changed(turns, None, end("", "interrupted"))
        assert len(store.turns(1)) == 2
        # A kill before the first text: the message is known.
        recorder.began(turns, None, "killed")
        resumed = store.resume(store.sessions()[0])
        assert [turn.user for turn in resumed.turns] == ["one"]
        assert resumed.unfinished is not None
        assert resumed.unfinished.user == "killed"


def test_a_conversation_without_a_turn_is_not_kept(file: Path) -> None:
    for name in (None, "diary"):
        recorder = new_recorder(file, name)
        recorder.began([], None, "too long")
        recorder.stopped()
        recorder.began([], None, "stopped at once")
        recorder.changed([], None, end("", "interrupted"))
        recorder.changed([], "Another system prompt.")
        with SessionStore(file) as store:
            assert store.sessions() == []
        say(recorder, [], "one", "1")
        assert current(file) == [("one", "1")]
        with SessionStore(file) as store:
            store.remove([store.sessions()[0].id])


def test_clearing_begins_another_conversation_unless_it_has_a_name(file: Path) -> None:
    for name, sessions in ((None, 2), ("diary", 1)):
        path = file.with_name(f"{name}.db")
        recorder = new_recorder(path, name)
        say(recorder, [], "one", "1")
        recorder.cleared()
        say(recorder, [], "two", "2")
        with SessionStore(path) as store:
            assert len(store.sessions()) == sessions
            assert current(path) == [("two", "2")]
            assert sum(info.stored for info in store.sessions()) == 2
            assert store.sessions()[0].name == name


def test_two_chats_in_one_conversation_keep_both_ways(file: Path) -> None:
    left, right = new_recorder(file, "shared"), new_recorder(file, "shared")
    say(left, [], "left", "1")
    say(right, [], "right", "2")
    with SessionStore(file) as store:
        (info,) = store.sessions()
        assert sorted(turn.user for turn in store.turns(info.id)) == ["left", "right"]
        # A chat whose conversation is deleted elsewhere stores it anew, whole.
        turns: Turns = [("left", "1")]
        store.remove([info.id])
        assert store.sessions() == []
        say(left, turns, "left again", "3")
        assert current(file) == [("left", "1"), ("left again", "3")]
        store.check_integrity()
    assert left.news() == []


def test_a_long_conversation_can_be_removed(file: Path, recorder: Recorder) -> None:
    """SQLite's cascades are limited to a depth of 1,000."""
    turns = [(f"q{index}", f"a{index}") for index in range(1500)]
    recorder.changed(turns, None)
    assert recorder.saved
    with SessionStore(file) as store:
        assert store.sessions()[0].turns == 1500
        store.remove([1])
        store.check_integrity()
        assert store.turns(1) == []


def test_a_turn_more_is_as_many_writes_in_a_long_conversation_as_in_a_short_one(tmp_path: Path) -> None:
    statements = []
    for length in (10, 1000):
        recorder = new_recorder(tmp_path / f"{length}.db")
        recorder.changed([(f"q{index}", f"a{index}") for index in range(length)], None)
        resumed = recorder.find("1")
        assert resumed is not None
        recorder.resume(resumed)
        asked: list[str] = []
        assert recorder._store is not None
        recorder._store._db.set_trace_callback(asked.append)
        say(recorder, [(turn.user, turn.reply) for turn in resumed.turns], "more", "and more")
        assert recorder.saved
        statements.append(len(asked))
        recorder.close()
    assert statements[0] == statements[1] < 30


class HalfEngine:
    """An executor whose reply is stopped half-way; going on with it gives the rest, or fails."""

    alive = True
    fails = False

    def request(self, request: Request, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        if isinstance(request, Load):
            yield Ready("fake", "cpu", "fp32", "none", 100, 0.0)
        elif isinstance(request, Say):
            yield Text("half")
            yield end("half", "interrupted")
        elif isinstance(request, Resume):
            yield Text(" and")
            if self.fails:
                raise WorkerError("the worker died")
            yield end("half and whole")
        else:
            yield Done({"turns": 0})

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def test_a_reply_that_goes_on_is_a_branch_and_one_that_fails_keeps_both(file: Path, recorder: Recorder) -> None:
    engine = HalfEngine()
    load = Load(Plan("fake", "fake", "cpu", "fp32", context_tokens=100, cap_bytes=0, terms=Terms()))
    client = ChatClient(lambda: engine, load, recorder)
    settings = GenerationSettings()
    list(client.say("hello", settings))
    engine.fails = True
    with pytest.raises(WorkerError):
        list(client.resume(settings))
    assert current(file) == [("hello", "half")]
    engine.fails = False
    list(client.resume(settings))
    assert current(file) == [("hello", "half and whole")]
    with SessionStore(file) as store:
        kept = [(turn.reply, turn.state) for turn in store.turns(1)]
    assert kept == [("half", "interrupted"), ("half and", "partial"), ("half and whole", "complete")]
    # Nothing to go on with: nothing is stored.
    client.restore([], None)
    with pytest.raises(UsageError):
        list(client.regenerate(settings))
    with SessionStore(file) as store:
        assert len(store.sessions()) == 1


def test_titles_are_one_line_cut_at_a_word() -> None:
    assert title_of("  Hello\n there ") == "Hello there"
    long = title_of("word " * 40)
    assert long.endswith("word…")
    assert len(long) <= 73
