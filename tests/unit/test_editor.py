"""A text in the user's editor: whatever becomes of the editor, what was written is not lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.editor import edit, editor_command


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shell script that is the editor; its folder has a blank in its name."""
    monkeypatch.delenv("VISUAL", raising=False)
    path = tmp_path / "my programs" / "ed"
    path.parent.mkdir()
    monkeypatch.setenv("EDITOR", str(path))
    return path


def write(editor: Path, script: str) -> None:
    editor.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    editor.chmod(0o700)


@pytest.mark.parametrize(
    ("script", "left", "problem"),
    [
        ('printf " more\\n\\n" >> "$1"', "text more", ""),
        ("exit 3", "text", "ended with exit code 3"),
        ('printf " written" >> "$1"; exit 4', "text written", "ended with exit code 4"),
        ('printf " and killed" >> "$1"; kill -9 $$', "text and killed", "was ended: Killed"),
        (': > "$1"', "text", "left an empty text"),
        (': > "$1"; exit 1', "text", "ended with exit code 1"),
        ('rm "$1"', "text", "cannot be read"),
        ('printf " caf\\351" >> "$1"', "text caf\ufffd", "is not UTF-8 everywhere"),
    ],
)
def test_what_was_written_stays(editor: Path, script: str, left: str, problem: str) -> None:
    write(editor, script)
    text, said = edit("text")
    assert text == left
    assert problem in said
    assert bool(said) == bool(problem)


def test_control_c_is_the_editors(editor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(editor, 'printf " more" >> "$1"; kill -INT $$')
    wait, pressed = subprocess.Popen.wait, []

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if len(pressed) < 2:
            pressed.append(process)
            raise KeyboardInterrupt
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    text, said = edit("text")
    assert (text, "was ended: Interrupt" in said) == ("text more", True)


def test_nothing_at_all_is_no_fault(editor: Path) -> None:
    write(editor, ': > "$1"')
    assert edit("") == ("", "")


def test_editors_with_arguments_and_none_at_all(editor: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(editor, 'test "$1" = --wait && printf "%s" "$2" > "$3"')
    assert editor_command() == [str(editor)]
    monkeypatch.setenv("EDITOR", f"'{editor}' --wait 'two words'")
    assert edit("") == ("two words", "")
    monkeypatch.setenv("HOME", str(editor.parent))
    monkeypatch.setenv("VISUAL", "~/ed --wait x")
    assert edit("") == ("x", "")
    for value, message in (("no-such-editor -w", "there is no such program"), ("ed '", "cannot be read")):
        monkeypatch.setenv("VISUAL", value)
        with pytest.raises(UsageError, match=message):
            edit("text")
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no editor was found"):
        edit("text")
