"""Ten scenarios of the REPL as whole transcripts: what a person sees, from the banner to the last prompt.

The golden files lie in golden/; `pytest --golden-update` writes them anew, to be read before they are committed. The
model is scripted, so that the text is the same everywhere; the two scenarios where the model's own side matters
(overflow, a killed worker's memory of the chat) run a tiny one, and their babble is masked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.terminal import SCRIPTED, Terminal

GOLDEN = Path(__file__).parent / "golden"
FLAGS = ("chat", "--max-memory", "600MiB", "--ctx-size", "512", "--dtype", "fp32", "--device", "cpu")

# What differs between machines and runs.
MASKS = (
    (r"^found    .*(\n {9}.*)*", "found    <this machine>"),
    (r"on [^\n]*, or a smaller model", "on <this machine>, or a smaller model"),
    (r"\S+/[\w./-]*(worker\.log|tiny\d*)\b", r"<path>/\1"),
    (r"specmemo \d+\.\d+\.\d+\S*", "specmemo <version>"),
    # The planner's figures have their own tests; here a better estimate must not change ten files.
    (r" *\b[\d.]+ ?([KMGT]i)?B\b| +[\d.]+[MG]\b", " <size>"),
    (r"(^  (target|tree|draft|prefill|verify|logits|growth|runtime)\b.* <size>\n)+", "  <terms>\n"),
    (r"\[[.A-Za-z]{8,}\]|[█░]{8,}", "<bar>"),
    (r"\b(under )?[\d.]+ %", "<share>"),
)

CODE = """# Adding

A **small** function:

```python
def add(a, b):
    return a + b  # the sum
```

- it takes two numbers
- it gives `a + b` back
"""


def pieces(text: str, size: int = 12, pause: float = 0.0) -> list[list[Any]]:
    """`text` as it streams: pieces of a few characters, every other one from a draft."""
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return [[part, bool(number % 2), pause] for number, part in enumerate(parts)]


REPLIES = {
    "Write add in Python": pieces(CODE),
    "Count slowly": pieces("".join(f"line {number} of a slow reply\n\n" for number in range(1, 200)), 24, 0.05),
    "Count to forty": pieces("".join(f"number {n} is here, and so is its text\n\n" for n in range(1, 41)), 20, 0.03),
    "Tell me more": pieces("Once upon a time there was a **table** of words. " * 4),
}

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a chat with the scripted worker; `script` is merged into what it reads."""
    opened: list[Terminal] = []
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "TMUX", "STY", "WSL_DISTRO_NAME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def begin(*flags: str, columns: int = 80, rows: int = 40, script: dict[str, Any] | None = None) -> Terminal:
        file = tmp_path / "script.json"
        file.write_text(json.dumps({"replies": REPLIES, **(script or {})}), encoding="utf-8")
        monkeypatch.setenv("SCRIPT", str(file))
        terminal = Terminal(*FLAGS, *flags, columns=columns, rows=rows, script=SCRIPTED)
        opened.append(terminal)
        terminal.wait_prompt()
        return terminal

    yield begin
    for terminal in opened:
        terminal.close()


def check(terminal: Terminal, name: str, update: bool, masks: tuple[tuple[str, str], ...] = ()) -> None:
    """Compare the whole transcript with its golden file, line by line."""
    text = "\n".join(line.rstrip() for line in terminal.transcript.splitlines())
    for pattern, put in (*MASKS, *masks):
        text = re.sub(pattern, put, text, flags=re.MULTILINE)
    file = GOLDEN / f"{name}.txt"
    if update:
        file.write_text(text + "\n", encoding="utf-8")
    assert text.splitlines() == file.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--golden-update"))


def leave(terminal: Terminal) -> None:
    terminal.wait_prompt()
    terminal.enter("/bye")
    assert terminal.exit_status() == 0


def test_a_chat_with_a_code_block(start: Start, update: bool) -> None:
    chat = start()
    chat.ask("Write add in Python")
    chat.ask("/copy 1")
    payload = base64.b64encode(b"def add(a, b):\n    return a + b  # the sum").decode()
    assert f"\x1b]52;c;{payload}\x07" in chat.raw
    chat.ask("/copy 2")
    chat.ask("/stats")
    chat.ask("/memory")
    chat.ask("/nonsense")
    leave(chat)
    check(chat, "code_block", update)


def test_a_pasted_block_never_sends_itself(start: Start, update: bool) -> None:
    chat = start()
    chat.send("\x1b[200~first line\nsecond line\r\nthird line\n\x1b[201~")
    chat.until(lambda: "third line" in chat.text)
    chat.read(0.3)
    assert "You said" not in chat.text
    chat.send("and the end\r")
    chat.wait("You said:")
    # Nor does one that is pasted while a reply streams.
    chat.wait_prompt()
    chat.enter("Count slowly")
    chat.wait("line 3 of")
    chat.send("\x1b[200~pasted early\nin two lines\x1b[201~")
    chat.send("\x03")
    chat.wait("in two lines")
    chat.read(0.3)
    assert "You said: pasted" not in chat.text
    chat.send("\r")
    chat.wait("You said: pasted early")
    chat.wait_prompt()
    chat.send('"""one block\r')
    chat.send("two\r")
    chat.send('three"""\r')
    chat.wait("You said: one block")
    leave(chat)
    check(chat, "paste", update, SLOW)


SLOW = ((r"(^line \d+ of a slow reply\n+)+", "line … of a slow reply\n"), (r"^line \d*( o?f?)?[^\n]{0,16}\n", ""))


def test_control_c_stops_clears_and_leaves(start: Start, update: bool) -> None:
    chat = start()
    chat.enter("Count slowly")
    chat.wait("line 3 of")
    chat.send("\x03")
    chat.wait("interrupted; what was shown is kept")
    chat.wait_prompt()
    chat.send("half a message")
    chat.until(lambda: chat.prompt == "half a message")
    chat.send("\x03")
    chat.wait_prompt()
    chat.send("\x03\x03")
    assert chat.exit_status() == 0
    # On a slow machine the first of the two is not the second in time.
    check(chat, "control_c", update, (*SLOW, (r"(^>$\n?)+", ">")))


def test_edit_and_fork(start: Start, update: bool) -> None:
    chat = start()
    for line in (
        "one",
        "two",
        "three",
        "/fork 1",
        "/context",
        "/edit 1 uno",
        "four",
        "/undo",
        "/undo 2",
        "/regen same",
    ):
        chat.ask(line)
    # Without a text the message stands at the prompt to be changed.
    chat.enter("/edit")
    chat.until(lambda: chat.prompt == "uno")
    chat.send(", due\r")
    chat.wait("You said: uno, due")
    chat.ask("/edit 9")
    leave(chat)
    check(chat, "edit_and_fork", update)


def test_a_model_that_does_not_fit_is_refused(start: Start, update: bool) -> None:
    # Wide: where a sentence breaks would depend on the figures and the name of the machine.
    chat = start("--system", "Be brief.", columns=200)
    chat.ask("hello")
    for line in (
        "/model qwen3-32b",
        "/model smollm2-135m --ctx-size 256",
        "/model nonesuch",
        "/model pocket --ctx-size 9",
        "/draft none",
        "/draft",
        "still there?",
        "/show",
    ):
        chat.ask(line)
    leave(chat)
    check(chat, "model_refused", update)


def test_resize_while_a_reply_streams(start: Start) -> None:
    chat = start()
    chat.enter("Count to forty")
    for columns, rows, at in ((60, 30, 5), (100, 30, 12), (48, 24, 20), (80, 40, 28)):
        chat.wait(f"number {at} is here")
        chat.resize(columns, rows)
    chat.wait("number 40 is here")
    chat.wait_prompt()
    lines = [line for line in chat.screen.transcript if line.startswith("number")]
    # No line is there twice, torn or lost, and they are in order.
    assert lines == [f"number {n} is here, and so is its text" for n in range(1, 41)]
    leave(chat)


def test_forty_columns(start: Start, update: bool) -> None:
    chat = start(columns=40, rows=30)
    for line in ("Write add in Python", "/memory", "/context", "/stats", "/set", "/help set", "/show"):
        chat.ask(line)
    footer = chat.screen.display[-1]
    assert "t/s" in footer or "tokens/s" in footer
    leave(chat)
    check(chat, "forty_columns", update)


def test_no_color(start: Start, update: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    chat = start()
    for line in ("Write add in Python", "/set show_accepted on", "Tell me more", "/memory", "/set temperature hot"):
        chat.ask(line)
    leave(chat)
    colors = [code for codes in re.findall(r"\x1b\[([\d;]*)m", chat.raw) for code in codes.split(";")]
    assert not [code for code in colors if re.fullmatch(r"(3|4|9|10)\d", code)]
    check(chat, "no_color", update)


def test_a_worker_killed_in_mid_reply(start: Start, update: bool) -> None:
    chat = start(columns=200)
    chat.ask("hello")
    chat.enter("Count slowly")
    chat.wait("line 3 of")
    for child in psutil.Process(chat.pid).children():
        os.kill(child.pid, signal.SIGKILL)
    chat.wait("was killed by SIGKILL")
    chat.wait_prompt()
    # Up brings the message back; a new worker knows the conversation.
    chat.send("\x1b[A")
    chat.until(lambda: chat.prompt == "Count slowly")
    chat.send("\x03")
    chat.wait_prompt()
    chat.ask("are you there?")
    chat.ask("/context")
    leave(chat)
    check(chat, "killed_worker", update, SLOW)


def test_a_conversation_that_outgrows_the_context(
    tiny_folder: Path, update: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    chat = Terminal("chat", "--model", str(tiny_folder), "--ctx-size", "160", "-n", "20", "--max-memory", "600MiB",
                    "--dtype", "fp32", "--device", "cpu")  # fmt: skip
    with contextlib.closing(chat):
        chat.wait_prompt()
        for number in range(1, 6):
            chat.ask(f"message number {number}, with some more words")
        chat.ask("/context")
        leave(chat)
        # What is neither a message nor said by the program is babble.
        masks = (
            (r"^model    .*(\n {9}.*)?", "model    <tiny>"),
            (r"^(?!> |the |dropped|\d+ tokens kept|  |specmemo|found|profile|model|memory|draft)[^\n]+\n", ""),
        )
        check(chat, "overflow", update, masks)


def test_a_conversation_that_goes_on_shows_where_it_was(start: Start, update: bool) -> None:
    chat = start("--session", "trip")
    chat.ask("Write add in Python")
    chat.ask("hello")
    leave(chat)
    again = start("--session", "trip", columns=60, rows=24)
    again.until(lambda: "context 37/512" in again.text)  # counted behind the prompt
    again.ask("/history 2")
    again.ask("/undo")
    again.ask("/clear")
    again.ask("/sessions trip")
    leave(again)
    check(again, "going_on", update, ((r"\x1b\[[0-9;]*m", ""), (r"last used (.|\n)*?(ago|now)", "last used <time>")))


def test_a_slash_that_is_no_command_is_sent_by_one_more_enter(start: Start) -> None:
    chat = start()
    chat.ask("/etc/hosts is what?")
    assert "there is no command /etc/hosts" in chat.text
    assert "Enter alone sends the line as a message" in " ".join(chat.text.split())
    chat.send("\r")
    chat.wait("You said: /etc/hosts is what?")
    chat.ask("/READ notes.md")
    assert "did you mean /read?" in chat.text
    chat.ask("/context")
    chat.send("\r")
    chat.ask("hello")
    chat.ask("/context")
    assert "You said: /READ" not in chat.text
    # The footer and /context tell the same.
    used, total = re.findall(r"  (\d+) of (\d+) tokens", chat.text)[-1]
    assert f"context {used}/{total}" in chat.lines[-1]
    leave(chat)
