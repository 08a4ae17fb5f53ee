"""The link between two of the program's processes: JSON messages over a socket that the one inherits from the other, or
over a connection through a listener (host/listener.py) where that cannot be."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from specmemo_chat.errors import Flag, Words

Message = dict[str, Any]

HEARTBEAT = "Heartbeat"
HEARTBEAT_S = 1.0
# The worker is about to end itself: "message", "remedies" (errors.pack) and "exit_code" say why. No exit code: another
# worker has ended, and only its launcher may know why.
LOST = "Lost"

# What helps where a worker is gone, and where it was the memory.
AGAIN = Words("run the command again", "the conversation is kept: send the message again, and a new worker starts")
SMALLER_CAP = Flag("--max-memory", "SIZE", "if the machine ran out of memory, with a smaller cap")

_encode = json.JSONEncoder(ensure_ascii=False).encode


class LinkClosedError(ConnectionError):
    """The other side is gone."""


class Link:
    """One end. `send` may be called from several threads; `receive` from one."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        # Connection.poll makes a selector at every call: most of what it costs to receive a message.
        self._arrivals = select.poll()
        self._arrivals.register(connection.fileno(), select.POLLIN)
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        self.send_bytes(_encode(message).encode("utf-8", "surrogatepass"))

    def send_bytes(self, payload: bytes) -> None:
        """Send what is no JSON message; the other side must expect it."""
        with self._sending:
            try:
                self._connection.send_bytes(payload)
            except OSError as error:
                raise LinkClosedError(str(error)) from error
            except BaseException:
                # A signal came in the middle: what follows a part of a message could not be read.
                self._connection.close()
                raise

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None where none came within `timeout` seconds. Raises LinkClosedError at the end."""
        payload = self.receive_bytes(timeout)
        if payload is None:
            return None
        message: Message = json.loads(payload.decode("utf-8", "surrogatepass"))
        return message

    def receive_bytes(self, timeout: float | None = None) -> bytes | None:
        """Like `receive`, for a message that may be no JSON."""
        try:
            if timeout is not None and not self._connection.closed and not self._arrivals.poll(1000 * timeout):
                return None
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise LinkClosedError(str(error)) from error

    def beat(self) -> None:
        """Send a heartbeat every second until the other side is gone."""
        with contextlib.suppress(LinkClosedError):
            while True:
                time.sleep(HEARTBEAT_S)
                self.send({"event": HEARTBEAT})

    def close(self) -> None:
        self._connection.close()


def link_pair() -> tuple[Link, socket.socket]:
    """A link, and the socket of its other end for a process to inherit (`inherited`). It has no name: nobody else can
    reach it, and nothing of it is left behind."""
    near, far = socket.socketpair()
    return Link(Connection(near.detach())), far


def inherited(descriptor: int) -> Link:
    """The other end of a `link_pair`."""
    return Link(Connection(descriptor))
