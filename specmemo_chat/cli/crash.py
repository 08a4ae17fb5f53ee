"""Errors that others word, made safe for a terminal: usage errors repeat what was typed, tracebacks quote texts."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from typer.core import TyperCommand, TyperGroup

from specmemo_chat.cli.text import safe
from specmemo_chat.errors import REPORT, SpecmemoError
from specmemo_chat.texts import check_unicode


class TextCommand(TyperCommand):
    """A command that takes Unicode text only, from the command line, the environment or config.toml; what is declared
    as a path may have any bytes. Raises UsageError."""

    def invoke(self, ctx: Any) -> Any:
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            for text in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(text, str):
                    check_unicode(text, parameter.opts[0] if parameter.param_type_name == "option" else "the argument")
        return super().invoke(ctx)


class SafeGroup(TyperGroup):
    """A group of commands whose usage errors hold no control characters of the command line."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().make_context(*arguments, **options)
        except Exception as error:
            _clean(error)
            raise

    def invoke(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().invoke(*arguments, **options)
        except Exception as error:
            _clean(error)
            raise


def _clean(error: Exception) -> None:
    """Usage errors of typer and of click, whichever this version raises, keep their sentence in `message`."""
    for name in ("message", "option_name", "param_hint"):
        value = getattr(error, name, None)
        if isinstance(value, str):
            setattr(error, name, safe(value))


def print_traceback(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """What Python prints of an error nobody caught. A thread that ends the program has none."""
    if issubclass(kind, SystemExit):
        return
    sys.stderr.write(safe("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()


def explained(error: Exception) -> SpecmemoError:
    """What the user is told of an error, whoever raised it; with --debug its traceback comes before."""
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
