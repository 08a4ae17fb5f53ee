"""The REPL in a real terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


@pytest.fixture
def repl(tiny_folder: Path) -> Iterator[pexpect.spawn]:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "specmemo_chat", "chat", "--model", str(tiny_folder), "-n", "12"],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
        dimensions=(40, 80),
        encoding="utf-8",
        timeout=60,
    )
    yield child
    child.close(force=True)


def send(child: pexpect.spawn, line: str) -> None:
    child.send(line)
    child.send("\r")


def test_a_chat_from_start_to_end(repl: pexpect.spawn) -> None:
    repl.expect("/help lists the commands")
    send(repl, "Hello there")
    repl.expect("length limit")
    send(repl, "/stats")
    repl.expect("last reply: 12 tokens")
    send(repl, "/compare")
    repl.expect("the texts are identical")
    send(repl, "/undo")
    repl.expect("taken back: Hello there")
    send(repl, "/nonsense")
    repl.expect("no command /nonsense")
    send(repl, "/set temperature hot")
    repl.expect("needs a number")
    send(repl, "/set max_new_tokens 3")
    repl.expect("max_new_tokens = 3")
    send(repl, "/system Be brief.")
    repl.expect("system prompt set")
    send(repl, "/show")
    repl.expect("max_new_tokens")
    send(repl, "/bye")
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 0


def test_control_c_stops_a_reply_and_the_chat_goes_on(repl: pexpect.spawn) -> None:
    repl.expect("/help lists the commands")
    send(repl, "/set max_new_tokens 450")
    repl.expect("max_new_tokens = 450")
    send(repl, "Tell me everything")
    repl.expect(r"[A-Za-z]{3}", timeout=30)
    repl.sendintr()
    repl.expect(["interrupted", "length limit"])
    send(repl, "/stats")
    repl.expect("1 turns")
    repl.sendcontrol("d")
    repl.expect(pexpect.EOF)
    repl.close()
    assert repl.exitstatus == 0
