"""Worker 0's side of the workers of a group: their links, their orders, and who of them is still alive."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from specmemo_chat.errors import WorkerError, pack
from specmemo_chat.host import requests
from specmemo_chat.host.link import AGAIN, Doorway, Link, LinkClosedError, Message
from specmemo_chat.host.place import MEETING_TIMEOUT, Place, join, meeting_store
from specmemo_chat.host.requests import Load

if TYPE_CHECKING:
    from specmemo_chat.models.target import Target

# A follower sends a heartbeat every second. Importing holds the interpreter's lock for longer, hence the longer limit
# until all have joined the group.
SILENCE_LIMIT_S = 6.0
LOADING_SILENCE_LIMIT_S = 90.0
# Where the leader finds itself alone in a collective, one of the others is gone: its link says so at once, or else this
# long after it fell silent.
_CAUSE_S = SILENCE_LIMIT_S + 2.0
_ANSWER_S = 10.0
_LEAVE_S = 3.0

# Where the leader is found in the meeting store.
ADDRESS_KEY = "specmemo/leader"

Lost = Callable[[str, list[Any], int], NoReturn]


@dataclass
class _Member:
    """Another worker of the group."""

    rank: int
    pid: int
    host: str
    link: Link
    answers: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)
    loaded: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)


class Leader:
    """Implements `models.mirror.Followers` over one link to every other worker.

    `lost(message, remedies, exit_code)` ends this process; it is called when the group cannot go on, from any thread.
    """

    def __init__(self, load: Load, place: Place, lost: Lost) -> None:
        """Wait for the others and send them the plan."""
        self.place = place
        self._device = load.plan.device
        self._lost = lost
        self._leaving = False
        self._joined = threading.Event()
        self._members: list[_Member] = []
        store = meeting_store()
        self._doorway = Doorway(place.world - 1, host=_own_address() if place.nodes > 1 else "127.0.0.1")
        store.set(ADDRESS_KEY, json.dumps([self._doorway.address, self._doorway.key.hex()]))
        for _ in range(place.world - 1):
            self._members.append(self._welcome(load))
        self._store = store

    def lead(self, target: Target) -> Target:
        """The target on all workers, joined in torch's process group once every one of them has loaded its share."""
        for member in self._members:
            while not member.loaded.wait(timeout=1.0):
                continue
        # Not before: what the device's context takes is measured without the collectives' buffers.
        join(self.place, self._store, self._device)
        self._joined.set()
        # With transformers behind it: not before its light import.
        from specmemo_chat.models.mirror import LeadingTarget

        return LeadingTarget(target, self.place.world, self)

    def send(self, order: bytes) -> None:
        for member in self._members:
            try:
                member.link.send_bytes(order)
            except LinkClosedError as error:
                self.lost(error)

    def lost(self, error: BaseException) -> NoReturn:
        # The others' threads name the one that is gone, and end this process.
        if not isinstance(error, MemoryError) and "out of memory" not in str(error):
            time.sleep(_CAUSE_S)
        self._lost(f"{self._name(0)} failed: {error or type(error).__name__}", _REMEDIES, 1)

    def measure(self) -> list[dict[str, int]]:
        """What the other workers take: "rss_bytes" and "peak_bytes" of each."""
        return [answer["values"] for answer in self._ask("Measure")]

    def reset_peaks(self) -> None:
        """Let the other workers' peaks start again from what they take now."""
        self._ask("ResetPeak")

    def leave(self) -> None:
        """Send the others home, and wait until they have closed their links: what is sent over a link that this
        process closes with heartbeats unread is lost."""
        self._leaving = True
        for member in self._members:
            with contextlib.suppress(LinkClosedError):
                member.link.send({"request": "Leave"})
        deadline = time.monotonic() + _LEAVE_S
        for member in self._members:
            member.gone.wait(max(0.0, deadline - time.monotonic()))

    def _ask(self, question: str) -> list[Message]:
        for member in self._members:
            try:
                member.link.send({"request": question})
            except LinkClosedError as error:
                self.lost(error)
        try:
            return [member.answers.get(timeout=_ANSWER_S) for member in self._members]
        except queue.Empty:
            raise WorkerError(f"a worker did not answer {question}") from None

    def _welcome(self, load: Load) -> _Member:
        link = self._doorway.accept(MEETING_TIMEOUT.total_seconds())
        hello = link.receive(timeout=_ANSWER_S) if link is not None else None
        if link is None or hello is None:
            missing = self.place.world - 1 - len(self._members)
            raise WorkerError(f"{missing} of {self.place.world} workers did not come", "see the worker's log")
        member = _Member(hello["rank"], hello["pid"], hello["host"], link)
        link.send(requests.encode(load))
        threading.Thread(target=self._listen, args=(member,), name=f"worker-{member.rank}", daemon=True).start()
        return member

    def _listen(self, member: _Member) -> None:
        name = self._name(member.rank, member)
        heard = time.monotonic()
        while True:
            try:
                message = member.link.receive(timeout=0.5)
            except LinkClosedError:
                member.gone.set()
                if self._leaving:
                    return
                self._lost(f"{name} has ended", _REMEDIES, 1)
            if message is None:
                silent = time.monotonic() - heard
                limit = SILENCE_LIMIT_S if self._joined.is_set() else LOADING_SILENCE_LIMIT_S
                if silent > limit:
                    self._lost(f"{name} gave no sign of life for {silent:.0f} s", _REMEDIES, 1)
                continue
            heard = time.monotonic()
            match message["event"]:
                case "Heartbeat":
                    continue
                case "Loaded":
                    member.loaded.set()
                case "Failed":
                    self._lost(f"{name}: {message['message']}", message["remedies"], message["exit_code"])
                case _:
                    member.answers.put(message)

    def _name(self, rank: int, member: _Member | None = None) -> str:
        name = f"worker {rank} of {self.place.world}"
        if member is None:
            return name
        return f"{name} (process {member.pid}{f' on {member.host}' if self.place.nodes > 1 else ''})"


_REMEDIES = pack((AGAIN,))


def _own_address() -> str:
    """The address of this machine by which the meeting store is reached: workers on other machines reach it too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the system only chooses the interface.
        probe.connect((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
        return str(probe.getsockname()[0])
