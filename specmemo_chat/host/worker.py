"""The worker process: holds the model, answers the terminal's requests, and leaves when the terminal is gone.

Run as `python -m specmemo_chat.host.worker DESCRIPTOR`, the number of the inherited link; standard input is the
lifeline (device/lifeline.py). Where torchrun started several workers, the environment holds JSON instead, with the
port to connect to and its key; the first worker serves the terminal, the others follow it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

from specmemo_chat import events
from specmemo_chat.device.lifeline import die_with, leave_with_parent
from specmemo_chat.device.streams import Forgiving
from specmemo_chat.errors import REPORT, SpecmemoError
from specmemo_chat.events import Event, Failure
from specmemo_chat.host import requests
from specmemo_chat.host.coalescing import coalesced
from specmemo_chat.host.launcher import GREETING
from specmemo_chat.host.link import HEARTBEAT_S, LOST, Link, LinkClosedError, inherited
from specmemo_chat.host.listener import LOOPBACK, connect
from specmemo_chat.host.requests import Interrupt, Load, Request, Shutdown
from specmemo_chat.host.service import Service


class Worker:
    """Serves one link. A reader thread takes requests off it, so that an interrupt is seen between two steps.

    `grouped`: other workers hold parts of the model."""

    def __init__(self, link: Link, *, grouped: bool = False) -> None:
        self._link = link
        self._grouped = grouped
        # A Failure stands where a request came that cannot be read.
        self._requests: queue.SimpleQueue[Request | Failure] = queue.SimpleQueue()
        self._interrupted = threading.Event()

    def serve(self) -> None:
        """Answer requests until Shutdown or until the link closes."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._link.beat, name="heartbeat", daemon=True).start()
        service: Service | None = None
        while True:
            request = self._requests.get()
            if isinstance(request, Failure):
                self._link.send(events.encode(request))
                continue
            if isinstance(request, Shutdown):
                if service is not None:
                    service.leave()
                return
            if isinstance(request, Load):
                service = Service(request, self._lost if self._grouped else None)
            if service is None:
                self._link.send(events.encode(Failure("the model is not loaded", ("load it first",), 1)))
                continue
            for together in coalesced(self._guarded(service.answer(request, self._interrupted.is_set))):
                self._link.send(events.encode_all(together))

    def _guarded(self, answer: Iterator[Event]) -> Iterator[Event]:
        """The answer; an error becomes a Failure, so that one failed request never ends the worker."""
        try:
            yield from answer
        except SpecmemoError as error:
            yield Failure(error.message, error.remedies, error.exit_code)
        except LinkClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of the process: reported with its traceback
            yield _internal(error)

    def _lost(self, message: str, remedies: list[Any], exit_code: int | None) -> NoReturn:
        """Another worker is gone, and so this process must go, whatever its main thread waits for."""
        with contextlib.suppress(LinkClosedError):
            self._link.send({"event": LOST, "message": message, "remedies": remedies, "exit_code": exit_code})
        os._exit(1)

    def _read(self) -> None:
        try:
            while True:
                request = self._received()
                if isinstance(request, Interrupt):
                    self._interrupted.set()
                else:
                    # Cleared here, in the order of the messages: an interrupt that follows at once is not lost.
                    self._interrupted.clear()
                    self._requests.put(request)
        except LinkClosedError:
            self._interrupted.set()
            self._requests.put(Shutdown())

    def _received(self) -> Request | Failure:
        """The next request. One that cannot be read is answered all the same, or the terminal would wait for ever."""
        try:
            message = self._link.receive()
            while message is None:
                message = self._link.receive()
            return requests.decode(message)
        except LinkClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever came, this thread must live on
            return _internal(error)


def _internal(error: Exception) -> Failure:
    """An error that nobody expected, as the answer to what was asked; its traceback goes to the log."""
    traceback.print_exc()
    return Failure(f"internal error: {type(error).__name__}: {error}", (REPORT,), 1)


def _watch_launcher(launcher: int) -> None:
    """Leave when the launcher is gone: nobody would end this process any more."""
    while os.getppid() == launcher:
        time.sleep(HEARTBEAT_S)
    os._exit(1)


def main() -> None:
    # Libraries write here too (warnings, progress), and would take the error for one of the model's.
    sys.stderr = io.TextIOWrapper(Forgiving(2), encoding="utf-8", errors="backslashreplace", write_through=True)
    # Ctrl-C belongs to the terminal's process; it sends Interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = os.environ.pop(GREETING, None)
    if given is None:
        leave_with_parent()
        link = inherited(int(sys.argv[1]))
    else:
        leave_with_parent(shared=True)
        launcher = os.getppid()
        die_with(launcher)
        threading.Thread(target=_watch_launcher, args=(launcher,), name="launcher", daemon=True).start()
        greeting = json.loads(given)
        if os.environ["RANK"] != "0":
            from specmemo_chat.host.follower import follow

            follow(requests.decode(greeting["load"]))
        link = connect(LOOPBACK, greeting["port"], bytes.fromhex(greeting["key"])).link
    Worker(link, grouped=given is not None).serve()
    sys.stderr.flush()
    # The terminal waits for this. To take an interpreter with torch apart takes a second, and taking a process group
    # apart may wait for workers that have left already.
    os._exit(0)


if __name__ == "__main__":
    main()
