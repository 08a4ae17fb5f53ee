"""The standard streams as a process finds them: closed, full, or with nobody at the other end."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import select
import sys
from typing import Any, TextIO

# How a closed stream is occupied: a file opened later must not take its number, and reading input or writing output
# fails. Notes go nowhere without an error.
_OCCUPIED = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


class AnswerLostError(SystemExit):
    """Standard output takes no more: there is nothing left to do but to end, whatever catches errors on the way."""


class _File(io.FileIO):
    """A standard stream, which is never closed."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        while (written := super().write(data)) is None:
            # Another program has made the terminal that both use non-blocking.
            select.select((), (self,), ())
        return written


class Forgiving(_File):
    """Standard error: what cannot be written is dropped. A note or a log must not end what it tells of."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class Answer(_File):
    """Standard output. Where it fails it raises AnswerLostError, once; what comes later goes nowhere.

    `problem`: why it failed, "" where whoever read it has seen enough (`specmemo plan … | head`); None if it did not.
    """

    problem: str | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.problem = _reason(error.errno or 0)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            raise AnswerLostError(1 if self.problem else 0) from None


def _reason(number: int) -> str:
    return {errno.EPIPE: "", errno.EBADF: "it is closed"}.get(number, os.strerror(number))


def repair() -> Answer:
    """Make this process's standard streams usable whatever they are, and return the file under the output."""
    for number, mode in _OCCUPIED.items():
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    answer = Answer(1)
    sys.stdout = _text(answer, sys.stdout)
    sys.stderr = _text(Forgiving(2), sys.stderr)
    return answer


def input_is_closed() -> bool:
    """Whether nothing can be read from standard input, not even its end."""
    return fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _text(file: _File, before: TextIO | None) -> io.TextIOWrapper:
    encoding, errors = ("utf-8", "replace") if before is None else (before.encoding, before.errors)
    lines = file.fileno() == 2 or file.isatty()
    return io.TextIOWrapper(io.BufferedWriter(file), encoding=encoding, errors=errors, line_buffering=lines)
