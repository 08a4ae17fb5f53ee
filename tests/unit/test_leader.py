"""Worker 0 and its followers without models: who is waited for, who is named, and whose answer is taken for what."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from specmemo_chat.errors import WorkerError
from specmemo_chat.host import leader, listener, place, requests
from specmemo_chat.host.leader import ADDRESS_KEY, LISTENER_KEY, Leader
from specmemo_chat.host.listener import LOOPBACK, Peer, connect
from specmemo_chat.host.place import Place
from specmemo_chat.host.requests import Load
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.meter import ProcessMemory
from specmemo_chat.memory.terms import Terms

LOAD = Load(Plan("fake", "fake", "cpu", "fp32", context_tokens=100, cap_bytes=0, terms=Terms(), tp=2), devices=("cpu",))
TWO_MACHINES = Place(rank=0, world=2, local_rank=0, local_world=1, nodes=2)


class Store:
    """The meeting store of one process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.has_listener = threading.Event()

    def set(self, key: str, value: str) -> None:
        self.values[key] = value
        if key == LISTENER_KEY:
            self.has_listener.set()

    def knock(self) -> Peer:
        """Reach the leader as a follower does."""
        port, key = self.port_and_key()
        return connect(LOOPBACK, port, key, patience_s=5)

    def port_and_key(self) -> tuple[int, bytes]:
        assert self.has_listener.wait(5)
        port, key = json.loads(self.values[LISTENER_KEY])
        return port, bytes.fromhex(key)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(leader, "meeting_store", lambda: store)
    return store


class Lost:
    """What ends the process of worker 0; here the thread that calls it waits for ever."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[Any], int | None]] = []
        self.happened = threading.Event()

    def __call__(self, message: str, remedies: list[Any], exit_code: int | None) -> NoReturn:
        self.told.append((message, remedies, exit_code))
        self.happened.set()
        while True:
            threading.Event().wait()


def hello(rank: int = 1, world: int = 2) -> dict[str, Any]:
    return {"event": "Hello", "rank": rank, "world": world, "pid": 100 + rank, "host": f"host-{rank}"}


def follow(store: Store, *hellos: dict[str, Any]) -> list[Peer]:
    """Followers come, as from other machines, while the leader waits."""
    peers: list[Peer] = []

    def come() -> None:
        for words in hellos:
            peers.append(store.knock())
            peers[-1].link.send(words)

    threading.Thread(target=come, daemon=True).start()
    return peers


def closing(peers: list[Peer]) -> None:
    for peer in peers:
        peer.link.close()


def test_strays_do_not_keep_the_followers_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hang up, are silent or send garbage, before and between the real ones."""
    monkeypatch.setattr(leader, "_HELLO_S", 0.2)
    peers: list[Peer] = []
    silent = []

    def come() -> None:
        for rank in (2, 1):
            for words in (b"", b"\xff" * 300, b"GET / HTTP/1.1\r\n\r\n"):
                port, _key = store.port_and_key()
                with socket.create_connection((LOOPBACK, port)) as stray, contextlib.suppress(OSError):
                    stray.sendall(words)
            silent.append(socket.create_connection((LOOPBACK, port)))
            # Knows the key, and says nothing, or hangs up.
            silent.append(store.knock().link)  # type: ignore[arg-type]
            store.knock().link.close()
            peers.append(store.knock())
            peers[-1].link.send(hello(rank, 3))

    threading.Thread(target=come, daemon=True).start()
    lost = Lost()
    lead = Leader(LOAD, Place(rank=0, world=3, local_rank=0, local_world=1, nodes=3), lost)
    assert sorted(member.rank for member in lead._members) == [1, 2]
    for peer in peers:
        assert requests.decode(peer.link.receive(timeout=5) or {}) == LOAD
    assert not lost.told
    for each in silent:
        each.close()
    lead._leaving = True
    closing(peers)


@pytest.mark.parametrize(
    ("where", "came", "message", "remedy"),
    [
        (TWO_MACHINES, (), "of 2 machines number 1 did not come within 0 s", "with --node-rank 1"),
        (
            Place(rank=0, world=8, local_rank=0, local_world=2, nodes=4),
            (1, 4, 5),
            "of 4 machines numbers 1, 3 did not come",
            "with --node-rank 1 or --node-rank 3",
        ),
        (
            Place(rank=0, world=3, local_rank=0, local_world=3, nodes=1),
            (2,),
            "of 3 workers number 1 did",
            "worker's log",
        ),
    ],
)
def test_the_missing_are_named(
    where: Place, came: tuple[int, ...], message: str, remedy: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "MEETING_TIMEOUT", timedelta(seconds=0.4))
    peers = follow(store, *(hello(rank, where.world) for rank in came))
    with pytest.raises(WorkerError) as caught:
        Leader(LOAD, where, Lost())
    assert message in caught.value.message
    assert remedy in (str(caught.value.remedies))
    closing(peers)


@pytest.mark.parametrize(
    ("hellos", "message"),
    [
        ((hello(1, 4),), "host-1 was started for 4 workers, this machine for 3"),
        ((hello(1, 3), {**hello(1, 3), "host": "other"}), "two machines are number 1, the second is other"),
    ],
)
def test_machines_that_were_started_differently_are_named(
    hellos: tuple[dict[str, Any], ...], message: str, store: Store
) -> None:
    peers = follow(store, *hellos)
    with pytest.raises(WorkerError, match=message):
        Leader(LOAD, Place(rank=0, world=3, local_rank=0, local_world=1, nodes=3), Lost())
    closing(peers)


@pytest.fixture
def group(store: Store) -> tuple[Leader, Peer, Lost]:
    """A leader and one follower on another machine."""
    peers = follow(store, hello())
    lost = Lost()
    lead = Leader(LOAD, TWO_MACHINES, lost)
    assert peers[0].link.receive(timeout=5) is not None
    return lead, peers[0], lost


def answer(peer: Peer, question: dict[str, Any] | None, **values: int) -> None:
    assert question is not None
    peer.link.send({"event": "Measured", "number": question["number"], "values": values})


def test_a_late_answer_is_not_taken_for_that_to_the_next_question(
    group: tuple[Leader, Peer, Lost], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, peer, lost = group
    monkeypatch.setattr(leader, "_ANSWER_S", 0.2)
    with pytest.raises(WorkerError, match=r"worker 1 of 2 \(process 101 on host-1\) did not answer Measure"):
        lead.measure()
    late = peer.link.receive(timeout=5)
    monkeypatch.setattr(leader, "_ANSWER_S", 10.0)

    def catch_up() -> None:
        answer(peer, late, rss_bytes=1, peak_bytes=1)
        answer(peer, peer.link.receive(timeout=5))
        answer(peer, peer.link.receive(timeout=5), rss_bytes=2, peak_bytes=3)

    threading.Thread(target=catch_up, daemon=True).start()
    lead.reset_peaks()
    assert lead.measure() == [ProcessMemory(2, 3)]
    assert not lost.told
    lead._leaving = True
    peer.link.close()


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b"{", b"[]", b'{"event": "Dance"}', b'{"no": "event"}'])
def test_a_follower_that_cannot_be_understood_is_not_waited_for(
    group: tuple[Leader, Peer, Lost], garbage: bytes
) -> None:
    _lead, peer, lost = group
    peer.link.send_bytes(garbage)
    assert lost.happened.wait(5)
    ((message, _remedy, exit_code),) = lost.told
    assert "worker 1 of 2 (process 101 on host-1) sent what cannot be read" in message
    assert exit_code == 1
    peer.link.close()


def test_gloo_speaks_by_the_address_that_the_other_machines_reach(
    group: tuple[Leader, Peer, Lost], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by that of the machine's own name, which is 127.0.1.1 on Debian."""
    lead, peer, _lost = group
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setattr(leader, "join", lambda *_arguments: None)
    peer.link.send({"event": "Loaded"})
    with contextlib.suppress(AttributeError):  # there is no target to lead
        lead.lead(None)  # type: ignore[arg-type]
    assert store.values[ADDRESS_KEY] == LOOPBACK
    assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")
    lead._leaving = True
    peer.link.close()


def test_the_users_own_interface_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    place.speak_by(LOOPBACK)
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"


@pytest.mark.parametrize(
    ("socket_address", "number"),
    [(("::ffff:10.0.0.3", 1), "10.0.0.3"), (("10.0.0.3", 1), "10.0.0.3"), (("fe80::1%eth0", 1), "fe80::1%eth0")],
)
def test_an_address_is_what_the_interfaces_call_it(socket_address: tuple[str, int], number: str) -> None:
    assert listener._number(socket_address) == number
