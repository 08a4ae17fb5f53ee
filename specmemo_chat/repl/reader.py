"""Reads messages at the prompt: history, completion, several lines, pasting that never sends by itself."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.commands.registry import Suggestion
from specmemo_chat.repl.editor import edit
from specmemo_chat.repl.line_history import SharedHistory
from specmemo_chat.repl.typed import Keyboard, Typed
from specmemo_chat.terminal.modes import Modes, set_modes, wait_for_terminal
from specmemo_chat.terminal.suspension import around_suspension, plain_suspension

TWICE_S = 2.0

Suggest = Callable[[str], Iterable[Suggestion]]


class SlashCompleter(Completer):
    """Completes slash commands: their names, values and files."""

    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for found in self._suggest(document.text_before_cursor):
            yield Completion(found.text, start_position=-found.replaces, display_meta=found.meta)


def _bindings(typed: Typed, note: Callable[[str], None]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~is_searching)
    def _send(event: KeyPressEvent) -> None:
        buffer: Buffer = event.current_buffer
        if typed.block_open:
            buffer.insert_text("\n")
        else:
            entries, kept = buffer.history.get_strings(), typed.kept()
            if kept and kept not in entries[-1:]:
                buffer.history.append_string(kept)
            event.app.exit(result=buffer.text)

    @keys.add("escape", "enter", filter=~is_searching)
    @keys.add("c-j", filter=~is_searching)
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add(Keys.BracketedPaste, filter=~is_searching)
    def _paste(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        with typed.given():
            # A terminal without cursor movement is shown one character for each change.
            for part in text if os.environ.get("TERM", "dumb") == "dumb" else [text]:
                event.current_buffer.insert_text(part)

    @keys.add("c-x", "c-e", filter=~is_searching)
    def _editor(event: KeyPressEvent) -> None:
        event.app.create_background_task(_in_editor(event.current_buffer, typed, note))

    return keys


async def _in_editor(buffer: Buffer, typed: Typed, note: Callable[[str], None]) -> None:
    """The prompt's text in the user's editor, and what that leaves at the prompt."""

    def run() -> str:
        try:
            text, problem = edit(buffer.text)
        except UsageError as error:
            text, problem = buffer.text, error.message
        if problem:
            note(problem)
        return text

    text = await run_in_terminal(run, in_executor=True)
    if text != buffer.text:
        with typed.given():
            buffer.document = Document(text)


@contextlib.contextmanager
def typing_ahead() -> Iterator[None]:
    """Between two prompts keys are kept as typed, unseen, for the next one; only Ctrl-C acts at once.

    The terminal's own line mode would show them in the middle of a reply, turn Enter into Ctrl-J and swallow Ctrl-D;
    without NOFLSH a Ctrl-C would throw them away.
    """
    line_mode = termios.ECHO | termios.ICANON
    modes = _Modes(lambda now: (now[0] & ~termios.ICRNL, now[3] & ~line_mode | termios.NOFLSH))

    def begin() -> None:
        wait_for_terminal()
        modes.set()
        _mark_pastes(True)

    def end() -> None:
        _mark_pastes(False)
        modes.restore()

    begin()
    try:
        # A shell gives the terminal back in its own mode.
        with around_suspension(end, begin):
            yield
    finally:
        end()


class _Modes:
    """The terminal with other input and local modes, and as before. Nothing where there is no terminal."""

    def __init__(self, change: Callable[[list[int]], tuple[int, int]]) -> None:
        self._change = change
        self._before: Modes | None = None

    def set(self) -> None:
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin.fileno())
            changed = [*self._before]
            changed[0], changed[3] = self._change([value if isinstance(value, int) else 0 for value in self._before])
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, changed)

    def restore(self) -> None:
        set_modes(self._before)


def _mark_pastes(on: bool) -> None:
    """Whether the terminal marks what is pasted, also between two prompts: a pasted line end must not send."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        sys.stdout.write(f"\x1b[?2004{'h' if on else 'l'}")
        sys.stdout.flush()


def _prompt_session(**options: Any) -> PromptSession[str]:
    """A prompt. On a terminal that knows no escape sequences it writes none: prompt-toolkit's own output for those
    shows the cursor by one."""
    if not is_dumb_terminal():
        return PromptSession(**options)
    with create_app_session(output=PlainTextOutput(sys.stdout)):
        return PromptSession(**options)


class TerminalReader:
    """A prompt-toolkit session. Ctrl-C clears the line; twice within two seconds on an empty line leaves.

    `note` is called once where the history cannot be written; `suggest` completes the text before the cursor.
    """

    def __init__(
        self,
        history: Path | None,
        footer: Callable[[], str],
        note: Callable[[str], None],
        suggest: Suggest,
        *,
        color: bool,
    ) -> None:
        self._shared = SharedHistory(history) if history is not None else None
        self._note = note
        self._depth = None if color else ColorDepth.DEPTH_1_BIT
        kept: History = self._shared or InMemoryHistory()
        self._keys = Keyboard(sys.stdin)
        self._session = _prompt_session(
            input=self._keys,
            history=kept,
            completer=SlashCompleter(suggest),
            complete_while_typing=True,
            multiline=True,
            bottom_toolbar=footer,
            # Up finds lines that begin like this one; commands complete while they are typed instead.
            enable_history_search=Condition(lambda: not self._session.default_buffer.text.startswith("/")),
            enable_suspend=True,
            # Pasted code has tabs; as ^I it could not be read.
            input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ")],
            refresh_interval=0.5,
            color_depth=self._depth,
            # A line of its own is marked; one that is only wrapped is not.
            prompt_continuation=lambda _width, _line, wraps: "  " if wraps else "… ",
        )
        self._typed = Typed(self._session.default_buffer)
        self._session.key_bindings = _bindings(self._typed, note)
        self._interrupted_at = -TWICE_S

    def read(self, label: str = "> ", text: str = "") -> str:
        """See LineReader.read."""
        while True:
            try:
                self._typed.begin(text)
                self._keys.begin()
                self._session.prompt([("bold fg:ansicyan", label)], default=text)
                self._tell_problem()
                return self._typed.message()
            except KeyboardInterrupt:
                if text:
                    return ""
                line = self._session.default_buffer.text
                now = time.monotonic()
                if not line and now - self._interrupted_at < TWICE_S:
                    raise
                self._interrupted_at = now
            finally:
                # The prompt has switched it off.
                _mark_pastes(True)

    def ask(self, question: str) -> bool:
        """Whether the answer is yes; Enter alone, Ctrl-C and Ctrl-D are a no."""
        session = _prompt_session(color_depth=self._depth)
        try:
            return session.prompt(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except (EOFError, KeyboardInterrupt):
            return False
        finally:
            _mark_pastes(True)

    def announce(self, show: Callable[[], None]) -> None:
        """Call `show`, above the prompt if it is open: what is typed there stays as it is."""
        app = self._session.app
        if app.is_running and app.loop is not None:
            app.loop.call_soon_threadsafe(lambda: run_in_terminal(show))

    def refresh(self) -> None:
        self._session.app.invalidate()

    @contextlib.contextmanager
    def plain_terminal(self) -> Iterator[None]:
        """The terminal's own line mode, for another program."""
        line_mode = termios.ECHO | termios.ICANON
        _mark_pastes(False)
        modes = _Modes(lambda now: (now[0] | termios.ICRNL, (now[3] | line_mode) & ~termios.NOFLSH))
        modes.set()
        try:
            with plain_suspension():
                yield
        finally:
            modes.restore()
            _mark_pastes(True)

    def _tell_problem(self) -> None:
        if self._shared is not None and self._shared.problem is not None:
            self._note(self._shared.problem)
            self._shared = None


def private_file(folder: Path, name: str) -> Path | None:
    """`folder/name`, made with mode 0600; None where the folder cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / name
        path.touch(mode=0o600, exist_ok=True)
        path.chmod(0o600)
    except OSError:
        return None
    return path
