"""The REPL: reads a message, shows the reply, carries out slash commands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from specmemo_chat.cli import commands
from specmemo_chat.cli.console import Screen
from specmemo_chat.cli.stream import ReplyView
from specmemo_chat.cli.text import safe
from specmemo_chat.errors import SpecmemoError
from specmemo_chat.events import Event, Progress, ReplyEnd
from specmemo_chat.host.client import ChatClient
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import format_size


class LineReader(Protocol):
    """Where messages come from. Raises EOFError at the end and KeyboardInterrupt for Ctrl-C on an empty line twice."""

    def read(self) -> str: ...


class Loader:
    """Loads the model behind the prompt: typing starts at once, the first message waits for what is missing."""

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._error: BaseException | None = None
        self.stage = "starting"
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._client.load():
                if isinstance(event, Progress):
                    self.stage = "loading the model"
        except (SpecmemoError, OSError) as error:
            self._error = error
        self.stage = ""

    def wait(self) -> None:
        """Return when the model is loaded. Raises what loading raised, once."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.1)  # in slices, so that Ctrl-C is seen
        error, self._error = self._error, None
        if error is not None:
            raise error


class Repl:
    """One conversation in a terminal."""

    def __init__(self, client: ChatClient, plan: Plan, settings: GenerationSettings, screen: Screen) -> None:
        self.client = client
        self.plan = plan
        self.settings = settings
        self.show_accepted = False
        self.last_end: ReplyEnd | None = None
        self._screen = screen
        self._loader = Loader(client)

    def run(self, reader: LineReader) -> None:
        """Until /bye, Ctrl-D or Ctrl-C twice. An error costs a message, never the chat."""
        for line in self.describe():
            self._screen.note(line)
        self._screen.note("/help lists the commands, Ctrl-D leaves")
        while True:
            try:
                message = reader.read()
            except (EOFError, KeyboardInterrupt):
                return
            if not message.strip():
                continue
            try:
                self._loader.wait()
                if message.startswith("/"):
                    commands.run(self, message)
                else:
                    self.show_reply(self.client.say(message, self.settings))
            except commands.Leave:
                return
            except KeyboardInterrupt:
                self._screen.note("interrupted")
            except SpecmemoError as error:
                self._screen.error(error)

    def say(self, text: str) -> None:
        """A line that answers a command."""
        self._screen.out.print(safe(text), markup=False)

    def show_reply(self, events: Iterator[Event]) -> None:
        view = ReplyView(self._screen, show_accepted=self.show_accepted)
        self.last_end = view.run(events, self.client.interrupt)
        if self.last_end.finish_reason == "interrupted":
            self._screen.note("interrupted; what was shown is kept")
        elif self.last_end.finish_reason == "length":
            self._screen.note("the reply reached its length limit")

    def describe(self) -> list[str]:
        """What was chosen, in two lines."""
        plan = self.plan
        return [
            f"{plan.model} on {plan.device} ({plan.dtype}), {plan.context_tokens} tokens of context, "
            f"draft: {' + '.join(plan.drafters) or 'none'}",
            f"planned {format_size(plan.total_bytes)} of a cap of {format_size(plan.cap_bytes)}",
        ]

    def footer(self) -> str:
        """One line under the prompt: memory, context, speed."""
        if self._loader.stage:
            return f" {self._loader.stage} … type ahead: the message is answered when it is ready"
        plan, end = self.plan, self.last_end
        parts = [f"plan {format_size(plan.total_bytes)} / {format_size(plan.cap_bytes)}"]
        if end is not None:
            stats = end.stats
            used = stats.prompt_tokens + stats.new_tokens
            parts.append(f"memory {format_size(stats.peak_bytes)}")
            parts.append(f"context {used} / {plan.context_tokens}")
            parts.append(f"{stats.tokens_per_second:.0f} tokens/s")
            parts.append(f"acceptance {stats.mean_acceptance_length:.1f} ({stats.drafter})")
        return " " + " · ".join(parts)
