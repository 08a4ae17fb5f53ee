"""specmemo in a pseudo-terminal, with an emulated screen: what a person would see."""

from __future__ import annotations

import os
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte

from tests.emulator import EmulatedScreen

SCRIPTED = Path(__file__).parent / "scripted" / "chat.py"


class Terminal:
    """`specmemo ARGUMENTS` on an emulated screen of `columns` x `rows`. `script`: another program in its place.

    `raw` is everything that was written, with its escape sequences; `kind` what the terminal says it is.
    """

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        rows: int = 40,
        script: Path | None = None,
        kind: str = "xterm-256color",
    ) -> None:
        self.screen = EmulatedScreen(columns, rows)
        self.raw = ""
        # A terminal answers when it is asked where the cursor is; prompt-toolkit shows its footer only then.
        self.screen.write_process_input = lambda answer: self._child.send(answer)
        self._stream = pyte.Stream(self.screen)
        program = ["-m", "specmemo_chat"] if script is None else [str(script)]
        self._child = pexpect.spawn(
            sys.executable,
            [*program, *arguments],
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": kind},
            dimensions=(rows, columns),
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    @property
    def modes(self) -> list[Any]:
        """The terminal's modes, as termios has them."""
        return termios.tcgetattr(self._child.child_fd)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without those that are empty."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def transcript(self) -> str:
        """Everything since the start, what has scrolled away included."""
        return "\n".join(self.screen.transcript)

    @property
    def prompt(self) -> str | None:
        """What is typed at the prompt; None while there is none (a footer stands below it)."""
        line = self.screen.display[self.screen.cursor.y]
        label, _, typed = line.partition("> ")
        footer = "".join(self.screen.display[self.screen.cursor.y + 1 :]).strip()
        return typed.rstrip() if footer and label in ("", *(f"edit {n}" for n in range(1, 10))) else None

    def read(self, seconds: float) -> None:
        """Take what the program writes for that long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                piece = self._child.read_nonblocking(65536, 0.02)
            except pexpect.TIMEOUT:
                continue
            except (pexpect.EOF, ValueError):
                return
            self.raw += piece
            self._stream.feed(piece)

    def until(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Read until `condition` holds; AssertionError with the screen where it never does."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"still not so after {timeout} s:\n{self.text}"
            self.read(0.05)

    def wait(self, text: str, timeout: float = 60) -> None:
        """Read until `text` is on the screen."""
        self.until(lambda: text in self.text, timeout)

    def wait_prompt(self, timeout: float = 60) -> None:
        """Read until an empty prompt waits for typing."""
        self.until(lambda: self.prompt == "", timeout)

    def send(self, keys: str) -> None:
        self._child.send(keys)

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self._child.send(line)
        self._child.send("\r")

    def ask(self, line: str, timeout: float = 60) -> None:
        """Wait for the prompt, enter the line, and wait until it is answered."""
        self.wait_prompt(timeout)
        typed = f"> {line}"[: self.screen.columns].rstrip()

        def times() -> int:
            return [shown.rstrip() for shown in self.screen.transcript].count(typed)

        before = times()
        self.enter(line)
        self.until(lambda: times() > before and self.prompt == "", timeout)

    def resize(self, columns: int, rows: int) -> None:
        """As a person drags the window's corner: the screen first, then the program is told."""
        self.screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def exit_status(self, timeout: float = 20) -> int:
        """The exit code, once the program has left."""
        end = time.monotonic() + timeout
        while self._child.isalive():
            assert time.monotonic() < end, f"still running after {timeout} s:\n{self.text}"
            self.read(0.05)
        self.read(0.1)
        self._child.close()
        return int(self._child.exitstatus)

    def close_window(self) -> None:
        """As a person does: the terminal is gone, and the system tells the program so."""
        self._child.ptyproc.fileobj.close()
        self._child.closed = self._child.ptyproc.closed = True

    def close(self) -> None:
        self._child.close(force=True)
