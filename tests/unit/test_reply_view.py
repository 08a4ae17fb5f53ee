"""Replies on an emulated terminal: what stands there in the end, whatever the model writes and however it arrives."""

from __future__ import annotations

import io
import random
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest

from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.reply_view import FRAME_S, FRAME_SHARE, SLOWEST_FRAME_S, LiveReply, frame_pause
from specmemo_chat.terminal.text import safe
from tests.emulator import EmulatedScreen
from tests.replies import chunked, fuzzed_reply

SIZES = [(80, 24), (40, 12), (100, 40), (20, 6), (8, 3)]
# The only escape sequences that a reply may send: frames, cursor shown or not, wrapping, erase, up, colours.
OURS = re.compile(r"\x1b\[(?:\?2026[hl]|\?25[hl]|\?7[hl]|J|\d+A|[\d;]*m)|\r|\n")


class FakeTerminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def fake_terminal(columns: int, rows: int, **options: bool) -> Iterator[tuple[FakeTerminal, Screen]]:
    out = FakeTerminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr(Screen, "size", lambda _screen: (columns, rows))
        yield out, Screen("never" if options.get("no_color") else "auto")


def play(text: str, columns: int, rows: int, rng: random.Random | None = None, **options: bool) -> str:
    """What a live reply sends to the terminal: at once, or in pieces with a dozen frames at any places."""
    pieces = chunked(text, rng) if rng is not None else [text]
    with fake_terminal(columns, rows, **options) as (out, screen):
        reply = LiveReply(screen, show_accepted=True)
        for piece in pieces:
            reply._queue.append((piece, rng is not None and rng.random() < 0.5, False))
            if rng is not None and rng.random() < 12 / len(pieces):
                with reply._lock:
                    reply._draw()
        reply.close()
        return out.getvalue()


def shown(output: str, columns: int, rows: int) -> EmulatedScreen:
    screen = EmulatedScreen(columns, rows)
    pyte.Stream(screen).feed(output.replace("\n", "\r\n"))
    return screen


def squeezed(text: str) -> str:
    """The text without blanks, as an emulated cell holds it."""
    return unicodedata.normalize("NFC", "".join(text.split()))


def check(seed: int) -> None:
    reply = fuzzed_reply(seed)
    rng = random.Random(seed)
    columns, rows = rng.choice(SIZES)
    no_color = rng.random() < 0.2
    output = play(reply.text, columns, rows, rng, no_color=no_color)
    strange = re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", OURS.sub("", output)
    )
    assert strange is None, f"reply {seed} sent {strange}"
    screen = shown(output, columns, rows)
    assert screen.problems == [], f"reply {seed}"
    transcript = squeezed("".join(screen.transcript))
    for paragraph in reply.paragraphs:
        words = squeezed(safe(paragraph))
        assert transcript.count(words) == 1, (
            f"reply {seed}: a paragraph is {transcript.count(words)} times on the screen"
        )
    whole = shown(play(reply.text, columns, rows, no_color=no_color), columns, rows)
    assert whole.transcript == screen.transcript, f"reply {seed} depends on how it arrives"


@pytest.mark.parametrize("seed", range(50))
def test_a_fuzzed_reply_leaves_the_terminal_in_order(seed: int) -> None:
    check(seed)


@pytest.mark.stress
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_fuzzed_replies(part: int) -> None:
    for seed in range(1000 * part, 1000 * (part + 1)):
        check(seed)


LONG_REPLY = "\n".join(
    [
        "# A title",
        "",
        "A paragraph with **bold** words, " + "many of them, " * 60 + "and an end.",
        "",
        *(f"{number}. item {number} " + "goes on " * 30 for number in range(1, 6)),
        "",
        "```python",
        *(
            f"value_{number} = {number}  # a comment that is longer than a narrow screen is wide"
            for number in range(60)
        ),
        "```",
        "",
        "The last words.",
    ]
)


def test_a_resize_while_streaming_tears_and_doubles_nothing() -> None:
    rng = random.Random(7)
    screen = EmulatedScreen(80, 24)
    stream = pyte.Stream(screen)
    with fake_terminal(80, 24) as (out, console), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Screen, "size", lambda _screen: (screen.columns, screen.lines))
        reply = LiveReply(console)
        for number, at in enumerate(range(0, len(LONG_REPLY), 7)):
            reply._queue.append((LONG_REPLY[at : at + 7], False, False))
            if number % 3 == 0:
                reply._draw()
                stream.feed(out.getvalue().replace("\n", "\r\n"))
                out.seek(0)
                out.truncate()
            if number % 20 == 0:
                screen.resize(rng.choice([10, 24, 50]), rng.choice([40, 57, 80, 120]))
        reply.close()
        stream.feed(out.getvalue().replace("\n", "\r\n"))
    assert screen.problems == []
    text = squeezed("".join(screen.transcript))
    for part in ("Atitle", "manyofthem," * 60 + "andanend.", "Thelastwords."):
        assert text.count(part) == 1
    for number in range(1, 6):
        assert text.count(f"{number}.item{number}" + "goeson" * 30) == 1
    for number in range(60):
        assert text.count(f"value_{number}={number}#") == 1


def test_a_tail_higher_than_the_window_is_cut_at_its_top() -> None:
    with fake_terminal(40, 6) as (out, console):
        reply = LiveReply(console)
        # A table waits for its end.
        for number in range(40):
            line = f"| row {number} | x |\n" if number else "| name | x |\n|---|---|\n"
            reply._queue.append((line, False, False))
            reply._draw()
            seen = shown(out.getvalue(), 40, 6)
            assert seen.cursor.y <= 5
            if number > 5:
                assert seen.scrolled == []
        reply.close()
        seen = shown(out.getvalue(), 40, 6)
    assert [line.split()[1] for line in seen.transcript[2:]] == [str(number) for number in range(1, 40)]


def test_accepted_tokens_are_green_wherever_markdown_puts_them() -> None:
    with fake_terminal(80, 24) as (out, console):
        reply = LiveReply(console, show_accepted=True)
        for text, accepted in (
            ("- one **tw", False),
            ("o th", True),
            ("ree** four\n  ", False),
            ("`co", True),
            ("de`", False),
        ):
            reply._queue.append((text, accepted, False))
        reply.close()
    screen = shown(out.getvalue(), 80, 24)
    green = [
        "".join(screen.buffer[y][x].data for x in range(80) if screen.buffer[y][x].fg == "green") for y in range(2)
    ]
    assert [line.rstrip() for line in screen.display[:2]] == ["• one two three four", "  code"]
    assert green == ["o th", "co"]
    assert screen.buffer[0][8].bold


def test_a_frame_is_drawn_without_more_text_and_an_abort_keeps_what_came() -> None:
    with fake_terminal(80, 24) as (out, console):
        reply = LiveReply(console)
        reply.text("half a **sen", accepted=False, reasoning=False)
        for _ in range(200):
            if "half a" in out.getvalue():
                break
            time.sleep(0.02)
        assert shown(out.getvalue(), 80, 24).display[0].rstrip() == "half a sen"
        reply.close()
        screen = shown(out.getvalue(), 80, 24)
    assert screen.transcript == ["half a **sen"]
    assert screen.problems == []


def test_frames_become_rarer_where_they_cost_much() -> None:
    assert frame_pause(0.0005) == FRAME_S
    assert frame_pause(0.005) == pytest.approx(0.005 / FRAME_SHARE)
    assert frame_pause(1.0) == SLOWEST_FRAME_S


def test_a_note_stands_above_the_unfinished_text() -> None:
    with fake_terminal(80, 24) as (out, console):
        console.err.file = out
        reply = LiveReply(console)
        reply._queue.append(("first line\nsecond", False, False))
        reply._draw()
        reply.note("something \x1b[2Jhappened")
        reply._queue.append((" goes on", False, False))
        reply.close()
        screen = shown(out.getvalue(), 80, 24)
    assert screen.transcript == ["first line", "something [2Jhappened", "second goes on"]
    assert screen.problems == []


def test_reasoning_is_dim_behind_a_bar_and_no_part_of_the_answer() -> None:
    with fake_terminal(40, 24) as (out, console):
        reply = LiveReply(console)
        reply._queue.append(("Well, **this** is a question that needs thinking.\n\nYes.\n", False, True))
        reply._draw()
        reply._queue.append(("The *answer*.", False, False))
        reply.close()
        screen = shown(out.getvalue(), 40, 24)
    assert screen.transcript == [
        "│ Well, **this** is a question that",
        "│ needs thinking.",
        "│",
        "│ Yes.",
        "",
        "The answer.",
    ]


def test_an_error_while_drawing_is_raised_where_the_reply_is_read() -> None:
    class Broken(FakeTerminal):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    with fake_terminal(80, 24) as (_, console):
        console.out.file = Broken()
        reply = LiveReply(console)
        reply.text("hello", accepted=False, reasoning=False)
        reply._thread.join(5)  # type: ignore[union-attr]
        with pytest.raises(OSError, match="Input/output"):
            reply.text("more", accepted=False, reasoning=False)
