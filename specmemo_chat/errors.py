"""Every error that specmemo raises on purpose.

    SpecmemoError                 exit 1: something failed at run time
    ├── UsageError                exit 2: a wrong flag, value, input, prompt or unsupported model
    ├── PlanError                 exit 3: the plan does not fit the memory cap
    ├── ModelError                exit 4: a model that is unknown, gated, offline, unreadable or corrupt
    ├── DeviceError               exit 5: an explicit --device that cannot be used
    ├── SessionError              exit 1: stored conversations cannot be read or written
    └── WorkerError               exit 1: the worker process died, hung or answered nonsense

`message` says what is wrong and how much; `remedy` is the smallest thing that helps. The command line
prints both and leaves with `exit_code`; a traceback appears only with --debug.
"""

from __future__ import annotations

from typing import ClassVar


class SpecmemoError(Exception):
    """Base of all errors with a message for the user."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(SpecmemoError):
    exit_code = 2


class PlanError(SpecmemoError):
    exit_code = 3


class ModelError(SpecmemoError):
    exit_code = 4


class DeviceError(SpecmemoError):
    exit_code = 5


class SessionError(SpecmemoError):
    exit_code = 1


class WorkerError(SpecmemoError):
    exit_code = 1


_BY_EXIT_CODE: dict[int, type[SpecmemoError]] = {
    kind.exit_code: kind for kind in (SpecmemoError, UsageError, PlanError, ModelError, DeviceError)
}


def error_with_exit_code(exit_code: int, message: str, remedy: str | None) -> SpecmemoError:
    """The error of the tree that leaves with `exit_code`: how an error crosses from a worker to its parent."""
    return _BY_EXIT_CODE.get(exit_code, SpecmemoError)(message, remedy)
