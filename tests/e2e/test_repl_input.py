"""Typing in the REPL while the model loads, fails to load or streams; completion, history, editor, clipboard. The
model is scripted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_repl_golden import FLAGS
from tests.terminal import SCRIPTED, Terminal

SHELL = SCRIPTED.with_name("shell.py")
Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    opened: list[Terminal] = []
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "TMUX", "STY", "WSL_DISTRO_NAME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def begin(by: Path = SCRIPTED, kind: str = "xterm-256color", **script: Any) -> Terminal:
        file = tmp_path / "script.json"
        file.write_text(json.dumps({"replies": {}, **script}), encoding="utf-8")
        monkeypatch.setenv("SCRIPT", str(file))
        opened.append(Terminal(*FLAGS, script=by, columns=160, rows=30, kind=kind))
        opened[-1].wait_prompt()
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.close()


def program(folder: Path, name: str, text: str) -> Path:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)
    return path


def test_the_prompt_takes_typing_before_the_model_is_there(start: Start) -> None:
    chat = start(load_s=4.0)
    assert "loading pocket" in chat.screen.display[-1]
    # Commands that need no model answer at once, a message when the model is there.
    chat.ask("/set seed 7")
    assert "loading pocket" in chat.text
    chat.enter("first")
    chat.wait("loading the model")
    # Ctrl-C stops waiting, not loading.
    chat.send("\x03")
    chat.wait("not sent: the model still loads")
    chat.wait_prompt()
    assert "loading pocket" in chat.text
    chat.enter("second")
    chat.wait("You said: second")
    chat.wait_prompt()
    assert "You said: first" not in chat.text
    assert "plan" in chat.screen.display[-1] or "acceptance" in chat.text


def test_a_load_that_fails_while_one_types(start: Start) -> None:
    chat = start(load_s=1.5, broken="pocket")
    chat.send("half a mess")
    chat.wait("pocket is corrupt: model.safetensors ends early")
    # The error stands above the prompt, and what was typed stays there.
    chat.until(lambda: chat.prompt == "half a mess")
    chat.send("age\r")
    chat.until(lambda: chat.text.count("pocket is corrupt") == 2)
    chat.wait_prompt()
    chat.ask("/help bye")
    chat.enter("/bye")
    assert chat.exit_status() == 0


def test_a_model_that_cannot_be_loaded_gives_the_old_one_back(start: Start, tiny_folder: Path) -> None:
    chat = start(broken=str(tiny_folder))
    chat.ask("hello")
    chat.ask(f"/model {tiny_folder}")
    assert "is corrupt" in chat.text
    assert "the chat goes on with pocket" in " ".join(chat.text.split())
    chat.ask("still there?")
    assert "You said: still there?" in chat.text
    chat.ask("/context")
    assert any(line.endswith("hello") for line in chat.lines[-6:])


def test_completion_history_and_search(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some notes.txt").write_text("one two three")
    chat = start()
    chat.send("/dr")
    chat.wait("Draft by another drafter")
    chat.send("\t ng")
    chat.wait("from the conversation's own text\n plan")
    chat.send("\t")
    chat.until(lambda: chat.prompt == "/draft ngram")
    chat.send("\x03")
    chat.wait_prompt()
    chat.send("/set show_")
    chat.wait("colour what came from a draft")
    chat.send("\t")
    chat.until(lambda: chat.prompt == "/set show_accepted")
    chat.send("\x15")
    chat.wait_prompt()
    chat.send(f"/read {tmp_path}/some")
    chat.wait("some notes.txt")
    chat.send("\t")
    chat.until(lambda: (chat.prompt or "").endswith("some notes.txt"))
    chat.send("\r")
    chat.wait("it goes along with the next message")
    chat.wait_prompt()
    assert "tokens of files" in chat.screen.display[-1]
    chat.ask("what is that?")
    assert "one two three" in chat.text
    # Another chat shares the history: by beginning, and by search.
    other = start()
    other.send("what\x1b[A")
    other.until(lambda: other.prompt == "what is that?")
    other.send("\x15\x12")
    other.send("some no")
    other.wait("some notes.txt")
    other.send("\r")
    other.until(lambda: (other.prompt or "").endswith("some notes.txt"))
    # Alt+Enter and Ctrl+J begin a new line.
    other.send("\x03")
    other.wait_prompt()
    other.send("a\x1b\rb\nc\r")
    other.wait("You said: a")
    other.wait_prompt()
    assert [line for line in other.lines if line in ("b", "c", "… b", "… c")] == ["… b", "… c", "b", "c"]


def test_the_editor_and_the_clipboard(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    program(tools, "xclip", f'cat > "{tmp_path}/clipboard"')
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("VISUAL", str(program(tools, "ed1", 'printf " more" >> "$1"')))
    chat = start()
    # What the editor leaves stands at the prompt; Enter sends it.
    chat.enter("/editor some and")
    chat.until(lambda: chat.prompt == "some and more")
    chat.send("\r")
    chat.wait("You said: some and more")
    chat.ask("/copy")
    assert "copied the reply, 23 characters, by xclip; also sent to the terminal (OSC 52)" in chat.text
    assert (tmp_path / "clipboard").read_text() == "You said: some and more"
    # However the editor ends, what was written stays; the prompt's own key does the same.
    program(tools, "ed1", 'printf " written" >> "$1"; exit 4')
    chat.enter("/editor this")
    chat.until(lambda: chat.prompt == "this written")
    chat.send("\x18\x05")
    chat.until(lambda: chat.prompt == "this written written")
    assert chat.text.count("ended with exit code 4") == 2
    monkeypatch.setenv("VISUAL", "no-such-editor -w")
    missing = start()
    missing.enter("/editor keep this")
    missing.until(lambda: missing.prompt == "keep this")
    assert "there is no such program" in missing.text


MODULE = '"""A module.\n\nIts docstring.\n"""\n\nimport os\n\n\ndef f():\n\treturn """x"""'


def test_a_paste_is_sent_as_it_is(start: Start, tmp_path: Path) -> None:
    chat = start()
    pasted = [MODULE, "'''one'''\ntwo\n", "/etc/hosts\n/etc/passwd", "#!/bin/sh\nexit 0", "/etc/fstab is what?"]
    for text in pasted:
        chat.send("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")
        chat.read(0.2)
        assert "You said" not in chat.text
        chat.send("\r")
        chat.wait("You said")
        chat.wait_prompt()
        chat.send("\x0c")
        chat.until(lambda: "You said" not in chat.text)
    # In a block that was typed, too, and the history brings back what was sent.
    chat.send('"""\r')
    chat.send("\x1b[200~" + MODULE + "\x1b[201~")
    chat.send('\r"""\r')
    chat.wait("You said")
    chat.wait_prompt()
    chat.send("\x1b[A")
    chat.wait('… """A module.')
    chat.send("\x0c\r")
    chat.wait("You said")
    chat.ask(f"/save {tmp_path}/talk.json")
    messages = json.loads((tmp_path / "talk.json").read_text())["messages"]
    assert [said["content"] for said in messages[::2]] == [*pasted, MODULE, MODULE]


def test_a_terminal_that_marks_no_paste(start: Start, tmp_path: Path) -> None:
    chat = start(kind="linux")
    chat.send(MODULE.replace("\n", "\r") + "\r")
    chat.read(0.3)
    assert "You said" not in chat.text
    chat.send("what is it?\r")
    chat.wait("You said")
    chat.wait_prompt()
    chat.ask("one line")
    chat.ask(f"/save {tmp_path}/talk.json")
    messages = json.loads((tmp_path / "talk.json").read_text())["messages"]
    assert [said["content"] for said in messages[::2]] == [f"{MODULE}\nwhat is it?", "one line"]


def test_control_z_in_every_state_keeps_what_is_typed(start: Start) -> None:
    count = [[f"line {number} of many\n\n", False, 0.05] for number in range(200)]
    chat = start(load_s=4.0, replies={"Count": count}, by=SHELL)

    def suspend_and_come_back(times: int) -> None:
        chat.send("\x1a")
        chat.until(lambda: chat.text.count("stopped") == times)
        chat.enter("fg")
        chat.read(0.5)

    chat.send("Co")
    chat.until(lambda: chat.prompt == "Co")
    suspend_and_come_back(1)
    chat.until(lambda: chat.prompt == "Co")
    chat.send("unt\r")
    chat.wait("loading the model")
    suspend_and_come_back(2)
    chat.wait("line 2 of")
    suspend_and_come_back(3)
    chat.send("typed ahead")
    chat.read(0.3)
    assert "typed ahead" not in chat.text
    chat.send("\x03")
    chat.until(lambda: chat.prompt == "typed ahead")


def test_tabs_in_a_paste_are_shown_as_blanks_and_sent_as_tabs(start: Start) -> None:
    chat = start()
    chat.send("\x1b[200~if x:\n\ty = 1\x1b[201~")
    chat.wait("…     y = 1")
    assert "^I" not in chat.text
    chat.send("\r")
    chat.wait("You said: if x:")


def test_the_footer_knows_what_a_command_changed(start: Start) -> None:
    chat = start()
    chat.ask("one two three")
    chat.ask("four")
    assert "context 12/512" in chat.screen.display[-1]
    chat.ask("/undo")
    assert "context 8/512" in chat.screen.display[-1]
    chat.ask("/clear")
    assert "context 0/512" in chat.screen.display[-1]
