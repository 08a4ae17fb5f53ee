"""The link between the terminal's process and a worker: JSON messages over a private, authenticated Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import select
import socket
import tempfile
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, cast

Message = dict[str, Any]

HEARTBEAT = "Heartbeat"
# The worker is about to end itself: "message", "remedy" and "exit_code" say why.
LOST = "Lost"

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


Address = str | tuple[str, int]


class Doorway:
    """The side that is connected to, before `links` others have: a socket and a one-time key.

    The socket lies in a folder of its own (0700); with `host` it is a TCP port of that address instead, for workers on
    other machines.
    """

    def __init__(self, links: int = 1, host: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="specmemo-")
        self.key = secrets.token_bytes(32)
        self._links = links
        self.address: Address
        if host is None:
            self.address = str(self.folder / "worker.sock")
            self._listener = Listener(self.address, family="AF_UNIX", authkey=self.key, backlog=links)
            os.chmod(self.address, 0o600)
        else:
            self._listener = Listener((host, 0), family="AF_INET", authkey=self.key, backlog=links)
            self.address = cast(tuple[str, int], self._listener.address)
        self._accepted: queue.SimpleQueue[Link] = queue.SimpleQueue()
        self._closing = False
        # accept() has no timeout, and a worker may die before it connects: a thread waits in it.
        self._waiter = threading.Thread(target=self._accept, name="specmemo-doorway", daemon=True)
        self._waiter.start()

    @property
    def folder(self) -> Path:
        """Where the socket lies: nobody else can read there."""
        return Path(self._folder.name)

    def _accept(self) -> None:
        left = self._links
        while left and not self._closing:
            try:
                self._accepted.put(Link(self._listener.accept()))
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
            family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
            with contextlib.suppress(OSError, EOFError), socket.socket(family) as knock:
                knock.connect(self.address)
            self._waiter.join(timeout=1.0)
        self._listener.close()
        self._folder.cleanup()


def connect(address: Address, key: bytes) -> Link:
    """The worker's side."""
    return Link(Client(address, family="AF_UNIX" if isinstance(address, str) else "AF_INET", authkey=key))
