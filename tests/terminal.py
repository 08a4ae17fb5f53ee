"""specmemo in a pseudo-terminal, with an emulated screen: what a person would see."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pexpect
import pyte


class Terminal:
    """`specmemo ARGUMENTS` on an emulated screen of `columns` x `rows`."""

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 40) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.5)
        self._stream = pyte.Stream(self._screen)
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "specmemo_chat", *arguments],
            env={**os.environ, "TERM": "xterm-256color"},
            dimensions=(rows, columns),
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, without those that are empty."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def read(self, seconds: float) -> None:
        """Take what the program writes for that long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._stream.feed(self._child.read_nonblocking(65536, 0.02))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return

    def until(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Read until `condition` holds; AssertionError with the screen where it never does."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"still not so after {timeout} s:\n{self.text}"
            self.read(0.05)

    def wait(self, text: str, timeout: float = 60) -> None:
        """Read until `text` is on the screen."""
        self.until(lambda: text in self.text, timeout)

    def send(self, keys: str) -> None:
        self._child.send(keys)

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self._child.send(line)
        self._child.send("\r")

    def exit_status(self, timeout: float = 20) -> int:
        """The exit code, once the program has left."""
        end = time.monotonic() + timeout
        while self._child.isalive():
            assert time.monotonic() < end, f"still running after {timeout} s:\n{self.text}"
            self.read(0.05)
        self._child.close()
        return int(self._child.exitstatus)

    def close(self) -> None:
        self._child.close(force=True)
