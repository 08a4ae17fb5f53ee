"""What slash commands may ask of the chat that they are typed into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from rich.text import Text

from specmemo_chat.events import Event, ReplyEnd
from specmemo_chat.host.answers import Inspection
from specmemo_chat.host.client import ChatClient
from specmemo_chat.memory.contract import Plan
from specmemo_chat.repl.attachments import Attachment
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.flags import SamplingChoice
from specmemo_chat.setup.origins import ChatOrigins
from specmemo_chat.setup.prepare import Prepared
from specmemo_chat.terminal.console import Screen


class Desk(Protocol):
    """One chat in a terminal. `attached` goes along with the next message; `chosen` are the names that /set changed;
    `last_end` ended the newest reply."""

    client: ChatClient
    prepared: Prepared
    settings: GenerationSettings
    screen: Screen
    origins: ChatOrigins
    show_accepted: bool
    last_end: ReplyEnd | None
    attached: list[Attachment]
    chosen: set[str]

    @property
    def plan(self) -> Plan: ...

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        ...

    def say(self, text: str | Text) -> None:
        """A line that answers a command; a longer one is broken between words and goes on further in."""
        ...

    def note(self, text: str) -> None:
        """A sentence about what happened."""
        ...

    def reply(self, events: Iterator[Event], before: str = "") -> ReplyEnd:
        """Show a reply, and say how it ended where that needs saying. `before`: the text that it continues."""
        ...

    def report(self) -> Inspection:
        """What the worker says of context, memory and speculation; the footer shows the same context."""
        ...

    def answer_instead(self, at: int, text: str) -> None:
        """Answer `text` in the place of turn `at` (from 0); where nothing was shown everything is as before."""
        ...

    def show_last(self) -> None:
        """The last exchange of the conversation in short."""
        ...

    def edit_next(self, at: int) -> None:
        """Put the message of turn `at` (from 0) at the next prompt, to be changed and answered in its place."""
        ...

    def type_next(self, text: str) -> None:
        """Put `text` at the next prompt."""
        ...

    def busy(self, what: str) -> AbstractContextManager[object]:
        """While inside, the terminal shows that something is going on."""
        ...

    def ask(self, question: str) -> bool:
        """Whether the answer is yes; False where nobody can be asked."""
        ...

    def plain_terminal(self) -> AbstractContextManager[None]:
        """While inside, the terminal is as other programs expect it."""
        ...

    def sampling(self) -> SamplingChoice:
        """The settings as flags, for another model: its own temperature counts where the user chose none."""
        ...

    def move_to(self, prepared: Prepared) -> None:
        """Load what was prepared, in the place of the running model; that comes back where loading fails."""
        ...

    def describe(self) -> list[str]:
        """What was chosen, in two lines."""
        ...
