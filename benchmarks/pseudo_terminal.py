"""`specmemo chat` in a pseudo-terminal, driven by keys and watched by what it writes; for measurements."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

COLUMNS, ROWS = 100, 40
# The prompt asks where the cursor is, once, when it opens; a terminal answers.
ASKED, ANSWER = b"\x1b[6n", b"\x1b[1;1R"
CLEAR_KEY = b"\x0c"
# Between a line's last character and Enter, in seconds.
TYPING_S = 0.3
# The footer of a chat whose model is there; while it loads another text stands there.
LOADED = re.compile(rb" plan [\d.]+[MG]")


class ChatTerminal:
    """A chat and the time since it was started. Raises RuntimeError where it ends or does not answer."""

    def __init__(self, *flags: str, patience_s: float = 300) -> None:
        self._patience_s = patience_s
        self.output = b""
        self.began = time.perf_counter()
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
            os.execv(sys.executable, [sys.executable, "-m", "specmemo_chat", "chat", *flags])
        self._pid = pid
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    @property
    def seconds(self) -> float:
        """Since the command was started."""
        return time.perf_counter() - self.began

    @property
    def processor_s(self) -> float:
        """Processor time that the chat's own process has used, without its worker's."""
        used = psutil.Process(self._pid).cpu_times()
        return float(used.user + used.system)

    def prompt(self) -> None:
        """Until the first prompt is open."""
        self._until(lambda: ASKED in self.output)

    def echoed(self, character: str) -> None:
        """Type one character, wait until the prompt shows it, and take it back."""
        shown = character.encode()
        seen = self.output.count(shown)
        os.write(self._terminal, shown)
        self._until(lambda: self.output.count(shown) > seen)
        os.write(self._terminal, b"\x7f")

    def loaded(self) -> None:
        """Until the model is there and the prompt has drawn itself anew."""
        again = time.monotonic()

        def loaded() -> bool:
            nonlocal again
            if time.monotonic() > again:
                # What stands on the screen already is not written again, so the footer's words may come in parts:
                # Ctrl-L lets the prompt write them all.
                os.write(self._terminal, CLEAR_KEY)
                again = time.monotonic() + 1
            return LOADED.search(self.output) is not None

        self._until(loaded)
        self._read(1.0)

    def ask(self, line: str) -> float:
        """Enter a line; the seconds from Enter to the next prompt."""
        os.write(self._terminal, line.encode())
        self._read(TYPING_S)
        prompts, began = self.output.count(ASKED), time.perf_counter()
        os.write(self._terminal, b"\r")
        self._until(lambda: self.output.count(ASKED) > prompts)
        return time.perf_counter() - began

    def close(self) -> None:
        """Leave as a closed window does."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGHUP)
        # Who closes the terminal first would make the chat fail on its last output.
        end = time.monotonic() + 10
        while time.monotonic() < end and os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            with suppress(OSError):
                self._read(0.05)
        os.close(self._terminal)

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + self._patience_s
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"the chat does not answer; it wrote last: {self.output[-2000:]!r}")
            try:
                self._take(1.0)
            except OSError:
                raise RuntimeError(f"the chat has ended; it wrote last: {self.output[-2000:]!r}") from None

    def _read(self, seconds: float) -> None:
        """Take what is written for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._take(left)

    def _take(self, seconds: float) -> None:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return
        piece = os.read(self._terminal, 65536)
        if not piece:
            raise OSError("the terminal is closed")
        asked = self.output.count(ASKED)
        self.output += piece
        for _ in range(self.output.count(ASKED) - asked):
            os.write(self._terminal, ANSWER)
