"""Continuous batching: which sequences have a row of the engine, which wait for one, and which must give theirs up.

Sequences enter in the order in which they were added. Whoever entered last gives way where the plan's arena cannot hold
the next step of all: its text is kept, its keys and values are dropped, and it is the first to enter again. The oldest
never gives way, so all come to their end.
"""

from __future__ import annotations

from collections import deque

from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence, Step

# Tokens that there must be room for beyond a sequence's own before it enters: else it would soon have to leave again.
ENTRY_ROOM = 64


class Scheduler:
    """Owns all rows of `engine`. Not thread-safe."""

    def __init__(self, engine: Engine, *, entry_room: int = ENTRY_ROOM) -> None:
        self._engine = engine
        self._entry_room = entry_room
        self._free = list(range(engine.plan.rows))
        self._running: list[Sequence] = []  # the oldest first
        self._waiting: deque[Sequence] = deque()
        self.parked = 0  # how often a sequence had to give its row up

    @property
    def running(self) -> tuple[Sequence, ...]:
        """Those that have a row, the oldest first."""
        return tuple(self._running)

    @property
    def waiting(self) -> tuple[Sequence, ...]:
        """Those that wait for a row, the next to enter first."""
        return tuple(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Let `sequence` (from `Engine.make`) wait for a row."""
        self._waiting.append(sequence)

    def follow(self, sequence: Sequence, after: Sequence, keep: int) -> None:
        """`sequence` takes the row of `after`, which has ended there; of what `after` left, the first `keep` tokens are
        its own too."""
        row = after.row
        self._running[self._running.index(after)] = sequence
        self._engine.close(after)
        self._engine.seat(sequence, row, keep)

    def leave(self, sequence: Sequence) -> None:
        """`sequence` has ended, or is given up: its row is free."""
        self._engine.close(sequence)
        if sequence in self._running:
            self._running.remove(sequence)
            self._engine.release(sequence.row)
            self._free.append(sequence.row)
        else:
            self._waiting.remove(sequence)

    def step(self) -> list[tuple[Sequence, Step]]:
        """Rows are taken and given, then every sequence that has one goes a step."""
        while len(self._running) > 1 and not self._engine.fits(self._running):
            self._park(self._running[-1])
        self.admit()
        return list(zip(self._running, self._engine.step(self._running), strict=True))

    def admit(self) -> None:
        """Give free rows to those who wait, as far as there is room."""
        while self._waiting and self._free and self._may_enter(self._waiting[0]):
            sequence = self._waiting.popleft()
            self._engine.seat(sequence, self._free.pop(0))
            self._running.append(sequence)

    def _may_enter(self, sequence: Sequence) -> bool:
        return not self._running or self._engine.fits(self._running, sequence, self._entry_room)

    def _park(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._free.append(sequence.row)
        self._engine.park(sequence)
        self._waiting.appendleft(sequence)
        self.parked += 1
