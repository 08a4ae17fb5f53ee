"""The history of typed lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from specmemo_chat.repl.line_history import SharedHistory

WRITER = (
    "import sys; from pathlib import Path; from specmemo_chat.repl.line_history import SharedHistory\n"
    "history = SharedHistory(Path(sys.argv[1]))\n"
    "for number in range(100): history.store_string(f'{sys.argv[2]} {number}\\n' + 'long ' * 3000)\n"
)


def test_two_chats_lose_no_line(tmp_path: Path) -> None:
    file = tmp_path / "history"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(file), name]) for name in ("one", "two")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    entries = list(SharedHistory(file).load_history_strings())
    assert len(entries) == 200
    assert {entry.split("\n")[0] for entry in entries} == {f"{name} {n}" for name in ("one", "two") for n in range(100)}
    assert all(entry.split("\n")[1] == "long " * 3000 for entry in entries)


def test_several_lines_and_odd_bytes_come_back(tmp_path: Path) -> None:
    history = SharedHistory(tmp_path / "history")
    history.store_string("first\n\nsecond 😀")
    history.store_string("half a character \udce2")
    assert list(history.load_history_strings())[1] == "first\n\nsecond 😀"
    assert history.problem is None


def test_the_file_is_private_also_where_it_was_deleted_meanwhile(tmp_path: Path) -> None:
    history = SharedHistory(tmp_path / "history")
    before = os.umask(0o022)
    try:
        history.store_string("Hello")
    finally:
        os.umask(before)
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_costs_the_history_and_not_the_chat() -> None:
    history = SharedHistory(Path("/dev/full"))
    history.store_string("Hello")
    assert history.problem is not None
    assert "No space left" in history.problem
