"""What was said before, shown again: in short where a conversation goes on, in whole by /history."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from specmemo_chat.errors import UsageError
from specmemo_chat.host.client import ShownTurn
from specmemo_chat.repl import past
from specmemo_chat.repl.attachments import Attachment, compose
from specmemo_chat.repl.commands.registry import COMMANDS
from specmemo_chat.terminal.console import Screen

LONG = "\n".join(f"line {number} of the reply" for number in range(1, 301))


def last(capsys: pytest.CaptureFixture[str], turn: ShownTurn, color: str = "never", opened: bool = False) -> str:
    past.show_last(Screen(color), [turn], reasoning_open=opened)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_short_exchange_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert last(
        capsys, ShownTurn("17 + 25?", "It is 42.\n\nReally.")
    ) == "  > 17 + 25?\n  It is 42.\n\n  Really.\n".replace("\n\n", "\n  \n")
    past.show_last(Screen("never"), [], reasoning_open=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("columns", [12, 40, 80, 200])
@pytest.mark.parametrize(
    "reply",
    [LONG, "word " * 3000, "x" * 20000, "日本語の長い文です。" * 900],
    ids=["lines", "words", "one", "wide"],
)
def test_a_long_one_fits_a_part_of_the_window_and_says_where_the_rest_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, reply: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = last(capsys, ShownTurn("tell me " * 500, reply)).splitlines()
    assert all(cell_len(line) <= columns for line in shown[:-4])
    assert shown[0].startswith("  > tell")
    assert "…" in [line.strip() for line in shown]
    assert "/history 1 shows all of it" in " ".join(" ".join(shown).split())
    # 24 rows: three of the message, the mark, eight of the reply, the note.
    assert len(shown) - (columns < 45) * 4 <= 13
    end = "".join(reply.split())[-5:]
    assert end in "".join("".join(shown).split())


def test_what_was_said_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    turn = ShownTurn("a\x1b[2Jb", "c\x1b]0;title\x07d\u202ee")
    assert last(capsys, turn) == "  > a[2Jb\n  c]0;titlede\n"
    screen = Screen("never")
    screen.terminal = True
    past.show_turns(screen, [turn], 1, reasoning_open=False)
    assert not re.search("[\x1b\x07\u202e]", capsys.readouterr().out)


def test_it_is_dim_where_there_is_colour(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[2m" in last(capsys, ShownTurn("a", "b"), "always")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in last(capsys, ShownTurn("a", "b"), "auto")


def test_reasoning_and_files_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    message = compose("What is it?", [Attachment("notes.md", "secret " * 500, 7)])
    shown = last(capsys, ShownTurn(message, "<think>hm, hm</think>\n\nA list."))
    assert shown == "  > What is it? (+ notes.md)\n  A list.\n"
    assert last(capsys, ShownTurn("a", "hm</think>b"), opened=True) == "  > a\n  b\n"
    assert "inside the model's reasoning" in last(capsys, ShownTurn("a", "<think>hm"))


def test_history_shows_the_last_turns(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [ShownTurn(f"message {number}", f"reply {number}") for number in range(1, 8)]
    client = SimpleNamespace(turns=turns, reasoning_open=lambda: False)
    repl = SimpleNamespace(screen=Screen("never"), client=client)

    def history(argument: str) -> tuple[str, str]:
        COMMANDS["history"].action(repl, argument)  # type: ignore[arg-type]
        shown = capsys.readouterr()
        return shown.out, shown.err

    out, err = history("2")
    assert out == "turn 6\n> message 6\nreply 6\n\nturn 7\n> message 7\nreply 7\n\n"
    assert err == "5 earlier turns: /history 7 shows all\n"
    assert history("")[0].startswith("turn 3\n")
    assert history("100")[0].startswith("turn 1\n")
    assert history("100")[1] == ""
    for wrong in ("0", "-1", "x", "1 2"):
        with pytest.raises(UsageError, match="/history takes a number of turns"):
            history(wrong)
    client.turns = []
    with pytest.raises(UsageError, match="no turn to show yet"):
        history("")
