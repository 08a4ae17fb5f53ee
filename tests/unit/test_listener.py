"""The port at which workers meet: who does not know the key takes nothing from those who do."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator

import pytest

from specmemo_chat.errors import WorkerError
from specmemo_chat.host import listener
from specmemo_chat.host.listener import LOOPBACK, LinkListener, connect


@pytest.fixture
def door() -> Iterator[LinkListener]:
    door = LinkListener(everywhere=True)
    yield door
    door.close()


def stranger(door: LinkListener) -> socket.socket:
    return socket.create_connection((LOOPBACK, door.port), timeout=5)


def hangs_up(door: LinkListener) -> None:
    stranger(door).close()


def resets(door: LinkListener) -> None:
    connection = stranger(door)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def asks_for_a_page(door: LinkListener) -> None:
    with stranger(door) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: machine\r\nUser-Agent: scanner with a long name\r\n\r\n")
        connection.recv(1 << 16)
        # What follows its request is the end of the connection, or its reset.
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1 << 16) == b""


def sends_garbage(door: LinkListener) -> None:
    with stranger(door) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(bytes(range(256)) * 4096)


def has_another_key(door: LinkListener) -> None:
    with pytest.raises(WorkerError, match=r"cannot be reached at 127\.0\.0\.1"):
        connect(LOOPBACK, door.port, b"of an earlier start", patience_s=0)


STRAYS = (hangs_up, resets, asks_for_a_page, sends_garbage, has_another_key)


def check_open(door: LinkListener, host: str = LOOPBACK) -> None:
    """One that knows the key comes in, and both sides can speak."""
    there = connect(host, door.port, door.key)
    here = door.accept(timeout=5)
    assert here is not None
    there.link.send({"event": "Hello"})
    assert here.link.receive(timeout=5) == {"event": "Hello"}
    here.link.send({"request": "Measure"})
    assert there.link.receive(timeout=5) == {"request": "Measure"}
    assert (here.here, here.there) == (there.there, there.here) == (host, host)
    for peer in (here, there):
        peer.link.close()


@pytest.mark.parametrize("stray", STRAYS)
def test_a_stray_connection_costs_the_real_one_nothing(
    door: LinkListener, stray: Callable[[LinkListener], None]
) -> None:
    for _ in range(3):
        stray(door)
    check_open(door)
    assert door.accept(timeout=0) is None


def test_silent_connections_cost_the_real_one_nothing(door: LinkListener) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(stranger(door)) for _ in range(3)]
        check_open(door)
        # More than may wait: the oldest has to go.
        silent += [stack.enter_context(stranger(door)) for _ in range(listener._STRANGERS + 3)]
        check_open(door)
        silent[0].recv(listener._NONCE_BYTES)
        assert silent[0].recv(1) == b""


def drip(connection: socket.socket) -> None:
    for _ in range(listener._NONCE_BYTES):
        connection.sendall(b"x")
        with contextlib.suppress(TimeoutError):
            connection.recv(64)


def test_a_handshake_has_a_deadline_however_slowly_it_goes_on(
    door: LinkListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_S", 0.3)
    with stranger(door) as slow:
        slow.settimeout(0.05)
        # A byte now and then: each read has something. The end is one of the ends that a connection may have.
        with pytest.raises(ConnectionError):
            drip(slow)


def test_a_port_that_answers_but_is_no_listener_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens may be silent, end at once, or say something else: the real one may still come."""
    monkeypatch.setattr(listener, "HANDSHAKE_S", 0.2)
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(WorkerError, match="cannot be reached"):
            connect(LOOPBACK, port, b"key", patience_s=0)
    with pytest.raises(WorkerError) as caught:
        connect(LOOPBACK, port, b"key", patience_s=0)
    assert "let the machines connect" in str(caught.value.remedies)
    assert "refused" in caught.value.message


def test_who_is_turned_away_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that is flooded may turn away the real one too."""
    door = LinkListener(everywhere=False)
    turned = threading.Event()
    introduce = listener._introduce

    def once(*arguments: object) -> listener.Peer:
        if not turned.is_set():
            turned.set()
            raise ConnectionResetError("turned away")
        return introduce(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(listener, "_introduce", once)
    check_open(door)
    assert turned.is_set()
    door.close()


def test_ipv6_and_names_reach_it_too(door: LinkListener) -> None:
    connect("localhost", door.port, door.key).link.close()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    assert door.accept(timeout=5) is not None
    check_open(door, "::1")


def test_on_one_machine_only_its_own_processes_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder for temporary files too: it may be missing, full, or have too long a name for a socket."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    door = LinkListener(everywhere=False)
    assert door._listener.getsockname()[0] == LOOPBACK
    check_open(door)
    door.close()


def test_a_closed_one_is_shut() -> None:
    door = LinkListener(everywhere=True)
    with stranger(door) as silent:
        silent.recv(listener._NONCE_BYTES)
        door.close()
        assert silent.recv(1) == b""
    with pytest.raises(WorkerError):
        connect(LOOPBACK, door.port, door.key, patience_s=0.5)
