"""The one way out of the program. Whatever ends it (the command, an error, Ctrl-C, a signal, a window that is closed, a
stream that takes no more), the workers leave, the terminal is as it was, and the exit code says why."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from specmemo_chat.device.streams import Answer, AnswerLostError, repair
from specmemo_chat.terminal.modes import Modes, set_modes, terminal_modes

INTERRUPTED = 130
_REQUESTS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# A terminal that was stopped (Ctrl-S) takes no last words: after this many seconds the process ends all the same.
_LONGEST_END_S = 8
# No pastes marked, lines wrapped, the cursor shown.
_PLAIN = b"\x1b[?2004l\x1b[?7h\x1b[?25h"


def run(command: Callable[[], None]) -> NoReturn:
    """Run the program's command and end the process. Signals that ask for the end become SystemExit in the main thread,
    so every `finally` on the way is carried out; those that whoever started us had ignored (nohup) stay ignored."""
    answer = repair()
    modes = terminal_modes()
    asked = 0

    def end(signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = 128 + signum
        no_more_signals()

        def at_last(_signum: int, _frame: FrameType | None) -> None:
            _leave(asked, modes)

        signal.signal(signal.SIGALRM, at_last)
        signal.alarm(_LONGEST_END_S)
        raise SystemExit(asked)

    for signum in _REQUESTS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, end)
    code = 0
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    no_more_signals()
    code = _last_words(answer, code)
    # On the way out the terminal may have turned out to be gone too.
    code = asked or code
    if code < INTERRUPTED - 1:
        sys.exit(code)
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with contextlib.suppress(OSError):
            os.write(1, _PLAIN)
    _leave(code, modes)


def no_more_signals() -> None:
    """From now on nothing disturbs the leaving."""
    for signum in (signal.SIGINT, *_REQUESTS):
        signal.signal(signum, signal.SIG_IGN)


def _last_words(answer: Answer, code: int) -> int:
    """Write what is left, and say so where the answer did not reach whom it was for. Returns the exit code."""
    with contextlib.suppress(AnswerLostError):
        sys.stdout.flush()
    if answer.problem:
        print(f"error: standard output cannot be written: {answer.problem}", file=sys.stderr)
        return code or 1
    return code


def _leave(code: int, modes: Modes | None) -> NoReturn:
    """At once: threads that still do something, and what is registered for the end, are not waited for."""
    set_modes(modes, termios.TCSANOW)
    os._exit(code)
