"""What is typed at the prompt has a meaning, what is pasted is sent as it is; pastes that no terminal marks."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.keys import Keys

from specmemo_chat.repl.typed import Keyboard, Message, Typed

MODULE = '"""A module.\n\nIts docstring.\n"""\n\nimport os\n\n\ndef f():\n\treturn """x"""'


def prompt(*parts: str, default: str = "") -> Typed:
    """A prompt at which the parts came: those that begin with "paste:" at once, others key by key."""
    buffer = Buffer(multiline=True)
    typed = Typed(buffer)
    typed.begin(default)
    buffer.reset()
    buffer.insert_text(default, fire_event=False)
    for part in parts:
        if part.startswith("paste:"):
            with typed.given():
                buffer.insert_text(part.removeprefix("paste:"))
            continue
        for key in part:
            if key == "\b":
                buffer.delete_before_cursor()
            elif key == "<":
                buffer.cursor_position = 0
            elif key == ">":
                buffer.cursor_position = len(buffer.text)
            else:
                buffer.insert_text(key)
    return typed


@pytest.mark.parametrize(
    ("parts", "sent"),
    [
        # Typed quotes open a block, and only typed ones close it.
        (['"""a\nb"""'], "a\nb"),
        (['"""\n', f"paste:{MODULE}", '\n"""'], MODULE),
        (['"""', f"paste:{MODULE}"], None),
        (['"""a', 'paste:"""'], None),
        (['"""a"""', "paste: more"], None),
        # What is pasted is sent as it is, whatever it begins and ends with.
        ([f"paste:{MODULE}"], MODULE),
        ([f"paste:{MODULE}", "\nWhat does it do?"], f"{MODULE}\nWhat does it do?"),
        (['paste:"""', "a"], '"""a'),
        (["paste:'''x'''\ny = 1"], "'''x'''\ny = 1"),
        (["paste:#!/bin/sh\nls\n"], "#!/bin/sh\nls\n"),
        (["say: ", 'paste:"""x'], 'say: """x'),
        ([f"paste:{MODULE}", '<see """>'], f'see """{MODULE}'),
        # Taken back and typed anew, they were typed.
        (['paste:"""', "\b\b\b", '"""a"""'], "a"),
        (['""', 'paste:"a'], '"""a'),
    ],
)
def test_quotes_mean_something_only_where_they_are_typed(parts: list[str], sent: str | None) -> None:
    typed = prompt(*parts)
    assert typed.block_open == (sent is None)
    if sent is not None:
        assert typed.message() == sent


@pytest.mark.parametrize(
    ("parts", "command"),
    [
        (["/help"], True),
        (["/nonsense"], True),
        # A command that a remedy names is carried out when it is pasted, too.
        (["paste:/set seed 7"], True),
        (["paste:/? "], True),
        (["/system ", "paste:be\nbrief"], True),
        (["paste:/etc/hosts is what?"], False),
        (["paste:/* a comment */\nint x;"], False),
        (["paste:/set seed 7\n/help"], False),
        (["paste:/"], False),
        (['"""\n/help\n"""'], False),
    ],
)
def test_a_slash_begins_a_command_where_it_is_typed(parts: list[str], command: bool) -> None:
    message = prompt(*parts).message()
    assert message.startswith("/")
    assert isinstance(message, Message) != command


def test_what_stands_at_the_prompt_already_was_not_typed() -> None:
    assert prompt(default=MODULE).message() == MODULE
    assert isinstance(prompt(default="/etc/passwd").message(), Message)


@pytest.mark.parametrize("text", [MODULE, "/etc/hosts is what?", "/* a */\nint x;", '"""', "plain\ntext", "/help"])
def test_an_entry_of_the_history_means_what_was_sent(text: str) -> None:
    first = prompt(f"paste:{text}")
    history = InMemoryHistory([first.kept()])
    buffer = Buffer(multiline=True, history=history)
    typed = Typed(buffer)
    typed.begin("")
    for entry in history.load_history_strings():
        buffer._working_lines.appendleft(entry)
        buffer.working_index += 1
    with typed.given():
        buffer.insert_text('"""half')
    buffer.history_backward()
    assert not typed.block_open
    assert typed.message() == first.message() == text
    assert isinstance(typed.message(), Message) or not isinstance(first.message(), Message)
    # And back at the line that was pasted, it is a paste.
    buffer.history_forward()
    assert typed.message() == '"""half'
    assert not typed.block_open


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Keyboard]]:
    """A terminal's other end, and the keyboard that reads from it."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    monkeypatch.setenv("TERM", "vt220")
    with os.fdopen(theirs, encoding="utf-8") as stdin:
        yield ours, Keyboard(stdin)
    os.close(ours)


def test_lines_that_come_at_once_are_a_paste_where_pastes_are_not_marked(
    line: tuple[int, Keyboard], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, keyboard = line
    keyboard.begin()
    text = MODULE.replace("\n", "\r") + "\r"
    os.write(ours, ("\x1b[1;1R" + text * 9).encode())
    assert [key.data for key in keyboard.read_keys() if key.key == Keys.BracketedPaste] == [text * 9]
    # A line with its end is typed, and so is what has other keys in it.
    for typed in ("grün\r", "\r", "a\x1b[A\rb"):
        os.write(ours, typed.encode())
        assert Keys.BracketedPaste not in [key.key for key in keyboard.read_keys()]
    # What came before the prompt was typed ahead.
    os.write(ours, b"one\rtwo\r")
    keyboard.begin()
    assert len(keyboard.read_keys()) == 8
    # Where they are marked, lines are what the terminal says they are.
    monkeypatch.setenv("TERM", "xterm-256color")
    keyboard.begin()
    os.write(ours, b"one\rtwo\r")
    assert len(keyboard.read_keys()) == 8
