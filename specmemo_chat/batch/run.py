"""`specmemo batch`: answers every conversation of a JSONL file, many at once, resumable after any stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from specmemo_chat.batch.lines import Conversation, read_conversations
from specmemo_chat.batch.output import OutputFile
from specmemo_chat.conversations import BrokenLine
from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import Answered, BatchProgress, Done
from specmemo_chat.host.client import ChatClient
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import MIB, counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.reasoning import split_reasoning
from specmemo_chat.terminal.text import safe_line

# A conversation in flight when a worker dies may not be to blame: it is tried again, then alone. So often in all.
ATTEMPTS = 2
# Characters of the conversations that are sent together: the worker holds them all.
TOGETHER = 4 * MIB


@dataclass
class Totals:
    """The summary that `--json` prints (docs/reference.md)."""

    batch_size: int = 1
    world_size: int = 1
    conversations: int = 0
    failed: int = 0
    skipped: int = 0
    tokens: int = 0
    seconds: float = 0.0
    peak_bytes: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "conversations": self.conversations,
            "failed": self.failed,
            "skipped": self.skipped,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds, 3) if self.seconds else 0.0,
            "batch_size": self.batch_size,
            "world_size": self.world_size,
            "peak_bytes": self.peak_bytes,
        }


class Batch:
    """One run of the command: what is open is sent to the worker, what is answered is written."""

    def __init__(self, client: ChatClient, output: OutputFile, totals: Totals, screen: Screen) -> None:
        self._client = client
        self._output = output
        self._totals = totals
        self._screen = screen
        self._open: dict[int, Conversation] = {}
        self._attempts: dict[int, int] = {}
        self._all = 0
        self._flying: list[int] = []

    def run(self, source: Path, settings: GenerationSettings) -> None:
        """Answer what an earlier run has not; a line that fails gets an "error" and the rest still runs."""
        for line in read_conversations(source):
            self._all += 1
            entry = self._checked(line) if isinstance(line, Conversation) else line
            if entry.number in self._output.done:
                self._totals.skipped += 1
            elif isinstance(entry, BrokenLine):
                self._screen.note(f"input {safe_line(entry.error)}")
                self._write(entry, {"error": entry.error})
            else:
                self._open[entry.number] = entry
        if not self._open:
            return
        for _ in self._client.load():
            continue
        with _progress(self._screen) as show:
            while self._open:
                left = len(self._open)
                try:
                    self._ask(self._next(), settings, show)
                except WorkerError as error:
                    if not self._flying and len(self._open) == left:
                        raise  # it did not even begin
                    # Its remedy is for a reader who must act; here nothing is to be done.
                    self._screen.error(WorkerError(error.message))
                    self._blame(error)

    def _checked(self, entry: Conversation) -> Conversation | BrokenLine:
        """A conversation with a message that no context of this plan holds is not sent."""
        try:
            for text in entry.texts:
                self._client.check_length(text, "a message")
        except UsageError as error:
            return BrokenLine(entry.number, entry.key, f"line {entry.number}: {error.message}")
        return entry

    def _next(self) -> list[Conversation]:
        """Those that are sent now: new ones, as many as may go together, or the first that a worker died of."""
        chosen: list[Conversation] = []
        size = 0
        for number, entry in self._open.items():
            if number not in self._attempts:
                size += sum(map(len, entry.texts))
                if chosen and size > TOGETHER:
                    break
                chosen.append(entry)
        return chosen or [next(iter(self._open.values()))]

    def _ask(self, entries: list[Conversation], settings: GenerationSettings, show: Show) -> None:
        """Send `entries` to the worker and write what comes back."""
        self._flying = []
        system = self._client.system
        started, before = time.perf_counter(), self._totals.seconds
        for event in self._client.answer_all([entry.task(system) for entry in entries], settings):
            self._totals.seconds = before + time.perf_counter() - started
            if isinstance(event, Answered):
                self._answered(event)
                show.count(self._sentence())
            elif isinstance(event, BatchProgress):
                self._flying = event.running
                rate = event.tokens / (time.perf_counter() - started)
                show.rate(f"{self._sentence()}, {len(event.running)} in flight, {rate:.1f} tokens/s")
            elif isinstance(event, Done):
                self._totals.peak_bytes = event.values["peak_bytes"]

    def _sentence(self) -> str:
        done = self._totals.conversations + self._totals.skipped
        return f"{done} of {counted(self._all, 'conversation')}"

    def _answered(self, event: Answered) -> None:
        entry = self._open.pop(event.number)
        self._totals.tokens += sum(stats.new_tokens for stats in event.stats)
        if event.error:
            self._screen.note(f"input line {entry.number}: {safe_line(event.error)}")
            self._write(entry, {"error": event.error})
        else:
            opened = self._client.reasoning_open()
            replies = [split_reasoning(reply, opened=opened)[1] for reply in event.replies]
            self._write(entry, {"replies": replies, "stats": [stats.as_json() for stats in event.stats]})

    def _blame(self, error: WorkerError) -> None:
        """The worker died: who was in flight is tried again, but not for ever."""
        again = 0
        for number in self._flying:
            entry = self._open.get(number)
            if entry is None:
                continue
            self._attempts[number] = self._attempts.get(number, 0) + 1
            if self._attempts[number] >= ATTEMPTS:
                del self._open[number]
                self._screen.note(f"input line {number}: given up")
                self._write(entry, {"error": error.message})
            else:
                again += 1
        if again:
            self._screen.note(f"going on: {counted(again, 'conversation')} in flight will be tried again at the end")

    def _write(self, entry: Conversation | BrokenLine, values: dict[str, Any]) -> None:
        self._totals.conversations += 1
        self._totals.failed += "error" in values
        self._output.write({**entry.key, "input_line": entry.number, **values})


def run_batch(
    client: ChatClient,
    source: Path,
    target: Path,
    settings: GenerationSettings,
    screen: Screen,
    totals: Totals,
    *,
    in_order: bool,
) -> None:
    """Answer the conversations of `source` into `target` and count in `totals`.

    `in_order`: at the end the lines are put into the order of the input; until then, and after a stop, they stand as
    they ended.
    """
    totals.batch_size, totals.world_size = client.plan.rows, client.plan.tp
    output = OutputFile(target)
    try:
        Batch(client, output, totals, screen).run(source, settings)
        if in_order:
            output.sort()
    finally:
        output.close()


class Show(Protocol):
    """Tells how a batch goes on."""

    def count(self, sentence: str) -> None:
        """A conversation has ended."""

    def rate(self, sentence: str) -> None:
        """The batch went some steps."""


class _Lines:
    """To a file: a line for each conversation, with the latest rate."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._rest = ""

    def count(self, sentence: str) -> None:
        self._screen.note(sentence + self._rest)

    def rate(self, sentence: str) -> None:
        self._rest = sentence[sentence.index(",") :]


class _Live:
    """To a terminal: one line that changes."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def count(self, sentence: str) -> None:
        """The next rate says it too."""

    def rate(self, sentence: str) -> None:
        self._status.update(sentence)


@contextmanager
def _progress(screen: Screen) -> Iterator[Show]:
    if screen.quiet or not screen.err.is_terminal:
        yield _Lines(screen)
        return
    with screen.err.status("the conversations are on their way") as status:
        yield _Live(status)
