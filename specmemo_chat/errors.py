"""Every error that specmemo raises on purpose.

    SpecmemoError                 exit 1: something failed at run time
    ├── UsageError                exit 2: a wrong flag, value, input, prompt or unsupported model
    ├── PlanError                 exit 3: the plan does not fit the memory cap
    ├── ModelError                exit 4: a model that is unknown, gated, offline, unreadable or corrupt
    ├── DeviceError               exit 5: an explicit --device that cannot be used
    ├── SessionError              exit 1: stored conversations cannot be read or written
    └── WorkerError               exit 1: the worker process died, hung or answered nonsense

`message` says what is wrong and how much; each of `remedies` helps by itself, the smallest thing first. Those that
are typed differently on the command line and in the REPL are a Flag or Words: whoever shows the error chooses. The
command line prints all and leaves with `exit_code`; a traceback appears only with --debug.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Flag:
    """A flag of the command line that helps, with its value. `lead`: when, or what for. `beside`: the model and flags
    that were asked for in the REPL together with it, where they are not the running ones."""

    name: str
    value: str
    lead: str = ""
    beside: str = ""

    @property
    def typed(self) -> str:
        """As a shell reads it."""
        return f"{self.name} {shlex.quote(self.value)}"


@dataclass(frozen=True)
class Words:
    """What helps, as it is said on the command line and at the prompt of the REPL."""

    shell: str
    repl: str


Remedy = str | Flag | Words

# Against an error that nobody expected.
REPORT = Words("run again with --debug and report it", "start the chat anew with --debug, and report it")


def told(remedies: Iterable[Remedy], flag: Callable[[Flag], str], words: Callable[[Words], str]) -> str:
    """The remedies as one sentence; `flag` and `words` say what depends on where it is read."""
    sentence = ""
    for remedy in remedies:
        lead = remedy.lead if isinstance(remedy, Flag) else ""
        said = remedy if isinstance(remedy, str) else flag(remedy) if isinstance(remedy, Flag) else words(remedy)
        joint = "" if not sentence else "; " if lead else ", or "
        sentence += f"{joint}{lead}: {said}" if lead else f"{joint}{said}"
    return sentence


def pack(remedies: Iterable[Remedy]) -> list[Any]:
    """The remedies as plain values, for another process."""
    return [remedy if isinstance(remedy, str) else dataclasses.asdict(remedy) for remedy in remedies]


def unpack(values: Iterable[Any]) -> tuple[Remedy, ...]:
    """The remedies that `pack` made plain."""
    return tuple(
        value if isinstance(value, str) else Words(**value) if "shell" in value else Flag(**value) for value in values
    )


class SpecmemoError(Exception):
    """Base of all errors with a message for the user."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *remedies: Remedy | None) -> None:
        super().__init__(message)
        self.message = message
        self.remedies: tuple[Remedy, ...] = tuple(remedy for remedy in remedies if remedy)

    @property
    def remedy(self) -> str | None:
        """The remedies in the words of the command line."""
        return told(self.remedies, lambda flag: flag.typed, lambda words: words.shell) or None


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


def error_with_exit_code(exit_code: int, message: str, *remedies: Remedy | None) -> SpecmemoError:
    """The error of the tree that leaves with `exit_code`: how an error crosses from a worker to its parent."""
    return _BY_EXIT_CODE.get(exit_code, SpecmemoError)(message, *remedies)
