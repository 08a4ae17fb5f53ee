"""Writes a chat down while it goes on. What cannot be written costs the record, never the chat."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from specmemo_chat.errors import SessionError
from specmemo_chat.events import ReplyEnd
from specmemo_chat.sessions.store import PATIENCE_S, SessionStore
from specmemo_chat.sessions.turns import Resumed, SessionInfo, TurnState, title_of

# The text of a growing reply is written down this often: a kill loses at most so much of it.
PARTIAL_EVERY_S = 1.0
# After a first failure another program's lock is not waited for again at every message.
IMPATIENCE_S = 0.1

Pair = tuple[str, str]
"""A user message and its reply."""


@dataclass
class _Kept:
    """A stored turn of the current branch."""

    id: int
    user: str
    reply: str


@dataclass
class _Pending:
    """The turn that is being answered: its row (0: it could not be written) in `store`, and its text so far."""

    user: str
    id: int = 0
    store: SessionStore | None = None
    text: str = ""
    stored: str = ""
    written_at: float = 0.0


class Recorder:
    """Follows one conversation; it is a `host.client.Keeper`. It hears what the conversation *is*, and finds by
    itself which turns are new: a reply made again, an edited message, a turn taken back and a fork all become branches.

    No method raises for a file that fails: `news` tells it once, and every later change is tried again.
    """

    def __init__(
        self,
        open_store: Callable[[], SessionStore],
        model: str,
        *,
        name: str | None = None,
        partial_every_s: float = PARTIAL_EVERY_S,
    ) -> None:
        self._open_store = open_store
        self.model = model
        self._name = name
        self._partial_every_s = partial_every_s
        self._store: SessionStore | None = None
        self._session: int | None = None
        self._system: str | None = None
        self._adopted: int | None = None
        self._way: list[_Kept] = []
        self._pending: _Pending | None = None
        self._news: list[str | SessionError] = []
        self.error: SessionError | None = None

    # --- what the user hears

    @property
    def saved(self) -> bool:
        """Whether everything that was shown is stored."""
        return self.error is None

    @property
    def session(self) -> int | None:
        """The number of the stored conversation; None before its first turn is stored."""
        return self._session

    def news(self) -> list[str | SessionError]:
        """What happened since the last call: an error where saving began to fail, a sentence where it goes on."""
        news, self._news = self._news, []
        return news

    # --- which conversation

    def open(self) -> None:
        """Look at the file now, so that what is wrong with it is known before the first message."""
        self._try(lambda: None)

    def resume(self, resumed: Resumed) -> None:
        """Go on with a stored conversation."""
        self._session = resumed.session.id
        self._name = resumed.session.name
        self._system = resumed.system
        self._pending = None
        self._way = [_Kept(turn.id, turn.user, turn.reply) for turn in resumed.turns]
        # A turn that was cut off by a kill is no head yet: it becomes one when the conversation goes on after it.
        cut = resumed.unfinished
        self._adopted = cut.id if cut is not None and cut.reply else None

    def cleared(self) -> None:
        """The next message begins a new stored conversation; one with a name goes on under it, on another branch."""
        self._way = []
        self._pending = None
        if self._name is None:
            self._session = None

    def find(self, key: str) -> Resumed | None:
        """The stored conversation with this name or number. Raises SessionError where the file cannot be read."""
        store = self._reading()
        found = store.find(key)
        return store.resume(found) if found is not None else None

    def listing(self, limit: int = -1) -> list[SessionInfo]:
        """Stored conversations, the one used last first. Raises SessionError where the file cannot be read."""
        return self._reading().sessions(limit)

    def _reading(self) -> SessionStore:
        if self._store is None or self._store.replaced:
            self._store = self._open_store()
        return self._store

    # --- the conversation as it goes on

    def began(self, before: Sequence[Pair], system: str | None, user: str) -> None:
        """A message was sent after the turns `before`."""
        row = 0

        def write(store: SessionStore, now: float) -> None:
            nonlocal row
            known = self._session
            session = self._ensure(store, before[0][0] if before else user, now)
            if self._adopted is not None and session == known:
                store.set_head(session, self._adopted, self.model, now)
            self._sync(store, session, before, system, None, now)
            parent = self._way[-1].id if self._way else None
            row = store.add(session, parent, None if before else system, user, "", now)

        # Not synced to the disk: the reply must not wait, and its end will be.
        written = self._write(write, durable=False)
        self._adopted = None if written else self._adopted
        self._pending = _Pending(user, row if written else 0, self._store, written_at=time.monotonic())

    def grew(self, text: str) -> None:
        """More of the reply was shown. Written down at intervals, and only where that costs no waiting."""
        pending = self._pending
        if pending is None:
            return
        pending.text += text
        if time.monotonic() - pending.written_at >= self._partial_every_s:
            self._write_partial(pending)

    def stopped(self) -> None:
        """The reply ends without a ReplyEnd: an error, or its reader left. What was shown of it stays, as partial."""
        pending, self._pending = self._pending, None
        if pending is not None and pending.id and pending.text != pending.stored:
            self._write_partial(pending)
        elif pending is not None and pending.id and not pending.text:
            self._write(lambda store, _now: self._drop(store, pending))

    def changed(self, turns: Sequence[Pair], system: str | None, end: ReplyEnd | None = None) -> None:
        """The conversation now is `turns`; `end` is how the reply of the newest one ended."""
        pending, self._pending = self._pending, None

        def write(store: SessionStore, now: float) -> None:
            before = self._session
            if before is None and not turns:
                return
            session = self._ensure(store, turns[0][0] if turns else "", now)
            if pending is not None and pending.id and pending.store is store and session == before:
                self._settle(store, pending, turns, end, now)
            if self._session is None:
                return
            self._sync(store, session, turns, system, end, now)
            store.set_head(session, self._way[-1].id if self._way else None, self.model, now)

        if self._write(write):
            self._adopted = None

    # --- the way from a conversation to rows

    def _ensure(self, store: SessionStore, title: str, now: float) -> int:
        """The number of the stored conversation; a new one where there is none, or another program deleted it."""
        if self._session is None or not store.exists(self._session):
            self._session = store.create(self._name, title_of(title), self.model, now)
            self._way = []
        return self._session

    def _settle(
        self, store: SessionStore, pending: _Pending, turns: Sequence[Pair], end: ReplyEnd | None, now: float
    ) -> None:
        """Turn the row of the growing reply into the newest turn; drop it where nothing was shown."""
        if end is not None and turns and turns[-1][0] == pending.user and _equal(self._way, turns[:-1]):
            store.finish(pending.id, turns[-1][1], *_ending(end), now)
            self._way = [*self._way, _Kept(pending.id, *turns[-1])]
        elif not pending.text:
            self._drop(store, pending)

    def _drop(self, store: SessionStore, pending: _Pending) -> None:
        if store is pending.store and self._session is not None and store.drop(self._session, pending.id):
            self._session, self._way = None, []

    def _sync(
        self,
        store: SessionStore,
        session: int,
        turns: Sequence[Pair],
        system: str | None,
        end: ReplyEnd | None,
        now: float,
    ) -> None:
        """Make `turns` the current branch: turns that are stored are found, others added."""
        if system != self._system:
            # What was answered under another system prompt is another conversation.
            self._system, self._way = system, []
        common = 0
        while common < min(len(self._way), len(turns)) and _same(self._way[common], turns[common]):
            common += 1
        way = self._way[:common]
        for index, (user, reply) in enumerate(turns[common:], start=common):
            parent = way[-1].id if way else None
            opening = None if way else system
            turn = store.child(session, parent, opening, user, reply)
            if turn is None:
                turn = store.add(session, parent, opening, user, reply, now)
                store.finish(turn, reply, *_ending(end if index == len(turns) - 1 else None), now)
            way.append(_Kept(turn, user, reply))
        self._way = way

    # --- writing

    def _write(self, write: Callable[[SessionStore, float], None], *, durable: bool = True) -> bool:
        """Do `write` in one transaction and say whether it worked. Where it fails nothing is written."""

        def attempt() -> None:
            store = self._store
            if store is None:
                raise AssertionError("_try opens the store")
            before = self._session, self._system, self._way
            try:
                with store.transaction(durable=durable):
                    write(store, time.time())
            except BaseException:
                self._session, self._system, self._way = before
                raise

        return self._try(attempt)

    def _try(self, action: Callable[[], None]) -> bool:
        try:
            if self._store is not None and self._store.replaced:
                self._store.close()
                self._store, self._session, self._way = None, None, []
            if self._store is None:
                self._store = self._open_store()
            if not self._store.writable:
                raise SessionError(
                    f"{self._store.path} cannot be written (its folder is read-only)",
                    "make its folder writable, or set XDG_DATA_HOME to one that is",
                )
            self._store.wait_at_most(PATIENCE_S if self.error is None else IMPATIENCE_S)
            action()
        except SessionError as error:
            if self.error is None:
                self._news.append(
                    SessionError(f"this chat is not saved: {error.message}; it goes on unsaved", *error.remedies)
                )
            self.error = error
            return False
        if self.error is not None:
            self.error = None
            self._news.append("this chat is saved again, with all its turns")
        return True

    def _write_partial(self, pending: _Pending) -> None:
        """Best effort: a file that is busy or full now is an error when the turn is complete."""
        pending.written_at = time.monotonic()
        store = pending.store
        if store is None or not pending.id:
            return
        with contextlib.suppress(SessionError):
            store.wait_at_most(0)
            with store.transaction(durable=False):
                store.write_partial(pending.id, pending.text, time.time())
            pending.stored = pending.text

    def close(self) -> None:
        self.stopped()
        if self._store is not None:
            self._store.close()
            self._store = None


def _same(kept: _Kept, pair: Pair) -> bool:
    return kept.user == pair[0] and kept.reply == pair[1]


def _equal(way: Sequence[_Kept], turns: Sequence[Pair]) -> bool:
    return len(way) == len(turns) and all(map(_same, way, turns))


def _ending(end: ReplyEnd | None) -> tuple[TurnState, str | None, dict[str, Any]]:
    """(state, finish reason, statistics) of a turn whose reply is whole."""
    if end is None:
        return "complete", None, {}
    state: TurnState = "interrupted" if end.finish_reason == "interrupted" else "complete"
    return state, end.finish_reason, end.stats.as_json()
