"""The REPL: reads a message, shows the reply, carries out slash commands."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from rich.text import Text

from specmemo_chat.errors import SpecmemoError, UsageError
from specmemo_chat.events import Event, ReplyEnd
from specmemo_chat.host.answers import Inspection
from specmemo_chat.host.client import ChatClient, shown
from specmemo_chat.memory.contract import Plan
from specmemo_chat.repl import commands, footer, past
from specmemo_chat.repl.attachments import Attachment, compose, naming
from specmemo_chat.repl.banner import banner
from specmemo_chat.repl.commands.registry import Suggestion
from specmemo_chat.repl.desk import Desk
from specmemo_chat.repl.loader import Loader
from specmemo_chat.repl.remedies import in_repl
from specmemo_chat.repl.typed import Message
from specmemo_chat.setup.flags import SamplingChoice
from specmemo_chat.setup.origins import ChatOrigins
from specmemo_chat.setup.prepare import Prepared
from specmemo_chat.sizes import format_size
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.crash import explained
from specmemo_chat.terminal.layout import wrapped
from specmemo_chat.terminal.stream import ReplyView
from specmemo_chat.texts import check_unicode


class LineReader(Protocol):
    """Where messages come from."""

    def read(self, label: str = "> ", text: str = "") -> str:
        """The next message, a `typed.Message` where it is no command whatever it begins with; `text` stands at the
        prompt already, and Ctrl-C there gives "" back.

        Raises EOFError at the end and KeyboardInterrupt for Ctrl-C twice.
        """
        ...

    def ask(self, question: str) -> bool:
        """Whether the answer is yes."""
        ...

    def announce(self, show: Callable[[], None]) -> None:
        """Call `show`, which prints; above the prompt, if that is open. From any thread."""
        ...

    def refresh(self) -> None:
        """The footer has changed. From any thread."""
        ...

    def plain_terminal(self) -> AbstractContextManager[None]:
        """While inside, the terminal is as other programs expect it."""
        ...


class Repl(Desk):
    """The chat behind the desk. `before_prompt` is called before every prompt, for what is to be told there."""

    def __init__(self, client: ChatClient, prepared: Prepared, screen: Screen) -> None:
        self.client = client
        self.prepared = prepared
        self.settings = replace(prepared.settings, stop_loops=True)
        self.screen = screen
        self.origins = ChatOrigins({}, prepared.choice)
        self.before_prompt: Callable[[], None] = lambda: None
        self.show_accepted = False
        self.last_end: ReplyEnd | None = None
        # Of the context, by the worker's count; None where it has not counted yet.
        self._used_tokens: int | None = None if client.turns else 0
        self.attached: list[Attachment] = []
        self.chosen: set[str] = set()
        self._reader: LineReader | None = None
        self._editing: int | None = None
        self._typed = ""
        # A line with a slash that names no command; Enter alone sends it.
        self._refused = ""
        self._awaited = False
        self._untold: SpecmemoError | None = None
        self._loader = Loader(client, self._load_changed)

    @property
    def plan(self) -> Plan:
        return self.prepared.plan

    @property
    def width(self) -> int:
        return self.screen.out.width

    def run(self, reader: LineReader) -> None:
        """Until /bye, Ctrl-D or Ctrl-C twice. An error costs a message, never the chat."""
        before, self.screen.remedy_of = self.screen.remedy_of, self._remedy
        try:
            self._run(reader)
        finally:
            self.screen.remedy_of = before

    def _run(self, reader: LineReader) -> None:
        self._reader = reader
        if not self.screen.quiet:
            for line in banner(self.prepared, self.width):
                self.screen.err.print(line)
            self.show_last()
        while True:
            label = "> " if self._editing is None else f"edit {self._editing + 1}> "
            typed, self._typed = self._typed, ""
            self._tell()
            self.before_prompt()
            try:
                message = reader.read(label, typed)
            except (EOFError, KeyboardInterrupt):
                return
            try:
                check_unicode(message, "what was typed")
                self._carry_out(message)
            except commands.Leave:
                return
            except KeyboardInterrupt:
                self.note("interrupted")
            except Exception as error:  # noqa: BLE001 - told in one line; the chat goes on
                self.screen.error(explained(error))

    def _remedy(self, error: SpecmemoError) -> str | None:
        return in_repl(error.remedies, shlex.quote(self.prepared.choice.model))

    def _carry_out(self, message: str) -> None:
        at, self._editing = self._editing, None
        refused, self._refused = self._refused, ""
        if not message.strip():
            if at is not None:
                self.note("not edited")
            elif refused:
                self._send(refused)
        elif at is not None:
            self.answer_instead(at, message)
        elif message.startswith("/") and not isinstance(message, Message):
            try:
                known, argument = commands.find(message)
            except commands.UnknownCommandError:
                self._refused = message
                raise
            if known.needs_model:
                self.ready()
            before = list(self.client.turns), self.client.system, self.last_end
            known.action(self, argument)
            # A reply counts for itself.
            if (list(self.client.turns), self.client.system) != before[:2] and self.last_end is before[2]:
                self._count_context()
        else:
            self._send(message)

    def _send(self, message: str) -> None:
        """The message with what goes along; that is kept where the message could not be answered."""
        attached = list(self.attached)
        try:
            end = self.reply(self.client.say(compose(message, attached), self.settings))
        except KeyboardInterrupt:
            if not self._loader.done:
                self.note("not sent: the model still loads (Up brings the message back)")
                return
            raise
        except UsageError as error:
            raise naming(error, attached) if attached else error from None
        if shown(end):
            self.attached.clear()

    def _count_context(self) -> None:
        """After a command that changed the conversation."""
        if not self.client.turns:
            self._used_tokens = 0
        elif self.client.ready is not None:
            self.report()

    # --- what commands need

    def say(self, text: str | Text) -> None:
        for line in wrapped(text, self.width) if isinstance(text, str) else [text]:
            self.screen.out.print(line, markup=False)

    def note(self, text: str) -> None:
        self.screen.note(text)

    def reply(self, events: Iterator[Event], before: str = "") -> ReplyEnd:
        """Desk.reply, after what is left of loading."""
        reasoning_open = self.client.reasoning_open
        view = ReplyView(self.screen, show_accepted=self.show_accepted, reasoning_open=reasoning_open, before=before)
        self.last_end = end = view.run(self._when_loaded(events), self._interrupt)
        if shown(end):
            self._used_tokens = end.used_tokens
        if end.finish_reason == "interrupted":
            kept = "what was shown is kept; /continue goes on" if end.text else "nothing was shown, nothing is kept"
            self.note(f"interrupted; {kept}")
        elif end.finish_reason == "length":
            self.note("the reply reached its length limit; /continue goes on")
        elif end.finish_reason == "loop":
            penalty = self.settings.repeat_penalty + 0.1
            self.note(
                f"the reply repeated itself and was stopped: /set repeat_penalty {penalty:.2g} helps against it, "
                "/continue goes on all the same (/set stop_loops off never stops)"
            )
        self.say("")
        return end

    def report(self) -> Inspection:
        report = self.client.inspect(self.settings)
        self._used_tokens = report.context.used_tokens
        return report

    def answer_instead(self, at: int, text: str) -> None:
        self.ready()
        before, system = list(self.client.turns), self.client.system
        if at >= len(before):
            raise UsageError(f"there is no turn {at + 1} any more", "/context lists the turns")
        answered = False
        self.client.undo(len(before) - at)
        try:
            answered = shown(self.reply(self.client.say(text, self.settings)))
        finally:
            if not answered:
                self.client.restore(before, system)

    def show_last(self) -> None:
        past.show_last(self.screen, self.client.turns, reasoning_open=self.client.reasoning_open())

    def edit_next(self, at: int) -> None:
        self._editing = at
        self.type_next(self.client.turns[at].user)

    def type_next(self, text: str) -> None:
        self._typed = text

    def ready(self) -> None:
        """Wait for the model. Raises what loading raised."""
        waiting = self._loading()
        with self.busy(f"loading {self.plan.model}") if not self._loader.done else contextlib.nullcontext():
            for _ in waiting:
                continue

    def busy(self, what: str) -> AbstractContextManager[object]:
        if self.screen.quiet or not self.screen.err.is_terminal:
            return contextlib.nullcontext()
        return self.screen.err.status(Text(what), spinner="line")

    def ask(self, question: str) -> bool:
        return self._reader is not None and self._reader.ask(question)

    def plain_terminal(self) -> AbstractContextManager[None]:
        return self._reader.plain_terminal() if self._reader is not None else contextlib.nullcontext()

    def sampling(self) -> SamplingChoice:
        chosen = "temperature" in self.chosen or self.prepared.sampling.temperature is not None
        return SamplingChoice.of(vars(self.settings) | ({} if chosen else {"temperature": None}))

    def move_to(self, prepared: Prepared) -> None:
        before = self.prepared, self.settings
        self._use(prepared)
        own = self.settings
        self.settings = replace(prepared.settings, speculate=own.speculate, stop_loops=own.stop_loops, exact=own.exact)
        try:
            self.ready()
        except BaseException:
            self._loader.end()
            self._use(before[0])
            self.settings = before[1]
            raise
        for line in self.describe():
            self.note(line)

    def _use(self, prepared: Prepared) -> None:
        self.client.switch(prepared.load)
        self.prepared = prepared
        self.last_end = None
        self._used_tokens = None if self.client.turns else 0
        self._loader = Loader(self.client, self._load_changed)

    # --- loading

    def _loading(self) -> Iterator[Event]:
        """Progress until the model is there; a load that failed is tried again."""
        self._tell()
        if self._loader.failed:
            self._loader = Loader(self.client, self._load_changed)
        self._awaited = True
        try:
            yield from self._loader.wait()
        finally:
            self._awaited = False

    def _when_loaded(self, events: Iterator[Event]) -> Iterator[Event]:
        yield from self._loading()
        yield from events

    def _interrupt(self) -> None:
        if self._loader.done:
            self.client.interrupt()
        else:
            self._loader.give_up()

    def _load_changed(self, error: SpecmemoError | None) -> None:
        """Called from the loader's thread. An error that nobody waits for is shown above the prompt."""
        self._untold = None if self._awaited else error
        if error is None and self._used_tokens is None:
            # The client is this thread's still. The next request raises what fails here.
            with contextlib.suppress(SpecmemoError):
                self.report()
        if self._reader is not None:
            self._reader.announce(self._tell)
            self._reader.refresh()

    def _tell(self) -> None:
        error, self._untold = self._untold, None
        if error is not None:
            self.screen.error(error)

    # --- what is shown of it

    def describe(self) -> list[str]:
        plan = self.plan
        return [
            f"{plan.model} on {plan.device} ({plan.dtype}), {plan.context_tokens} tokens of context, "
            f"draft: {'+'.join(plan.drafters) or 'none'}",
            f"planned {format_size(plan.total_bytes)} of a cap of {format_size(plan.cap_bytes)}",
        ]

    def footer(self) -> str:
        """The line under the prompt."""
        if not self._loader.done:
            return footer.loading(self.plan, self._loader.progress, self._loader.seconds, self.width)
        stats = self.last_end.stats if self.last_end is not None else None
        attached = sum(attachment.tokens for attachment in self.attached)
        return footer.footer(self.plan, stats, self.width, attached, self._used_tokens)

    def suggestions(self, text: str) -> Iterable[Suggestion]:
        """Completions for the text before the cursor."""
        return commands.suggestions(self, text)
