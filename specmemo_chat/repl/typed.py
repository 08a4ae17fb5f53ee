"""What was typed at the prompt and what was given: pasted, left by an editor, put there by a command. Only what is
typed has a meaning of its own: three quotes that open or close a block, a slash that begins a command."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from specmemo_chat.repl.commands.registry import ALIASES, COMMANDS

BLOCK = '"""'
# They mark no paste, so that it can only be told by its speed.
UNMARKED = ("dumb", "linux", "ansi", "vt", "cons", "sun", "unknown")
# Seconds in which the rest of an unmarked paste arrives.
REST_S = 0.02
_TYPED, _GIVEN = "t", "g"


class Message(str):
    """A message as it is, never a command, whatever it begins with."""


class Typed:
    """Follows a buffer: which of its characters were typed, and what its text means therefore."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        # Text and marks of the line that is typed (1) and of those of the history (2, …) that were looked at.
        self._lines: dict[int, tuple[str, str]] = {}
        self._giving = False
        buffer.on_text_changed += self._changed

    def begin(self, text: str) -> None:
        """A new prompt, at which `text` stands."""
        self._lines = {1: (text, _GIVEN * len(text))}

    @contextlib.contextmanager
    def given(self) -> Iterator[None]:
        """What comes into the buffer while inside is given."""
        self._giving = True
        try:
            yield
        finally:
            self._giving = False

    @property
    def block_open(self) -> bool:
        """A block was opened and not closed yet."""
        return self._opened and not self._closed

    def message(self) -> str:
        """What is sent: a Message where it cannot be a command."""
        text = self._buffer.text
        if self._opened and self._closed:
            return Message(text[len(BLOCK) :].rstrip().removesuffix(BLOCK).strip("\n"))
        if text.startswith("/") and not self._is_typed(0, 1) and not names_command(text):
            return Message(text)
        return text

    def kept(self) -> str:
        """The text as the history has it: typed so, it means the same."""
        message = self.message()
        if (isinstance(message, Message) or message.startswith(BLOCK)) and not self._opened:
            return f"{BLOCK}\n{message}\n{BLOCK}"
        return self._buffer.text

    @property
    def _opened(self) -> bool:
        return self._buffer.text.startswith(BLOCK) and self._is_typed(0, len(BLOCK))

    @property
    def _closed(self) -> bool:
        text = self._buffer.text.rstrip()
        closes = len(text) - len(BLOCK)
        return closes >= len(BLOCK) and text.endswith(BLOCK) and self._is_typed(closes, len(text))

    def _is_typed(self, start: int, end: int) -> bool:
        return self._marks()[start:end] == _TYPED * (end - start)

    def _marks(self) -> str:
        return self._lines.get(self._place(), ("", ""))[1]

    def _place(self) -> int:
        """The line of the history that is edited, counted from the newest: older ones are loaded meanwhile."""
        return len(self._buffer._working_lines) - self._buffer.working_index

    def _changed(self, _buffer: Buffer) -> None:
        old, marks = self._lines.get(self._place(), ("", ""))
        new = self._buffer.text
        start = _common(old, new)
        end = _common(old[start:][::-1], new[start:][::-1])
        changed = len(new) - start - end
        mark = _GIVEN if self._giving else _TYPED
        self._lines[self._place()] = (new, marks[:start] + mark * changed + marks[len(marks) - end :])


def _common(left: str, right: str) -> int:
    """The length of the longest beginning that both have."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def names_command(text: str) -> bool:
    """Whether the text is one line that begins with the name of a command, as an error's remedy does."""
    name = text[1:].split(maxsplit=1)[:1]
    return bool(name) and "\n" not in text.strip() and (name[0] in COMMANDS or name[0] in ALIASES)


def marks_pastes() -> bool:
    """Whether the terminal says what is pasted."""
    return not os.environ.get("TERM", "dumb").startswith(UNMARKED)


class Keyboard(Vt100Input):
    """The terminal's keys. Where pastes are not marked, lines that come at once, beyond the first one's end, are one;
    but not what was typed before the prompt was there."""

    def begin(self) -> None:
        """A new prompt."""
        self._ahead = self._waits(0.0)

    def read_keys(self) -> list[KeyPress]:
        keys = super().read_keys()
        ahead, self._ahead = self._ahead, False
        if marks_pastes() or ahead:
            return keys
        while len(keys) > 1 and not self.closed and self._waits(REST_S):
            keys += super().read_keys()
        text = [key for key in keys if key.key != Keys.CPRResponse]
        plain = all(not isinstance(key.key, Keys) or key.key in _WRITES for key in text)
        if plain and any(key.key == Keys.ControlM for key in text[:-1]):
            return [KeyPress(Keys.BracketedPaste, "".join(key.data for key in text))]
        return keys

    _ahead = False

    def _waits(self, seconds: float) -> bool:
        return bool(select.select([self.fileno()], [], [], seconds)[0])


_WRITES = (Keys.ControlM, Keys.ControlJ, Keys.ControlI)
