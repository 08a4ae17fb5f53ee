"""Untrusted text never reaches a terminal raw, whichever way it is printed; a pipe gets it exactly."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

import specmemo_chat.cli
from specmemo_chat.errors import UsageError
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.crash import explained, print_traceback
from specmemo_chat.terminal.text import escaped_json, safe, safe_line

CLI = Path(specmemo_chat.cli.__file__).parent
NASTY = "a\x1b]0;t\x07\x9b2J\r\x08\x7f\u202eb\u2066\u200b\ufeff\ud800\U000e0041c\u2028d\x85e"
CLEAN = "a]0;t2Jb\ufffdc\nd\ne"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_safe_drops_what_controls_a_terminal_or_hides_text() -> None:
    assert safe(NASTY) == CLEAN
    assert safe("tab\tand\nline") == "tab\tand\nline"
    assert safe("👨‍👩 می‌خواهم é") == "👨‍👩 می‌خواهم é"
    assert safe_line(" a\nb\tc\u200dd ") == "a b cd"


@given(st.text(max_size=60), st.integers(0, 60))
def test_safe_works_on_pieces_as_on_the_whole_and_once_is_enough(text: str, at: int) -> None:
    assert safe(text[:at]) + safe(text[at:]) == safe(text) == safe(safe(text))
    assert not any((char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f" for char in safe(text))


@given(st.text(max_size=60))
def test_escaped_json_is_the_same_value(text: str) -> None:
    shown = escaped_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(shown)["text"] == text
    assert safe(shown) == shown


def test_every_way_of_printing_on_a_terminal_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    screen.write(NASTY)
    screen.note(NASTY)
    screen.error(UsageError(NASTY, NASTY))
    screen.print_json({"text": NASTY})
    screen.out.print(NASTY, markup=False)
    screen.err.print(Text(NASTY, style="bold"))
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(Text(NASTY))
    screen.out.print(table)
    with Progress(TextColumn("{task.description}", markup=False), console=screen.err) as progress:
        progress.add_task(NASTY)
    try:
        raise ValueError(NASTY)
    except ValueError as error:
        print_traceback(ValueError, error, error.__traceback__)
    written = terminal.getvalue()
    assert "\x1b[1m" in written  # rich's own styles stay
    raw = ("\x1b]", "\x07", "\x9b", "\x08", "\x7f", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud800", "\U000e0041")
    assert [found for found in raw if found in written] == []


def test_a_pipe_gets_the_text_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    Screen().write(NASTY)
    assert out.getvalue() == NASTY


# Where a program may write to the terminal itself, and what it writes there.
WRITERS = {
    "app.py": "the version and the introduction: constants",
    "clipboard.py": "OSC 52 with base64, for /copy",
    "console.py": "Screen",
    "crash.py": "safe tracebacks",
    "ending.py": "why the output failed: constants and the system's words",
    "live.py": "frames of rows that are safe",
    "reader.py": "bracketed paste on and off",
}


def test_nothing_else_writes_to_the_terminal() -> None:
    """Everything goes through Screen: no print, no sys.stdout, no console of rich's or typer's elsewhere."""
    found = {}
    for path in CLI.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            direct = name in ("print", "rich.print", "Console", "typer.echo", "typer.secho", "click.echo")
            if direct or (name.startswith(("sys.stdout.", "sys.stderr.")) and name.endswith((".write", ".writelines"))):
                found.setdefault(path.name, set()).add(name)
    assert set(found) - set(WRITERS) == set(), found


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("--nope is no flag", "leave it out"), ("--nope is no flag", "leave it out")),
        (OSError(28, "No space left on device", "/tmp/x"), ("/tmp/x: No space left on device", "--debug")),
        (FileNotFoundError("No usable temporary directory"), ("No usable temporary directory", "--debug")),
        (KeyError("plan"), ("internal error: KeyError: 'plan'", "report it")),
    ],
)
def test_an_error_is_told_in_one_line_and_shown_whole_only_when_asked_for(
    error: Exception, said: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["specmemo", "chat"])
    known = explained(error)
    assert known.message == said[0]
    assert said[1] in (known.remedy or "")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("SPECMEMO_DEBUG", "1")
    explained(error)
    assert said[0].removeprefix("/tmp/x: ").split(": ")[-1] in capsys.readouterr().err
