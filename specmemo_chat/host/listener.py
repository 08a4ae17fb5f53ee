"""How workers reach worker 0: a TCP port, and a one-time key that both sides prove to know.

Anybody can connect to a port. So whoever does has little time to prove itself, beside all others: what is silent, says
something else or hangs up takes nothing from them.
"""

from __future__ import annotations

import contextlib
import hmac
import queue
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from specmemo_chat.errors import WorkerError
from specmemo_chat.host.link import Link

LOOPBACK = "127.0.0.1"
HANDSHAKE_S = 5.0
# So long a worker tries again where it is turned away.
PATIENCE_S = 60.0
# More that have not proven themselves at once: the oldest must go.
_STRANGERS = 64
_NONCE_BYTES = 32
# Sent and not acknowledged for so long, in milliseconds: the other machine is gone.
_LOST_MS = 60_000


@dataclass(frozen=True)
class Peer:
    """A link to a process that knows the key, and the two ends' addresses: numbers, without ports."""

    link: Link
    here: str
    there: str


class LinkListener:
    """The side that is connected to: `port` of all addresses of this machine, IPv4 and IPv6, or of its loopback."""

    def __init__(self, *, everywhere: bool) -> None:
        self.key = secrets.token_bytes(32)
        self._listener = _listener(everywhere)
        self._listener.settimeout(0.5)
        self.port = int(self._listener.getsockname()[1])
        self._peers: queue.SimpleQueue[Peer] = queue.SimpleQueue()
        self._strangers: dict[socket.socket, None] = {}  # the oldest first
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def accept(self, timeout: float) -> Peer | None:
        """The next one that knew the key; None where none came within `timeout` seconds."""
        try:
            return self._peers.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let nobody in any more; the links stay."""
        self._closed.set()
        with self._lock:
            strangers, self._strangers = self._strangers, {}
        for stranger in strangers:
            _hang_up(stranger)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                stranger, _address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                # It has hung up already, or no descriptor is free.
                self._closed.wait(0.1)
                continue
            if self._closed.is_set():
                stranger.close()
                break
            with self._lock:
                self._strangers[stranger] = None
                oldest = next(iter(self._strangers)) if len(self._strangers) > _STRANGERS else None
                if oldest is not None:
                    del self._strangers[oldest]
            if oldest is not None:
                _hang_up(oldest)
            try:
                threading.Thread(target=self._prove, args=(stranger,), name="stranger", daemon=True).start()
            except RuntimeError:
                # The system has no thread left.
                stranger.close()
        self._listener.close()

    def _prove(self, stranger: socket.socket) -> None:
        try:
            deadline = time.monotonic() + HANDSHAKE_S
            nonce = secrets.token_bytes(_NONCE_BYTES)
            stranger.settimeout(HANDSHAKE_S)
            stranger.sendall(nonce)
            theirs, proof = _read(stranger, deadline), _read(stranger, deadline)
            if not hmac.compare_digest(proof, _proof(self.key, b"connects", nonce)):
                raise ConnectionError("another key")
            stranger.sendall(_proof(self.key, b"listens", theirs))
            peer = _peer(stranger)
        except OSError:
            stranger.close()
            return
        finally:
            with self._lock:
                self._strangers.pop(stranger, None)
        self._peers.put(peer)


def connect(host: str, port: int, key: bytes, patience_s: float = PATIENCE_S) -> Peer:
    """The other side of a LinkListener. Raises WorkerError where that is not reached for `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            # Tries every address that the host has.
            door = socket.create_connection((host, port), timeout=HANDSHAKE_S)
            try:
                return _introduce(door, key)
            except OSError:
                door.close()
                raise
        except OSError as error:
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"worker 0 cannot be reached at {host}, port {port}: {error.strerror or error}",
                    "let the machines connect to each other at all ports",
                ) from None
        time.sleep(0.2)


def _introduce(door: socket.socket, key: bytes) -> Peer:
    deadline = time.monotonic() + HANDSHAKE_S
    nonce = secrets.token_bytes(_NONCE_BYTES)
    door.sendall(nonce + _proof(key, b"connects", _read(door, deadline)))
    if not hmac.compare_digest(_read(door, deadline), _proof(key, b"listens", nonce)):
        raise ConnectionError("what listens there has another key")
    return _peer(door)


def _proof(key: bytes, side: bytes, nonce: bytes) -> bytes:
    """That this side knows the key. The side is in it, so that nobody's own proof can be sent back to them."""
    return hmac.digest(key, side + nonce, "sha256")


def _read(connection: socket.socket, deadline: float) -> bytes:
    """Exactly as many bytes as a nonce or a proof has. Raises OSError where they do not come in time."""
    data = b""
    while len(data) < _NONCE_BYTES:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        more = connection.recv(_NONCE_BYTES - len(data))
        if not more or time.monotonic() > deadline:
            raise ConnectionError("it was silent")
        data += more
    return data


def _peer(connection: socket.socket) -> Peer:
    here, there = _number(connection.getsockname()), _number(connection.getpeername())
    connection.settimeout(None)
    # A message of a few bytes must not wait until the one before it is acknowledged.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _LOST_MS)
    return Peer(Link(Connection(connection.detach())), here, there)


def _number(address: tuple[str, int]) -> str:
    """The address of a socket; one of IPv4 as such, also where an IPv6 socket has it."""
    return address[0].removeprefix("::ffff:") if "." in address[0] else address[0]


def _listener(everywhere: bool) -> socket.socket:
    if not everywhere:
        return socket.create_server((LOOPBACK, 0), backlog=_STRANGERS)
    if socket.has_dualstack_ipv6():
        # A kernel without IPv6 refuses.
        with contextlib.suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, backlog=_STRANGERS, dualstack_ipv6=True)
    return socket.create_server(("", 0), backlog=_STRANGERS)


def _hang_up(connection: socket.socket) -> None:
    """End a connection that a thread reads from: that one closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
