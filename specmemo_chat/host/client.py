"""The terminal's view of one conversation: the turns that were shown, and a worker that is started when needed.

The worker owns tokens and KV arena; the client mirrors the text, so that a worker that dies costs an error message
and not the chat: the next request starts a new worker and restores the turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from specmemo_chat.catalog.coverage import check_length
from specmemo_chat.chat.task import Task
from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import Done, Event, Ready, ReplyEnd, Text
from specmemo_chat.host import requests
from specmemo_chat.host.answers import Comparison, Inspection
from specmemo_chat.host.executor import Executor
from specmemo_chat.host.requests import Load, Request
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings


@dataclass
class ShownTurn:
    """A user message and the reply that was shown for it."""

    user: str
    reply: str


def shown(end: ReplyEnd) -> bool:
    """The reply belongs to the conversation: not so where it was stopped before anything of it was shown."""
    return bool(end.text) or end.finish_reason != "interrupted"


class Keeper(Protocol):
    """Is told what the conversation becomes, so that it can be kept (sessions.Recorder). Turns are pairs of a user
    message and its reply. Raises nothing: what cannot be kept must not cost the chat."""

    def began(self, before: Sequence[tuple[str, str]], system: str | None, user: str) -> None:
        """`user` was sent after the turns `before`."""

    def grew(self, text: str) -> None:
        """More of the reply."""

    def stopped(self) -> None:
        """The reply is over. Without a `changed` before: by an error, or because nobody reads it any more."""

    def cleared(self) -> None:
        """The next message begins another conversation."""

    def changed(self, turns: Sequence[tuple[str, str]], system: str | None, end: ReplyEnd | None = None) -> None:
        """The conversation now is `turns`; `end` ended the newest reply."""


class ChatClient:
    """Not thread-safe, except `interrupt`. `keeper` hears of every change of the turns before the caller does."""

    def __init__(self, start: Callable[[], Executor], load: Load, keeper: Keeper | None = None) -> None:
        self._start = start
        self._load = load
        self.keeper = keeper
        self._executor: Executor | None = None
        # The worker's conversation may differ from the one that was shown: a reply was given up half-way.
        self._differs = False
        # What was asked for last is to be stopped; set also before it is on its way to the worker.
        self._unwanted = threading.Event()
        self.ready: Ready | None = None
        self.system = load.system
        self.turns: list[ShownTurn] = []

    def reasoning_open(self) -> bool:
        """Whether every reply of the loaded model begins inside a reasoning block."""
        return self.ready is not None and self.ready.reasoning_open

    def load(self) -> Iterator[Event]:
        """Start a worker and load the model; yields its progress and Ready. Does nothing where one is running."""
        if self._executor is not None and self._executor.alive:
            return
        if self._executor is not None:
            self._executor.close()
        executor = self._executor = self._start()
        loaded = False
        try:
            for event in executor.request(replace(self._load, system=self.system)):
                if isinstance(event, Ready):
                    self.ready, loaded = event, True
                    self._differs = bool(self.turns)
                yield event
        finally:
            # A worker that could not load is of no use; the next request starts another.
            if not loaded:
                executor.close()
                if self._executor is executor:
                    self._executor = None

    def switch(self, load: Load) -> None:
        """End the worker; the next request starts one for `load`, which gets the conversation's text."""
        self.close()
        self._load = load
        self.ready = None

    def say(self, text: str, settings: GenerationSettings) -> Iterator[Event]:
        """Send a message; the events of its reply. `interrupt` stops it from this call on."""
        return self._wanted(self._say(text, settings))

    def _say(self, text: str, settings: GenerationSettings) -> Iterator[Event]:
        self.check_length(text)
        before = list(self.turns)
        for event in self._reply(requests.Say(text, settings), before, text):
            if isinstance(event, ReplyEnd):
                if shown(event):
                    self.turns = [*before, ShownTurn(text, event.text)]
                self._keep(event)
            yield event

    def regenerate(self, settings: GenerationSettings) -> Iterator[Event]:
        """Answer the last message again."""
        return self._wanted(self._replace(requests.Regenerate(settings)))

    def answer_all(self, tasks: Sequence[Task], settings: GenerationSettings) -> Iterator[Event]:
        """Answer many conversations beside each other (requests.AnswerAll); the client's own is not touched."""
        return self._wanted(self._request(requests.AnswerAll(tuple(tasks), settings)))

    @property
    def plan(self) -> Plan:
        """What the worker runs, or will run."""
        return self._load.plan

    def resume(self, settings: GenerationSettings) -> Iterator[Event]:
        """Go on with the last reply; its end has the whole text."""
        return self._wanted(self._replace(requests.Resume(settings)))

    def _replace(self, request: Request) -> Iterator[Event]:
        """The events of a reply that takes the place of the last one."""
        if not self.turns:
            raise UsageError("there is no turn yet", "send a message first")
        before, last = self.turns[:-1], self.turns[-1]
        already = last.reply if isinstance(request, requests.Resume) else ""
        for event in self._reply(request, before, last.user, already):
            if isinstance(event, ReplyEnd):
                if shown(event):
                    self.turns = [*before, ShownTurn(last.user, event.text)]
                self._keep(event)
            yield event

    def _reply(self, request: Request, before: list[ShownTurn], user: str, already: str = "") -> Iterator[Event]:
        """The events of the reply to `user` after the turns `before`; `already`: what of it was shown earlier."""
        if self.keeper is not None:
            self.keeper.began(_pairs(before), self.system, user)
            self.keeper.grew(already)
        try:
            for event in self._request(request):
                # Until its end is here: a worker that dies or a second Ctrl-C leaves a reply that only one side knows.
                self._differs = not isinstance(event, ReplyEnd)
                if self.keeper is not None and isinstance(event, Text):
                    self.keeper.grew(event.text)
                yield event
        finally:
            if self.keeper is not None:
                self.keeper.stopped()

    def _keep(self, end: ReplyEnd | None = None) -> None:
        if self.keeper is not None:
            self.keeper.changed(_pairs(self.turns), self.system, end)

    def compare(self, settings: GenerationSettings) -> Comparison:
        """The last message answered with and without speculation."""
        return Comparison.from_json(self._tell(requests.Compare(settings)))

    def inspect(self, settings: GenerationSettings | None = None) -> Inspection:
        """Context, memory and speculation; `settings` are those of the next message."""
        return Inspection.from_json(self._tell(requests.Inspect(settings or GenerationSettings())))

    def check_length(self, text: str, what: str = "the prompt") -> None:
        """Raise UsageError where `text` is longer than the context, whatever its tokens are: it is not even sent."""
        check_length(text, what, Path(self.plan.target), self.plan.context_tokens)

    def count(self, text: str, what: str = "the text") -> int:
        """Tokens of `text`. Raises UsageError, which calls it `what`, where it is far too long for the context."""
        self.check_length(text, what)
        return int(self._tell(requests.Count(text))["tokens"])

    def undo(self, turns: int = 1) -> list[ShownTurn]:
        """Forget the last `turns` turns and return them. Raises UsageError where there are fewer."""
        if not 0 < turns <= len(self.turns):
            raise UsageError("there is no turn to undo", "send a message first")
        left, taken = self.turns[:-turns], self.turns[-turns:]
        try:
            known = self._tell(requests.Undo(turns))["turns"]
        except UsageError:
            known = 0  # the worker dropped these turns when its context was full
        self.turns = left
        self._differs = self._differs or (known == 0 and bool(left))
        self._keep()
        return taken

    def restore(self, turns: list[ShownTurn], system: str | None) -> None:
        """Replace the conversation; [] clears it."""
        self.turns = turns
        self.system = system
        self._differs = True
        if turns:
            self._keep()
        elif self.keeper is not None:
            self.keeper.cleared()

    def messages(self) -> list[dict[str, str]]:
        """The shown turns as role/content pairs, without the system prompt."""
        pairs = []
        for turn in self.turns:
            pairs.append({"role": "user", "content": turn.user})
            pairs.append({"role": "assistant", "content": turn.reply})
        return pairs

    def interrupt(self) -> None:
        """Stop the reply that was asked for last. May be called from any thread."""
        self._unwanted.set()
        if self._executor is not None:
            self._executor.interrupt()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _request(self, request: Request) -> Iterator[Event]:
        yield from self.load()
        if self._executor is None:
            raise WorkerError("the worker has been closed")
        if self._differs:
            for _ in self._executor.request(requests.Restore(self.messages(), self.system)):
                self._differs = False
        yield from self._executor.request(request, self._unwanted.is_set)

    def _wanted(self, answer: Iterator[Event]) -> Iterator[Event]:
        self._unwanted.clear()
        return answer

    def _tell(self, request: Request) -> dict[str, Any]:
        for event in self._wanted(self._request(request)):
            if isinstance(event, Done):
                return event.values
        raise WorkerError(f"the worker gave no answer to {type(request).__name__}")


def _pairs(turns: list[ShownTurn]) -> list[tuple[str, str]]:
    return [(turn.user, turn.reply) for turn in turns]
