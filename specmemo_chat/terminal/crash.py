"""Errors that nobody caught, made safe for a terminal: tracebacks quote texts."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType

from specmemo_chat.errors import REPORT, SpecmemoError
from specmemo_chat.terminal.text import safe


def print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What Python prints of an error nobody caught. A thread that ends the program has none."""
    if issubclass(kind, SystemExit):
        return
    sys.stderr.write(safe("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()


def explained(error: Exception) -> SpecmemoError:
    """The error as the user sees it, whoever raised it; with --debug its traceback comes before."""
    if "--debug" in sys.argv or os.environ.get("SPECMEMO_DEBUG", "0").lower() in ("1", "true", "yes", "on"):
        print_traceback(type(error), error, error.__traceback__)
    if isinstance(error, SpecmemoError):
        return error
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        what = f"{error.filename}: {what}" if error.filename else what
        return SpecmemoError(what, REPORT)
    return SpecmemoError(f"internal error: {type(error).__name__}: {error}", REPORT)


def make_crashes_safe() -> None:
    """From now on tracebacks of this process, its threads included, are printed by `print_traceback`."""
    sys.excepthook = print_traceback
    threading.excepthook = lambda crash: print_traceback(crash.exc_type, crash.exc_value, crash.exc_traceback)
