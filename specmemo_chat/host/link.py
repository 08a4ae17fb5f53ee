"""The link between two of the program's processes: JSON messages over a socket that the one inherits from the other, or
over an authenticated TCP connection where that cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import select
import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, cast

from specmemo_chat.errors import Flag, Words

Message = dict[str, Any]

HEARTBEAT = "Heartbeat"
# The worker is about to end itself: "message", "remedies" (errors.pack) and "exit_code" say why.
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

    def close(self) -> None:
        self._connection.close()


Address = tuple[str, int]


def link_pair() -> tuple[Link, socket.socket]:
    """A link, and the socket of its other end for a process to inherit (`inherited`). It has no name: nobody else can
    reach it, and nothing of it is left behind."""
    near, far = socket.socketpair()
    return Link(Connection(near.detach())), far


def inherited(descriptor: int) -> Link:
    """The other end of a `link_pair`."""
    return Link(Connection(descriptor))


class Doorway:
    """The side that is connected to, before `links` others have: a TCP port of `host`, and a one-time key."""

    def __init__(self, links: int = 1, host: str = "127.0.0.1") -> None:
        self.key = secrets.token_bytes(32)
        self._links = links
        self._listener = Listener((host, 0), family="AF_INET", authkey=self.key, backlog=links)
        self.address = cast(Address, self._listener.address)
        self._accepted: queue.SimpleQueue[Link] = queue.SimpleQueue()
        self._closing = False
        # accept() has no timeout, and a worker may die before it connects: a thread waits in it.
        self._waiter = threading.Thread(target=self._accept, name="specmemo-doorway", daemon=True)
        self._waiter.start()

    def _accept(self) -> None:
        left = self._links
        while left and not self._closing:
            try:
                self._accepted.put(_tcp_link(self._listener.accept()))
                left -= 1
            except AuthenticationError:
                continue
            except (OSError, EOFError):
                return

    def accept(self, timeout: float) -> Link | None:
        """The next worker's link once it has connected; None where it has not within `timeout` seconds."""
        try:
            return self._accepted.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        self._closing = True
        if self._waiter.is_alive():
            with contextlib.suppress(OSError, EOFError), socket.socket(socket.AF_INET) as knock:
                knock.connect(self.address)
            self._waiter.join(timeout=1.0)
        self._listener.close()


def connect(address: Address, key: bytes) -> Link:
    """The worker's side of a Doorway."""
    return _tcp_link(Client((address[0], address[1]), family="AF_INET", authkey=key))


def _tcp_link(connection: Connection[Any, Any]) -> Link:
    # A message of a few bytes must not wait until the one before it is acknowledged.
    with socket.socket(fileno=os.dup(connection.fileno())) as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Link(connection)
