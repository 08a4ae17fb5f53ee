"""Ctrl-Z: the shell gets the terminal as it knows it, and the program goes on as it was after `fg`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def around_suspension(leave: Callable[[], None], come_back: Callable[[], None]) -> Iterator[None]:
    """While inside, `leave` is called before the process is stopped and `come_back` when it goes on. Where one lies in
    another, the inner one leaves first and comes back last."""
    outer = signal.getsignal(signal.SIGTSTP)

    def handle(signum: int, frame: FrameType | None) -> None:
        leave()
        if callable(outer):
            outer(signum, frame)
        else:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            # Here again after `fg`.
            signal.signal(signum, handle)
        come_back()

    signal.signal(signal.SIGTSTP, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, outer)


@contextlib.contextmanager
def plain_suspension() -> Iterator[None]:
    """While inside, Ctrl-Z only stops the process: the terminal belongs to another program, which sets it itself."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
