"""The REPL in a real terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal import Terminal


@pytest.fixture
def repl(tiny_folder: Path) -> Iterator[Terminal]:
    terminal = Terminal("chat", "--model", str(tiny_folder), "-n", "12")
    terminal.wait("/help lists the commands")
    yield terminal
    terminal.close()


def test_a_chat_from_start_to_end(repl: Terminal) -> None:
    for line, answer in [
        ("Hello there", "length limit"),
        ("/stats", "last reply: 12 tokens"),
        ("/compare", "the texts are identical"),
        ("/undo", "taken back: Hello there"),
        ("/nonsense", "no command /nonsense"),
        ("/set temperature hot", "needs a number"),
        ("/set max_new_tokens 3", "max_new_tokens = 3"),
        ("/system Be brief.", "system prompt set"),
        ("/show", "max_new_tokens   3"),
    ]:
        repl.enter(line)
        repl.wait(answer)
    repl.enter("/bye")
    assert repl.exit_status() == 0


def test_control_c_stops_a_reply_and_the_chat_goes_on(repl: Terminal) -> None:
    repl.enter("/set max_new_tokens 3500")
    repl.enter("Tell me everything")
    repl.wait("> Tell me everything")
    shown = len(repl.lines)
    repl.until(lambda: len(repl.lines) > shown + 3)
    repl.send("\x03")
    repl.wait("interrupted; what was shown is kept", timeout=10)
    repl.enter("/stats")
    repl.wait(", 1 turn")
    repl.send("\x04")
    assert repl.exit_status() == 0


def test_what_is_typed_while_a_reply_streams_is_the_next_message(repl: Terminal) -> None:
    repl.enter("/set max_new_tokens 600")
    repl.enter("Tell me everything")
    repl.enter("/set max_new_tokens 5")
    repl.enter("And then?")
    repl.wait("> And then?")
    repl.enter("/stats")
    repl.wait("last reply: 5 tokens")
    # Ctrl-D while nothing is read leaves as well.
    repl.enter("/regen")
    repl.send("\x04")
    assert repl.exit_status() == 0


def test_control_c_twice_leaves(repl: Terminal) -> None:
    repl.send("half a message")
    repl.send("\x03")
    repl.read(0.3)
    repl.send("\x03")
    repl.read(0.3)
    repl.send("\x03")
    assert repl.exit_status() == 0


def test_a_narrow_terminal_without_colours(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal("chat", "--model", str(tiny_folder), "-n", "12", columns=40, rows=20)
    try:
        terminal.wait("/help lists the commands")
        terminal.enter("Hello there")
        terminal.wait("length limit")
        terminal.enter("/bye")
        assert terminal.exit_status() == 0
    finally:
        terminal.close()
