"""The REPL with a real model in a real terminal: what only a model's own side can show."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal import Terminal
from tests.tiny import save_tiny


@pytest.fixture
def repl(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    terminal = Terminal("chat", "--model", str(tiny_folder), "-n", "12", "--ctx-size", "1024", columns=160, rows=60)
    terminal.wait_prompt()
    yield terminal
    terminal.close()


def test_a_chat_from_start_to_end(repl: Terminal, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("the quick brown fox\n" * 20)
    (tmp_path / "book.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 400)
    (tmp_path / "chapter.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 62)
    for line, answer in [
        ("Hello there", "length limit"),
        ("/stats", "last reply: 12 tokens"),
        ("/continue", "length limit"),
        ("/stats", "last reply: 12 tokens"),
        ("/compare", "the texts are identical"),
        (f"/read {notes}", "notes.txt: "),
        ("What is this?", "length limit"),
        ("/context", "What is this? (+ notes.txt)"),
        (f"/read {tmp_path / 'book.txt'}", "error: book.txt is longer than the context"),
        ("/undo 2", "taken back: Hello there"),
        ("/set temperature 1", "temperature = 1.0"),
        ("And now?", "length limit"),
        ("/regen same", "length limit"),
    ]:
        before = repl.transcript.count(answer)
        repl.ask(line)
        assert repl.transcript.count(answer) > before, f"{line}: {answer!r} is not in\n{repl.text}"
    # What would overfill the context is asked for first.
    question = "old turns will be dropped. Read it? [y/N]"
    for asked, (answer, attached) in enumerate((("n", False), ("y", True)), start=1):
        repl.enter(f"/read {tmp_path / 'chapter.txt'}")
        repl.until(lambda asked=asked: repl.transcript.count(question) == asked)
        repl.enter(answer)
        repl.wait_prompt()
        assert ("tokens of files" in repl.lines[-1]) == attached
    # What goes along is named where it does not fit, and can be taken back.
    repl.enter("fox " * 90)
    repl.until(lambda: "chapter.txt (" in repl.text and "goes along with it" in repl.text.replace("\n", " "))
    repl.ask("/read - chapter.txt")
    assert "taken back: chapter.txt" in repl.text
    assert "tokens of files" not in repl.lines[-1]
    replies = [line for line in repl.transcript.splitlines() if line]
    regenerated = replies.index("> /regen same")
    first = replies.index("> And now?")
    assert replies[first + 1] == replies[regenerated + 1]


def test_control_c_stops_a_reply_and_typing_ahead_is_kept(repl: Terminal) -> None:
    repl.ask("/set max_new_tokens 900")
    repl.enter("Tell me everything")
    repl.wait("> Tell me everything")
    shown = len(repl.lines)
    repl.until(lambda: len(repl.lines) > shown + 3)
    repl.send("\x03")
    repl.wait("interrupted; what was shown is kept", timeout=10)
    repl.ask("/set max_new_tokens 60")
    repl.enter("Once more")
    repl.enter("/set max_new_tokens 5")
    repl.enter("And then?")
    repl.wait("> And then?")
    repl.wait_prompt()
    repl.ask("/stats")
    assert "last reply: 5 tokens" in repl.text
    assert ", 3 turns" in repl.text
    # Ctrl-D while nothing is read leaves as well.
    repl.enter("/regen")
    repl.send("\x04")
    assert repl.exit_status() == 0


def test_the_repl_stops_a_loop_and_nothing_else_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose every token depends on the one before alone runs in a circle soon."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = save_tiny(tmp_path / "loops", loops=True)
    flags = ("chat", "--model", str(folder), "--ctx-size", "1024", "--device", "cpu")
    repl = Terminal(*flags, columns=160, rows=60)
    for line, answers in (
        ("Hello there", ("the reply repeated itself and was stopped: /set repeat_penalty 1.1", "/continue goes on")),
        ("/set stop_loops off", ("stop_loops = off",)),
        ("/continue", ("the reply reached its length limit",)),
    ):
        repl.ask(line)
        for answer in answers:
            assert answer in repl.text
    repl.close()
    command = [sys.executable, "-m", "specmemo_chat", *flags, "-p", "Hello there", "--json"]
    once = subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert json.loads(once.stdout)["finish_reason"] == "length"
