"""Worker 0's side of the workers of a group: their links, their orders, and who of them is still alive."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from specmemo_chat.errors import Words, WorkerError, pack
from specmemo_chat.host import requests
from specmemo_chat.host.link import AGAIN, Link, LinkClosedError, Message
from specmemo_chat.host.listener import LOOPBACK, LinkListener, Peer
from specmemo_chat.host.place import (
    COLLECTIVE_TIMEOUT,
    MEETING_TIMEOUT,
    Place,
    join,
    lacks_memory,
    meeting_store,
    speak_by,
)
from specmemo_chat.host.requests import Load
from specmemo_chat.memory.meter import ProcessMemory

if TYPE_CHECKING:
    from specmemo_chat.models.target import Target

# A follower sends a heartbeat every second. Importing holds the interpreter's lock for longer, hence the longer limit
# until all have joined the group.
SILENCE_LIMIT_S = 6.0
LOADING_SILENCE_LIMIT_S = 90.0
# Where the leader finds itself alone in a collective, one of the others is gone: its link says so at once, or else this
# long after it fell silent.
_CAUSE_S = SILENCE_LIMIT_S + 2.0
# A follower answers when it has carried out what it was sent before. One that is gone or silent is noticed sooner.
_ANSWER_S = COLLECTIVE_TIMEOUT.total_seconds()
_HELLO_S = 10.0
_LEAVE_S = 3.0

# In the meeting store: the port and the key of the leader's listener, and the address of its machine by which the other
# machines reach it.
LISTENER_KEY = "specmemo/listener"
ADDRESS_KEY = "specmemo/address"

Lost = Callable[[str, list[Any], int | None], NoReturn]


@dataclass
class _Member:
    """Another worker of the group."""

    rank: int
    pid: int
    host: str
    peer: Peer
    answers: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)
    loaded: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)

    @property
    def link(self) -> Link:
        return self.peer.link


class Leader:
    """Implements `models.mirror.Followers` over one link to every other worker.

    `lost(message, remedies, exit_code)` (see link.LOST) ends this process; it is called when the group cannot go on,
    from any thread.
    """

    def __init__(self, load: Load, place: Place, lost: Lost) -> None:
        """Wait for the others and send them the plan."""
        self.place = place
        self._device = load.plan.device
        self._lost = lost
        self._leaving = False
        self._joined = threading.Event()
        self._members: list[_Member] = []
        self._asked = 0
        self._store = meeting_store()
        listener = LinkListener(everywhere=place.nodes > 1)
        try:
            self._store.set(LISTENER_KEY, json.dumps([listener.port, listener.key.hex()]))
            self._meet(listener, load, MEETING_TIMEOUT.total_seconds())
        finally:
            listener.close()

    def lead(self, target: Target) -> Target:
        """The target on all workers, joined in torch's process group once every one of them has loaded its share."""
        for member in self._members:
            while not member.loaded.wait(timeout=1.0):
                continue
        # Their links end at the address by which they reach this machine, those of its own workers maybe at loopback.
        address = next((each.peer.here for each in self._members if self._node(each.rank)), LOOPBACK)
        self._store.set(ADDRESS_KEY, address)
        speak_by(address)
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
        if not lacks_memory(error):
            time.sleep(_CAUSE_S)
        self._lost(f"{self._name(0)} failed: {error or type(error).__name__}", _REMEDIES, 1)

    def measure(self) -> list[ProcessMemory]:
        """What the other workers take."""
        return [ProcessMemory(**answer["values"]) for answer in self._ask("Measure")]

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
        self._asked += 1
        for member in self._members:
            try:
                member.link.send({"request": question, "number": self._asked})
            except LinkClosedError as error:
                self.lost(error)
        deadline = time.monotonic() + _ANSWER_S
        return [self._answer(member, question, deadline) for member in self._members]

    def _answer(self, member: _Member, question: str, deadline: float) -> Message:
        """What `member` answers to the last question; late answers to earlier ones are dropped."""
        while True:
            try:
                answer = member.answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                name = self._name(member.rank, member)
                raise WorkerError(f"{name} did not answer {question} within {_ANSWER_S:.0f} s", AGAIN) from None
            if answer["number"] == self._asked:
                return answer

    def _meet(self, listener: LinkListener, load: Load, patience_s: float) -> None:
        """Wait until every other worker has come, and send each the plan."""
        deadline = time.monotonic() + patience_s
        while len(self._members) < self.place.world - 1:
            peer = listener.accept(deadline - time.monotonic())
            if peer is None:
                raise self._missing(patience_s)
            # One that hangs up or says nothing may come again.
            with contextlib.suppress(LinkClosedError):
                self._welcome(peer, load)

    def _welcome(self, peer: Peer, load: Load) -> None:
        hello = peer.link.receive(timeout=_HELLO_S)
        if hello is None:
            peer.link.close()
            return
        member = _Member(hello["rank"], hello["pid"], hello["host"], peer)
        self._check(member, hello["world"])
        peer.link.send(requests.encode(load))
        self._members.append(member)
        threading.Thread(target=self._listen, args=(member,), name=f"worker-{member.rank}", daemon=True).start()

    def _check(self, member: _Member, world: int) -> None:
        """Raise WorkerError for a worker that was started with other numbers than this one."""
        node = self._node(member.rank)
        if world != self.place.world or not 0 < member.rank < world:
            raise WorkerError(
                f"{member.host} was started for {world} workers, this machine for {self.place.world}",
                _anew("the same --gpus and --nnodes on every machine"),
            )
        if any(known.rank == member.rank for known in self._members):
            raise WorkerError(
                f"two machines are number {node}, the second is {member.host}",
                _anew("a --node-rank of its own for each machine"),
            )

    def _missing(self, patience_s: float) -> WorkerError:
        here = {0, *(member.rank for member in self._members)}
        ranks = [rank for rank in range(self.place.world) if rank not in here]
        came = f"did not come within {patience_s:.0f} s"
        nodes = sorted({self._node(rank) for rank in ranks} - {0})
        if not nodes:
            return WorkerError(
                f"of {self.place.world} workers {_listed('number', ranks)} {came}", "see the worker's log"
            )
        return WorkerError(
            f"of {self.place.nodes} machines {_listed('number', nodes)} {came}",
            f"run the same command there, with {' or '.join(f'--node-rank {node}' for node in nodes)}",
        )

    def _node(self, rank: int) -> int:
        return rank // self.place.local_world

    def _listen(self, member: _Member) -> None:
        try:
            self._hear(member)
        except Exception as error:  # noqa: BLE001 - whatever it is: without this thread the worker would be waited for
            name = self._name(member.rank, member)
            self._lost(f"{name} sent what cannot be read: {type(error).__name__}: {error}", _REMEDIES, 1)

    def _hear(self, member: _Member) -> None:
        name = self._name(member.rank, member)
        heard = time.monotonic()
        while True:
            try:
                message = member.link.receive(timeout=0.5)
            except LinkClosedError:
                member.gone.set()
                if self._leaving:
                    return
                self._lost(f"{name} has ended", _REMEDIES, None)
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
                case "Measured":
                    member.answers.put(message)
                case other:
                    raise ValueError(f"the event {other!r}")

    def _name(self, rank: int, member: _Member | None = None) -> str:
        name = f"worker {rank} of {self.place.world}"
        if member is None:
            return name
        return f"{name} (process {member.pid}{f' on {member.host}' if self.place.nodes > 1 else ''})"


_REMEDIES = pack((AGAIN,))


def _listed(noun: str, numbers: list[int]) -> str:
    return f"{noun}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _anew(flags: str) -> Words:
    """Flags that only a new start takes."""
    return Words(f"give {flags}", f"leave, and start the chat anew with {flags}")
