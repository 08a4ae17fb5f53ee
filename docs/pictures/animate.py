"""Records chat.svg, an animation of a real chat with Pocket in a pseudo-terminal: `python docs/pictures/animate.py`.

Run it in the root of a checkout with the test dependencies, on a machine that does nothing else. The messages are
typed at an even pace. Replies stream as fast as they did; where nothing changes for longer, `LONGEST_WAIT_S` is shown.

The picture is painted over: a frame holds the lines that changed, and is visible from its time on. So what cannot
play it, or is asked for less motion, shows the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).parents[2]))

from pyte.modes import DECTCEM
from pyte.screens import Char

from docs.pictures.record import CELL, INK, LINE, MARGIN, PAPER, SIZE, line, run
from tests.emulator import EmulatedScreen

COLUMNS, ROWS = 92, 33
COMMAND = ("chat", "--max-memory", "512MiB")
MESSAGES = (
    "/set show_accepted on",
    "Hi, I'm Ada and I live in Oslo.",
    "Write a Python function that adds two numbers",
    "Show me that function again",
    "/memory",
)
TITLE = "A chat with Pocket under a cap of 512 MiB. Green: tokens that came from the draft."
KEY_S, LOOK_S = 0.05, 0.05
THINK_S, END_S, LONGEST_WAIT_S = 1.0, 6.0, 1.2

Lines = tuple[tuple[Char, ...], ...]


def seen(screen: EmulatedScreen) -> Lines:
    """The screen's lines, the cursor as a reversed cell."""
    lines = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    cursor = screen.cursor
    if DECTCEM in screen.mode and not cursor.hidden and cursor.x < screen.columns:
        under = lines[cursor.y][cursor.x]
        lines[cursor.y][cursor.x] = under._replace(data=under.data or " ", reverse=True)
    return tuple(tuple(row) for row in lines)


class Recording:
    """The frames of a chat: when each appeared, in seconds, and its lines."""

    def __init__(self) -> None:
        self.terminal = run(*COMMAND, columns=COLUMNS, rows=ROWS)
        self.frames: list[tuple[float, Lines]] = []
        self.terminal._stream.feed(f"$ specmemo {' '.join(COMMAND)}\r\n")

    def look(self) -> None:
        now = seen(self.terminal.screen)
        if not self.frames or self.frames[-1][1] != now:
            self.frames.append((time.monotonic(), now))

    def watch(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.terminal.read(LOOK_S)
            self.look()

    def until_prompt(self, timeout: float = 180) -> None:
        end = time.monotonic() + timeout
        while self.terminal.prompt != "":
            if time.monotonic() > end:
                raise TimeoutError(f"no prompt after {timeout} s:\n{self.terminal.text}")
            self.watch(LOOK_S)

    def say(self, message: str) -> None:
        for key in message:
            self.terminal.send(key)
            self.watch(KEY_S)
        self.watch(KEY_S * 4)
        self.terminal.send("\r")
        # The prompt stays for a moment: it is gone, or stands on another line, when the message was taken.
        self.watch(0.5)
        self.until_prompt()
        self.watch(THINK_S)


def record() -> list[tuple[float, Lines]]:
    recording = Recording()
    try:
        recording.until_prompt()
        recording.terminal.until(lambda: "loading" not in recording.terminal.text, 120)
        recording.watch(THINK_S)
        for message in MESSAGES:
            recording.say(message)
    finally:
        recording.terminal.close()
    return shortened(recording.frames)


def shortened(frames: list[tuple[float, Lines]]) -> list[tuple[float, Lines]]:
    """The same from second 0 on, without the rest of long waits."""
    result, at, before = [], 0.0, frames[0][0]
    for when, lines in frames:
        at += min(when - before, LONGEST_WAIT_S)
        before = when
        result.append((at, lines))
    return result


def animated(frames: list[tuple[float, Lines]]) -> str:
    width, height = COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
    whole = frames[-1][0] + END_S
    styles, parts = [], []
    shown: list[tuple[Char, ...] | None] = [None] * ROWS
    for number, (at, lines) in enumerate(frames):
        changed = [y for y in range(ROWS) if lines[y] != shown[y]]
        parts.append(f'<g class="f" style="animation-name:f{number}">' if number else "<g>")
        for y in changed:
            top = MARGIN + y * LINE
            if number:
                parts.append(f'<use href="#l" y="{top}"/>')
            parts += line(lines[y], top)
            shown[y] = lines[y]
        parts.append("</g>")
        if number:
            appears = f"0%{{visibility:hidden}}{100 * at / whole:.2f}%{{visibility:visible}}"
            styles.append(f"@keyframes f{number}{{{appears}}}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
            f"<title>{escape(TITLE)}</title>",
            f"<style>.f{{animation:{whole:.1f}s step-end infinite}}",
            "@media (prefers-reduced-motion:reduce){.f{animation:none}}",
            *styles,
            "</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
            # Without smoothed edges: at another size, what is painted over would shimmer through.
            f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE}" fill="{INK}" '
            'xml:space="preserve" shape-rendering="crispEdges">',
            f'<defs><rect id="l" width="{width:.0f}" height="{LINE}" fill="{PAPER}"/></defs>',
            *parts,
            "</g>",
            "</svg>",
            "",
        ]
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        folders = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        os.environ.update(dict.fromkeys(folders, home))
        # The first start on a machine measures; shown is how it is from then on.
        run(*COMMAND, "-p", "Hello!").exit_status(300)
        frames = record()
    text = animated(frames)
    (Path(__file__).parent / "chat.svg").write_text(text, encoding="utf-8")
    print(f"chat.svg: {len(frames)} frames, {frames[-1][0]:.0f} s, {len(text) // 1000} kB")


if __name__ == "__main__":
    main()
