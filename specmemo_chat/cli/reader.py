"""Reads messages at the prompt: history, completion, several lines, pasting that never sends by itself."""

from __future__ import annotations

import contextlib
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth

from specmemo_chat.cli.commands import ALIASES, COMMANDS
from specmemo_chat.cli.line_history import SharedHistory

BLOCK = '"""'
TWICE_S = 2.0


class SlashCompleter(Completer):
    """Completes the names of slash commands and their first argument."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, space, argument = text[1:].partition(" ")
        if not space:
            for entry in COMMANDS.values():
                if entry.name.startswith(name):
                    yield Completion(entry.name, start_position=-len(name), display_meta=entry.help)
            return
        entry_for_values = COMMANDS.get(ALIASES.get(name, name))
        if entry_for_values is not None and " " not in argument:
            for value in entry_for_values.values():
                if value.startswith(argument):
                    yield Completion(value, start_position=-len(argument))


def block_open(text: str) -> bool:
    """Whether `text` opened a block with three quotes that is not closed yet."""
    return text.startswith(BLOCK) and not text[len(BLOCK) :].rstrip().endswith(BLOCK)


def message_of(text: str) -> str:
    """The message without the quotes of a block."""
    if text.startswith(BLOCK) and len(text) >= 2 * len(BLOCK):
        return text[len(BLOCK) :].rstrip().removesuffix(BLOCK).strip("\n")
    return text


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer: Buffer = event.current_buffer
        if block_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


@contextlib.contextmanager
def typing_ahead() -> Iterator[None]:
    """Between two prompts keys are kept as typed, unseen, for the next one; only Ctrl-C acts at once.

    The terminal's own line mode would show them in the middle of a reply, turn Enter into Ctrl-J and swallow Ctrl-D.
    """
    if not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    kept = [*before]
    kept[0] &= ~termios.ICRNL
    kept[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, kept)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class TerminalReader:
    """A prompt-toolkit session. Ctrl-C clears the line; twice within two seconds on an empty line leaves.

    `note` is told, once, that the history cannot be written.
    """

    def __init__(
        self, history: Path | None, footer: Callable[[], str], note: Callable[[str], None], *, color: bool
    ) -> None:
        self._shared = SharedHistory(history) if history is not None else None
        self._note = note
        kept: History = self._shared or InMemoryHistory()
        self._session: PromptSession[str] = PromptSession(
            history=kept,
            completer=SlashCompleter(),
            complete_while_typing=True,
            multiline=True,
            key_bindings=_bindings(),
            bottom_toolbar=footer,
            enable_history_search=True,
            refresh_interval=0.5,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            prompt_continuation="… ",
        )
        self._interrupted_at = -TWICE_S

    def read(self) -> str:
        """The next message. Raises EOFError at Ctrl-D, KeyboardInterrupt for Ctrl-C twice."""
        while True:
            try:
                message = message_of(self._session.prompt("> "))
                self._tell_problem()
                return message
            except KeyboardInterrupt:
                line = self._session.default_buffer.text
                now = time.monotonic()
                if not line and now - self._interrupted_at < TWICE_S:
                    raise
                self._interrupted_at = now

    def _tell_problem(self) -> None:
        if self._shared is not None and self._shared.problem is not None:
            self._note(self._shared.problem)
            self._shared = None


def private_file(folder: Path, name: str) -> Path | None:
    """`folder/name`, made with mode 0600; None where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.touch(mode=0o600, exist_ok=True)
        path.chmod(0o600)
    except OSError:
        return None
    return path
