"""A process that must not outlive the one that started it. Its standard input is the line between them: a pipe that
the other one holds open, and that the system closes when that one ends, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def leave_with_parent(last: Callable[[], object] = lambda: None, *, shared: bool = False) -> None:
    """From now on the end of standard input ends this process: on Linux at once, whatever it computes or waits for;
    elsewhere, or where other processes have the same input (`shared`), as soon as a thread of it can run, which calls
    `last` before. Nothing may be sent there any more."""
    if not shared and hasattr(fcntl, "F_SETSIG"):
        # No thread runs while an import or a tokenizer holds the interpreter's lock: the kernel needs none.
        with contextlib.suppress(OSError):
            fcntl.fcntl(0, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_watch, args=(last,), name="parent", daemon=True).start()


def die_with(parent: int) -> None:
    """Let the system end this process with the one of this number that started it from its main thread. On Linux;
    elsewhere this does nothing."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def _watch(last: Callable[[], object]) -> NoReturn:
    # Not through the buffer: a thread that waits in it makes the interpreter's own end a fatal error.
    while os.read(0, 4096):
        continue
    last()
    os._exit(1)
