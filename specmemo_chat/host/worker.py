"""The worker process: holds the model, answers the terminal's requests, and leaves when the terminal is gone.

Run as `python -m specmemo_chat.host.worker`; the first line on standard input is JSON with the socket's address and
its key. Standard input then stays open: its end means that the parent has ended, however it ended.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator

from specmemo_chat import events
from specmemo_chat.errors import SpecmemoError
from specmemo_chat.events import Event, Failure
from specmemo_chat.host import requests
from specmemo_chat.host.link import HEARTBEAT, Link, LinkClosedError, connect
from specmemo_chat.host.requests import Interrupt, Load, Request, Shutdown
from specmemo_chat.host.service import Service

HEARTBEAT_S = 1.0


class Worker:
    """Serves one link. A reader thread takes requests off it, so that an interrupt is seen between two steps."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._interrupted = threading.Event()

    def serve(self) -> None:
        """Answer requests until Shutdown or until the link closes."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        service: Service | None = None
        while True:
            request = self._requests.get()
            if isinstance(request, Shutdown):
                return
            if isinstance(request, Load):
                service = Service(request)
            if service is None:
                return
            for event in self._guarded(service.answer(request, self._interrupted.is_set)):
                self._link.send(events.encode(event))

    def _guarded(self, answer: Iterator[Event]) -> Iterator[Event]:
        """The answer; an error becomes a Failure, so that one failed request never ends the worker."""
        try:
            yield from answer
        except SpecmemoError as error:
            yield Failure(error.message, error.remedy, error.exit_code, traceback.format_exc())
        except LinkClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of the process: reported with its traceback
            traceback.print_exc()
            yield Failure(
                f"internal error: {type(error).__name__}: {error}",
                "run again with --debug and report it",
                1,
                traceback.format_exc(),
            )

    def _read(self) -> None:
        try:
            while True:
                message = self._link.receive()
                if message is None:
                    continue
                request = requests.decode(message)
                if isinstance(request, Interrupt):
                    self._interrupted.set()
                else:
                    # Cleared here, in the order of the messages: an interrupt that follows at once is not lost.
                    self._interrupted.clear()
                    self._requests.put(request)
        except LinkClosedError:
            self._interrupted.set()
            self._requests.put(Shutdown())

    def _beat(self) -> None:
        pause = threading.Event()
        try:
            while not pause.wait(HEARTBEAT_S):
                self._link.send({"event": HEARTBEAT})
        except LinkClosedError:
            return


def _watch_parent() -> None:
    """Leave at once when the parent's end of standard input closes."""
    while sys.stdin.buffer.read(4096):
        continue
    os._exit(0)


def main() -> None:
    # Ctrl-C belongs to the terminal's process; it sends Interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    greeting = json.loads(sys.stdin.buffer.readline())
    link = connect(greeting["address"], bytes.fromhex(greeting["key"]))
    threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    Worker(link).serve()


if __name__ == "__main__":
    main()
