"""What /copy says: that a program took the text, or that the terminal was sent it, which nobody can know more of."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest

from specmemo_chat.errors import UsageError
from specmemo_chat.repl import clipboard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """A terminal on a machine without any clipboard program."""
    for name in ("WAYLAND_DISPLAY", "DISPLAY", "WSL_DISTRO_NAME", "TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PATH", str(tmp_path))
    return Terminal()


def copied(terminal: Terminal, text: str, what: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        return clipboard.copy(text, what)


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)


def osc52(text: str) -> str:
    return f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"


def test_a_terminal_does_not_say_whether_it_took_a_text(terminal: Terminal) -> None:
    said = copied(terminal, "grün\x1b[2J", "the reply")
    assert said == "the reply, 7 characters, sent to the terminal (OSC 52); if nothing arrives: /save FILE"
    assert terminal.getvalue() == osc52("grün[2J")


def test_a_program_says_whether_it_took_a_text(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "wl-copy", "exit 1")
    program(tmp_path, "xclip", f'/bin/cat > "{tmp_path}/taken"')
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":0")
    assert copied(terminal, "x", "code block 2") == (
        "copied code block 2, 1 character, by xclip; also sent to the terminal (OSC 52)"
    )
    assert (tmp_path / "taken").read_text() == "x"
    long = "y" * 100_000
    assert copied(terminal, long, "the reply") == "copied the reply, 100000 characters, by xclip"
    assert (tmp_path / "taken").read_text() == long
    # tmux keeps the text; what the terminal around it does, it does not know.
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    program(tmp_path, "tmux", f'echo "$@" > "{tmp_path}/asked"; /bin/cat > /dev/null')
    assert copied(terminal, long, "the reply") == (
        "the reply, 100000 characters, put into tmux's buffer; if nothing arrives: /save FILE"
    )
    assert (tmp_path / "asked").read_text() == "load-buffer -w -\n"


def test_a_text_longer_than_terminals_take_is_not_said_to_be_sent(terminal: Terminal) -> None:
    with pytest.raises(UsageError, match="more than terminals take") as raised:
        copied(terminal, "y" * 100_000, "the reply")
    assert terminal.getvalue() == ""
    assert (raised.value.remedy or "").startswith("/save FILE")


@pytest.mark.parametrize("kind", [None, "dumb"])
def test_a_terminal_without_escape_sequences_gets_none(
    terminal: Terminal, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERM") if kind is None else monkeypatch.setenv("TERM", kind)
    with pytest.raises(UsageError, match="this terminal cannot"):
        copied(terminal, "x", "the reply")
    assert terminal.getvalue() == ""


def test_tmux_and_screen_pass_the_sequence_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = osc52("x" * 500)
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("STY", "1.pts-0.host")
    parts = clipboard.passed_on(sequence).split("\x1b\\")
    assert parts.pop() == ""
    assert all(part.startswith("\x1bP") and len(part) < 256 for part in parts)
    assert "".join(part[2:] for part in parts) == sequence
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    assert clipboard.passed_on(sequence) == f"{sequence}\x1bPtmux;{doubled}\x1b\\"
