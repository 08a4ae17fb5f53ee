"""The terminal's view of one conversation: the turns that were shown, and a worker that is started when needed.

The worker owns tokens and KV arena; the client mirrors the text, so that a worker that dies costs an error message
and not the chat: the next request starts a new worker and restores the turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from specmemo_chat.errors import WorkerError
from specmemo_chat.events import Done, Event, Ready, ReplyEnd
from specmemo_chat.host.executor import Executor
from specmemo_chat.host.requests import Compare, Inspect, Load, Regenerate, Request, Restore, Say, Undo
from specmemo_chat.settings import GenerationSettings


@dataclass
class ShownTurn:
    """A user message and the reply that was shown for it."""

    user: str
    reply: str


class ChatClient:
    """Not thread-safe, except `interrupt`."""

    def __init__(self, start: Callable[[], Executor], load: Load) -> None:
        self._start = start
        self._load = load
        self._executor: Executor | None = None
        self.ready: Ready | None = None
        self.system = load.system
        self.turns: list[ShownTurn] = []

    def load(self) -> Iterator[Event]:
        """Start a worker and load the model; yields its progress and Ready. Does nothing where one is running."""
        if self._executor is not None and self._executor.alive:
            return
        if self._executor is not None:
            self._executor.close()
        self._executor = self._start()
        for event in self._executor.request(replace(self._load, system=self.system)):
            if isinstance(event, Ready):
                self.ready = event
            yield event
        if self.turns:
            self._tell(Restore(self.messages(), self.system))

    def say(self, text: str, settings: GenerationSettings) -> Iterator[Event]:
        """Send a message; the events of its reply."""
        for event in self._request(Say(text, settings)):
            if isinstance(event, ReplyEnd) and (event.text or event.finish_reason != "interrupted"):
                self.turns.append(ShownTurn(text, event.text))
            yield event

    def regenerate(self, settings: GenerationSettings) -> Iterator[Event]:
        """Answer the last message again."""
        for event in self._request(Regenerate(settings)):
            if isinstance(event, ReplyEnd) and (event.text or event.finish_reason != "interrupted"):
                self.turns[-1].reply = event.text
            yield event

    def compare(self, settings: GenerationSettings) -> dict[str, Any]:
        """The last message answered with and without speculation: texts, statistics, identical."""
        return self._tell(Compare(settings))

    def inspect(self) -> dict[str, Any]:
        return self._tell(Inspect())

    def undo(self) -> ShownTurn:
        """Forget the last turn and return it. Raises UsageError where there is none."""
        self._tell(Undo())
        return self.turns.pop()

    def restore(self, turns: list[ShownTurn], system: str | None) -> None:
        """Replace the conversation; [] clears it."""
        self.turns = turns
        self.system = system
        if self._executor is not None and self._executor.alive:
            self._tell(Restore(self.messages(), system))

    def messages(self) -> list[dict[str, str]]:
        """The shown turns as role/content pairs, without the system prompt."""
        pairs = []
        for turn in self.turns:
            pairs.append({"role": "user", "content": turn.user})
            pairs.append({"role": "assistant", "content": turn.reply})
        return pairs

    def interrupt(self) -> None:
        """Stop the reply that is being made. May be called from any thread."""
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
        yield from self._executor.request(request)

    def _tell(self, request: Request) -> dict[str, Any]:
        for event in self._request(request):
            if isinstance(event, Done):
                return event.values
        raise WorkerError(f"the worker gave no answer to {type(request).__name__}")
