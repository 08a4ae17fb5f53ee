"""The link between the terminal's process and a worker: JSON messages over a private, authenticated Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import socket
import tempfile
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

Message = dict[str, Any]

HEARTBEAT = "Heartbeat"


class LinkClosedError(ConnectionError):
    """The other side is gone."""


class Link:
    """One end. `send` may be called from several threads; `receive` from one."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, message: Message) -> None:
        payload = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
        with self._sending:
            try:
                self._connection.send_bytes(payload)
            except OSError as error:
                raise LinkClosedError(str(error)) from error

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None where none came within `timeout` seconds. Raises LinkClosedError at the end."""
        try:
            if timeout is not None and not self._connection.poll(timeout):
                return None
            message: Message = json.loads(self._connection.recv_bytes().decode("utf-8", "surrogatepass"))
        except (EOFError, OSError) as error:
            raise LinkClosedError(str(error)) from error
        return message

    def close(self) -> None:
        self._connection.close()


class Doorway:
    """The parent's side before a worker has connected: a socket in a folder of its own (0700) and a one-time key."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="specmemo-")
        self.address = str(Path(self._folder.name) / "worker.sock")
        self.key = secrets.token_bytes(32)
        self._listener = Listener(self.address, family="AF_UNIX", authkey=self.key)
        os.chmod(self.address, 0o600)
        self._accepted: queue.SimpleQueue[Link] = queue.SimpleQueue()
        self._closing = False
        # accept() has no timeout, and a worker may die before it connects: a thread waits in it.
        self._waiter = threading.Thread(target=self._accept, name="specmemo-doorway", daemon=True)
        self._waiter.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                self._accepted.put(Link(self._listener.accept()))
                return
            except AuthenticationError:
                continue
            except (OSError, EOFError):
                return

    def accept(self, timeout: float) -> Link | None:
        """The worker's link once it has connected; None where it has not within `timeout` seconds."""
        try:
            return self._accepted.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        self._closing = True
        if self._waiter.is_alive():
            with contextlib.suppress(OSError, EOFError), socket.socket(socket.AF_UNIX) as knock:
                knock.connect(self.address)
            self._waiter.join(timeout=1.0)
        self._listener.close()
        self._folder.cleanup()


def connect(address: str, key: bytes) -> Link:
    """The worker's side."""
    return Link(Client(address, family="AF_UNIX", authkey=key))
