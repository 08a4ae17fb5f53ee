"""Stored conversations in the whole program: killed, continued, forked, exported; a file that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from specmemo_chat.sessions.places import open_store, sessions_file
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore
from specmemo_chat.setup.prepare import state_folder
from tests.scripted.program import FLAGS, environment, run
from tests.terminal import SCRIPTED, Terminal


@pytest.fixture(autouse=True)
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)


def until_stored(state: str, least: int, meanwhile: Callable[[float], None] = time.sleep) -> str:
    """Wait until a turn in `state` with so much text is in the file; the text. A terminal must be read meanwhile."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if sessions_file().exists():
            with SessionStore(sessions_file()) as store:
                for session in store.sessions():
                    for turn in store.turns(session.id):
                        if turn.state == state and len(turn.reply) >= least:
                            return turn.reply
        meanwhile(0.1)
    raise AssertionError(f"no {state} turn was stored")


def store(name: str, message: str) -> None:
    """A conversation of one turn, without a model."""
    recorder = Recorder(open_store, "pocket", name=name)
    recorder.changed([(message, "A reply.")], None)
    recorder.close()


def test_a_chat_goes_on_after_a_kill_with_the_same_context() -> None:
    """With the bundled model: its first turn reuses nothing and says so, its second reuses everything."""
    messages = ("My name is Bella.", "What is my name?", "Thank you!")
    first = Terminal("chat")
    try:
        first.ask(messages[0])
        os.kill(first.pid, signal.SIGKILL)
    finally:
        first.close()
    second = Terminal("chat", "-c")
    try:
        for message in messages[1:]:
            second.ask(message)
        said = " ".join(second.transcript.split())
    finally:
        second.close()
    with SessionStore(sessions_file()) as opened:
        turns = opened.resume(opened.sessions()[0]).turns
        opened.check_integrity()
    assert [turn.user for turn in turns] == list(messages)
    assert {turn.state for turn in turns} == {"complete"}
    assert "Bella" in turns[1].reply
    assert "continuing “My name is Bella.”: 1 turn, last used" in said
    before, continued, last = (turn.statistics for turn in turns)
    assert f"the earlier turns are read anew: 0 of {continued['prompt_tokens']} prompt tokens reused" in said
    assert said.count("are read anew") == 1
    assert continued["reused_tokens"] == 0
    # All of the first turn is in the prompt again, and of the second all that the arena holds is reused.
    assert continued["prompt_tokens"] > before["prompt_tokens"] + before["new_tokens"]
    assert last["reused_tokens"] >= continued["prompt_tokens"] + continued["new_tokens"] - 2


def test_a_kill_in_a_reply_keeps_what_was_written_down() -> None:
    terminal = Terminal("chat", *FLAGS, script=SCRIPTED)
    try:
        terminal.wait_prompt()
        terminal.enter("Everything")
        text = until_stored("partial", 20, terminal.read)
        os.kill(terminal.pid, signal.SIGKILL)
    finally:
        terminal.close()
    shown = run("sessions", "show", "1")
    assert "cut off: the program ended during this reply" in shown.stdout
    assert text in shown.stdout
    listed = json.loads(run("sessions", "ls", "--json").stdout)["sessions"]
    assert [(session["title"], session["stored_turns"]) for session in listed] == [("Everything", 1)]
    # What was cut off is part of the conversation, marked.
    again = run("chat", *FLAGS, "-c", "-p", "And then?")
    assert again.returncode == 0, again.stderr
    assert "the program ended during its last reply" in again.stderr
    exported = json.loads(run("sessions", "export", "1", "--format", "json").stdout)
    assert [turn["state"] for turn in exported["turns"]] == ["partial", "complete"]
    assert [message["role"] for message in exported["messages"]] == ["user", "assistant"] * 2


def test_commands_of_a_chat_and_what_is_stored(tmp_path: Path) -> None:
    saved = tmp_path / "talk.md"
    terminal = Terminal("chat", *FLAGS, "-n", "600", "--session", "diary", script=SCRIPTED, columns=160)
    try:
        for line, answer in [
            ("Hello [red]there[/red]", "You said: Hello"),
            ("And more", "You said: And more"),
            (f"/save {saved}", "saved to"),
            (f"/save {saved}", "is there already"),
            (f"/save {tmp_path / 'talk.json'}", "saved to"),
            ("/regen 7", "You said: And more"),
            ("/edit 2 Something else", "You said: Something else"),
            ("/sessions", "diary"),
            ("/undo", "taken back: Something else"),
            ("/show", "max_new_tokens  600            flag"),
            ("/set top_k 40", "top_k = 40"),
            ("/show", "top_k           40             /set"),
            ("/sessions nowhere", "no stored conversation"),
            ("/system Be brief.", "system prompt set"),
            ("Anew", "You said: Anew"),
            ("/sessions diary", "going on with “Hello [red]there[/red]”: 1 turn"),
            ("/show", "ctx_size        512            flag"),
        ]:
            terminal.ask(line)
            assert answer in terminal.text, (line, terminal.text)
        terminal.enter("/bye")
        assert terminal.exit_status() == 0
    finally:
        terminal.close()
    assert "# Hello [red]there[/red]" in saved.read_text()
    assert len(json.loads((tmp_path / "talk.json").read_text())["messages"]) == 4
    with SessionStore(sessions_file()) as opened:
        (session,) = opened.sessions()
        assert (session.name, session.turns) == ("diary", 1)
        turns = opened.turns(session.id)
        # What was made again, edited, taken back and begun anew is kept, all of it.
        assert sorted(turn.user for turn in turns) == [
            *("And more", "And more", "Anew", "Hello [red]there[/red]", "Something else")
        ]
        assert [turn.system for turn in turns if turn.user == "Anew"] == ["Be brief."]
    everything = run("sessions", "show", "diary", "--branches").stdout
    assert "# Branch 1" in everything
    assert everything.count("Something else") == 2


def test_a_title_cannot_write_to_the_terminal() -> None:
    store("x", "Hi \x1b]0;owned\x07 \x1b[31mred")
    for arguments in (
        ["sessions", "ls", "--color", "always"],
        ["sessions", "show", "x", "--color", "always"],
        ["chat", *FLAGS, "-c", "-p", "Hi"],
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
        assert "\x1b]0" not in done.stdout + done.stderr
        assert "\x1b[31m" not in done.stdout + done.stderr
    assert "\\u001b" in run("sessions", "export", "x", "-f", "json").stdout


def test_a_file_that_cannot_be_used_costs_the_record_and_not_the_chat() -> None:
    SessionStore(sessions_file()).close()
    with sqlite3.connect(sessions_file()) as db:
        db.execute("PRAGMA user_version = 99")
    # Who asks for a stored conversation gets the error; who just chats gets the chat.
    for arguments in (["chat", "-c", "-p", "Hi"], ["chat", "--session", "x", "-p", "Hi"], ["sessions", "ls"]):
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert "newer specmemo" in done.stderr
        assert "Traceback" not in done.stderr
    terminal = Terminal("chat", *FLAGS, script=SCRIPTED)
    try:
        terminal.ask("Hello")
        terminal.ask("/sessions")
        said = " ".join(terminal.transcript.split())
        assert said.count("this chat is not saved") == 1
        assert "it goes on unsaved" in said
        assert "You said: Hello" in said
        terminal.enter("/bye")
        assert terminal.exit_status() == 0
    finally:
        terminal.close()


def test_listing_removing_and_asking() -> None:
    for name in ("one", "two"):
        store(name, name)
    for arguments in (["one"], [], ["nowhere", "--yes"]):
        assert run("sessions", "rm", *arguments).returncode == 2
    done = run("sessions", "rm", "one", "--yes")
    assert done.returncode == 0
    assert "1 conversation with 1 turn deleted" in done.stderr
    assert run("sessions", "show", "one").returncode == 2
    assert "typed lines" not in done.stderr
    typed = state_folder() / "history"
    typed.parent.mkdir(parents=True, exist_ok=True)
    typed.write_text("\n# 2026-01-01\n+two\n")
    done = run("sessions", "rm", "--all", "--yes")
    assert done.returncode == 0
    assert f"typed lines of all chats stay in {typed}" in done.stderr
    assert "no conversation" in run("sessions", "ls").stderr


def test_names_and_what_is_not_there() -> None:
    for arguments, words in (
        (["-c"], "no stored conversation to continue"),
        (["-c", "--session", "nope"], "no stored conversation 'nope'"),
        (["--session", "77"], "no stored conversation '77'"),
        (["--session", " "], "cannot be a conversation's name"),
    ):
        done = run("chat", *arguments, "-p", "Hi")
        assert done.returncode == 2
        assert words in done.stderr
    assert not sessions_file().exists()
