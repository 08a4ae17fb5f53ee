"""The terminal's side of one worker: starts it, sends requests, yields events, notices when it dies or hangs."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from specmemo_chat import events
from specmemo_chat.errors import SpecmemoError, WorkerError, error_with_exit_code, unpack
from specmemo_chat.events import Done, Event, Failure, Ready, ReplyEnd
from specmemo_chat.host import requests
from specmemo_chat.host.link import AGAIN, HEARTBEAT, LOST, SMALLER_CAP, Link, LinkClosedError, Message, link_pair
from specmemo_chat.host.requests import Interrupt, Request, Shutdown

# A worker sends a heartbeat every second, also while it computes: torch releases the interpreter lock. Importing does
# so less reliably, hence the longer limit until the model is loaded.
SILENCE_LIMIT_S = 7.0
LOADING_SILENCE_LIMIT_S = 90.0
POLL_S = 0.2


def end_of(code: int) -> str:
    """How a process with this exit code ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    how = f"was killed by {signal.Signals(-code).name}"
    return how + (" (often the system's out-of-memory killer)" if -code == signal.SIGKILL else "")


class Executor(Protocol):
    """Where the engine runs. One worker or eight look the same."""

    @property
    def alive(self) -> bool: ...

    def request(self, request: Request, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Send and yield the answer's events up to its last one (Ready, ReplyEnd or Done). `interrupted`: whether the
        answer is not wanted any more, asked once it is on its way; what is called then is `interrupt`.

        Raises the error that a Failure describes, and WorkerError where the worker died or hangs.
        """
        ...

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class WorkerExecutor:
    """One worker process on this machine.

    The worker inherits its end of the link. Its standard input is its lifeline: when this process ends, however it
    ends, the worker leaves. Its stderr goes to `log`.
    """

    # How long the process may take to leave when it is asked to, in seconds.
    leave_s = 2.0

    def __init__(self, log: Path | None = None, command: list[str] | None = None) -> None:
        self._log = log
        self._link: Link | None = None
        self._came: deque[Event] = deque()  # with the last message, not yielded yet
        self._ready = False
        self._busy = False
        # Between "sent" and "busy" no interrupt may look.
        self._asking = threading.Lock()
        self._process = self._start(command or [sys.executable, "-m", "specmemo_chat.host.worker"])

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        self._link, far = link_pair()
        with far:
            number = far.fileno()
            return start_process([*command, str(number)], self._log, inherited=(number,))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, request: Request, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """See Executor.request. Where the caller stops early, the rest of the answer is read and dropped first."""
        link = self._connected()
        self._drain(link)
        with self._asking:
            self._send(link, request)
            self._busy = True
        if interrupted():
            self.interrupt()
        while self._busy:
            event = self._next_event(link)
            if isinstance(event, Failure):
                self._busy = False
                raise error_with_exit_code(event.exit_code, event.message, *event.remedies)
            if isinstance(event, Ready | ReplyEnd | Done):
                self._busy = False
                self._ready = self._ready or isinstance(event, Ready)
            yield event

    def interrupt(self) -> None:
        with self._asking:
            if self._link is not None and self._busy:
                with contextlib.suppress(LinkClosedError):
                    self._link.send(requests.encode(Interrupt()))

    def close(self) -> None:
        """Ask the worker to leave, then make it: no orphan stays behind. One that still loads, or makes a reply that
        nobody reads any more, is not asked."""
        if self._ready and not self._busy and self._link is not None:
            # It needs its time: perhaps it has to send others home.
            with contextlib.suppress(LinkClosedError, subprocess.TimeoutExpired):
                self._link.send(requests.encode(Shutdown()))
                self._process.wait(timeout=self.leave_s)
        for step in (self._close_input, self._process.kill):
            step()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=self.leave_s)
                break
        if self._link is not None:
            self._link.close()

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _connected(self) -> Link:
        if self._link is None:
            raise self._death()
        return self._link

    def _drain(self, link: Link) -> None:
        """Read what an abandoned request still answers, so that the next answer is the next request's."""
        while self._busy:
            self.interrupt()
            if isinstance(self._next_event(link), Ready | ReplyEnd | Done | Failure):
                self._busy = False

    def _send(self, link: Link, request: Request) -> None:
        try:
            link.send(requests.encode(request))
        except LinkClosedError:
            raise self._death() from None

    def _next_event(self, link: Link) -> Event:
        if not self._came:
            self._came.extend(self._next_events(link))
        return self._came.popleft()

    def _next_events(self, link: Link) -> list[Event]:
        """What the next message of the answer holds."""
        limit = SILENCE_LIMIT_S if self._ready else LOADING_SILENCE_LIMIT_S
        heard = time.monotonic()
        while True:
            try:
                message = link.receive(timeout=POLL_S)
                if message is not None and message["event"] not in (HEARTBEAT, LOST):
                    return events.decode_all(message)
            except LinkClosedError:
                raise self._death() from None
            except (ValueError, LookupError, TypeError) as error:
                raise self._nonsense(error) from error
            if message is None:
                if time.monotonic() - heard > limit:
                    raise self._hang(time.monotonic() - heard)
                continue
            heard = time.monotonic()
            if message["event"] == LOST:
                raise self._lost(message)

    def _death(self) -> WorkerError:
        self._busy = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)
        code = self._process.poll()
        if code is None:
            self._process.kill()
        how = "closed its link" if code is None else end_of(code)
        return WorkerError(f"the worker process {how}{self._log_hint}", AGAIN, SMALLER_CAP)

    @property
    def _log_hint(self) -> str:
        return f"; its log: {self._log}" if self._log is not None else ""

    def _lost(self, message: Message) -> SpecmemoError:
        """The worker ends itself and says why."""
        self._busy = False
        if message["exit_code"] in (None, WorkerError.exit_code):
            return WorkerError(message["message"], *unpack(message["remedies"]))
        return error_with_exit_code(message["exit_code"], message["message"], *unpack(message["remedies"]))

    def _nonsense(self, error: Exception) -> WorkerError:
        self._busy = False
        self._process.kill()
        self._process.wait()
        what = f"sent what cannot be read ({type(error).__name__}: {error})"
        return WorkerError(f"the worker process {what} and was ended{self._log_hint}", AGAIN)

    def _hang(self, silent: float) -> WorkerError:
        self._busy = False
        pid = self._process.pid
        self._process.kill()
        self._process.wait()
        return WorkerError(f"the worker process {pid} gave no sign of life for {silent:.0f} s and was ended", AGAIN)


def start_process(
    command: list[str], log: Path | None, *, inherited: tuple[int, ...] = (), stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a process that leaves when its standard input, a pipe from here, ends. Its stderr goes to `log`, and it
    inherits the file descriptors `inherited`."""
    with contextlib.nullcontext(subprocess.DEVNULL) if log is None else log.open("ab") as stderr:
        # A process group of its own: Ctrl-C in the terminal must reach the parent only.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, process_group=0, pass_fds=inherited
        )
