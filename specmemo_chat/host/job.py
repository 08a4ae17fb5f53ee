"""A long job in a process of its own: one line of JSON goes in, lines of JSON come out, an interrupt is passed on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

# Looked at from the end of stderr where the process died without a word.
_TAIL_BYTES = 4000


class JobProcess:
    """A context that the process does not outlive. `valuable`, set by whoever reads: there is a result to lose.

    The first interrupt is then passed on, with a call of `passed_on`; any other one ends the process.
    """

    def __init__(
        self, command: list[str], job: dict[str, Any], passed_on: Callable[[], None], *, debug: bool = False
    ) -> None:
        """`debug`: what the process writes to stderr is shown as it comes."""
        self.valuable = False
        self._job = job
        self._passed_on = passed_on
        self._interrupts = 0
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        # A session of its own: Ctrl-C reaches it through us, once.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if debug else self._errors,
            start_new_session=True,
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the process writes. Raises KeyboardInterrupt where it ends after an interrupt."""
        for line in self._process.stdout or ():
            yield json.loads(line)
        if self._interrupts:
            raise KeyboardInterrupt

    def ended(self) -> tuple[int, str]:
        """After the last line: the exit code, and what the process wrote last to stderr."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _TAIL_BYTES))
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return self._process.wait(), f": {said[-1]}" if said else ""

    def __enter__(self) -> JobProcess:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupt)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(self._job).encode() + b"\n")
                self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        # The end of the program may have begun: then nothing disturbs it.
        if signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._interrupts += 1
        if self._interrupts > 1 or not self.valuable:
            self._process.kill()
            return
        self._process.send_signal(signal.SIGINT)
        self._passed_on()
