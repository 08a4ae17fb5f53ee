"""Records the pictures of this folder from real runs in a pseudo-terminal: `python docs/pictures/record.py [NAME …]`.

Run it in the root of a checkout with the test dependencies. Only the names of this machine and its kernel are changed.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).parents[2]))

from pyte.screens import Char
from wcwidth import wcswidth

from tests.emulator import EmulatedScreen
from tests.terminal import Terminal

HERE = Path(__file__).parent
CELL, LINE, SIZE, MARGIN = 8.4, 19, 14, 14
PAPER, INK = "#1b1d23", "#d7dae0"
# A common dark palette for the terminal's sixteen colours; programs choose only among their names.
COLORS = {
    "default": INK, "black": "#1b1d23", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
    "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#d7dae0", "brightblack": "#7f848e", "brightred": "#ff7b85",
    "brightgreen": "#b1e18b", "brightbrown": "#efd19a", "brightyellow": "#efd19a", "brightblue": "#6dc1ff",
    "brightmagenta": "#de88f5", "bfightmagenta": "#de88f5", "brightcyan": "#62c9d6", "brightwhite": "#ffffff",
}  # fmt: skip


class DimScreen(EmulatedScreen):
    """pyte knows no dim text; here it is bright black."""

    def select_graphic_rendition(self, *codes: int) -> None:
        super().select_graphic_rendition(*codes)
        if 2 in codes and not {38, 48} & set(codes):
            self.cursor.attrs = self.cursor.attrs._replace(fg="brightblack")


def svg(screen: EmulatedScreen, title: str, first: int = 0) -> str:
    """The screen's lines from `first` to the last one that is not empty."""
    rows = [screen.buffer[y] for y in range(screen.lines)]
    while rows and not any(rows[-1][x].data.strip() or rows[-1][x].reverse for x in range(screen.columns)):
        rows.pop()
    rows = rows[first:]
    width, height = screen.columns * CELL + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
        f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE}" xml:space="preserve">',
    ]
    for number, row in enumerate(rows):
        parts += line([row[x] for x in range(screen.columns)], MARGIN + number * LINE)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def line(cells: Sequence[Char], top: float) -> list[str]:
    """What to draw for one line of the screen."""
    parts = []
    placed = [(x, cell) for x, cell in enumerate(cells) if cell.data]
    for look, group in groupby(placed, key=lambda cell: cell[1]._replace(data="")):
        run = list(group)
        text = "".join(cell.data for _, cell in run)
        left, length = MARGIN + run[0][0] * CELL, max(1, wcswidth(text)) * CELL
        ink, paper = color(look.fg), PAPER if look.bg == "default" else color(look.bg)
        if look.reverse:
            ink, paper = paper, ink
        if paper != PAPER:
            parts.append(f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{LINE}" fill="{paper}"/>')
        if text.strip():
            style = (' font-weight="bold"' if look.bold else "") + (' font-style="italic"' if look.italics else "")
            lines = ["underline"] * look.underscore + ["line-through"] * look.strikethrough
            style += f' text-decoration="{" ".join(lines)}"' if lines else ""
            # Every character at its own place: whatever font is there, columns stay columns.
            places = " ".join(f"{MARGIN + x * CELL:.1f}" for x, cell in run for _ in cell.data)
            parts.append(f'<text x="{places}" y="{top + SIZE}" fill="{ink}"{style}>{escape(text)}</text>')
    return parts


def color(name: str) -> str:
    """A colour of the palette, or the hexadecimal one that the program asked for."""
    return COLORS.get(name) or f"#{name}"


def run(*arguments: str, columns: int = 100, rows: int = 60) -> Terminal:
    terminal = Terminal(*arguments, columns=columns, rows=rows)
    dim = DimScreen(columns, rows)
    dim.write_process_input = terminal.screen.write_process_input
    terminal._stream.detach(terminal.screen)
    terminal._stream.attach(dim)
    terminal.screen = dim
    return terminal


def finished(*arguments: str, columns: int = 100) -> EmulatedScreen:
    """The screen of a command that ends by itself, under the line that started it."""
    terminal = run(*arguments, columns=columns)
    terminal._stream.feed(f"$ specmemo {' '.join(arguments)}\r\n")
    terminal.exit_status(120)
    return terminal.screen


def chat(*messages: str, columns: int = 100, rows: int = 30) -> EmulatedScreen:
    """The screen of a chat with the bundled model, after its answers."""
    terminal = run("chat", columns=columns, rows=rows)
    try:
        terminal._stream.feed("$ specmemo chat\r\n")
        terminal.wait_prompt(120)
        # While it loads, the footer tells how far.
        terminal.until(lambda: "context 0" in terminal.text or "ctx 0" in terminal.text, 120)
        for message in messages:
            terminal.ask(message, 180)
        terminal.read(1.0)
        return terminal.screen
    finally:
        terminal.close()


CODE = "Write a Python function that adds two numbers"
PICTURES: dict[str, tuple[str, Callable[[], EmulatedScreen]]] = {
    "banner": ("specmemo chat: what was found, chosen and why", lambda: chat(rows=13)),
    "reply": ("A reply with code; green: from the draft", lambda: chat("/set show_accepted on", CODE, CODE, rows=30)),
    "memory": ("/memory: planned and measured", lambda: chat("Hello! My name is Ada.", "/memory", rows=34)),
    "plan": ("specmemo plan", lambda: finished("plan", "llama-2-7b-chat", "--device", "titan-rtx-24gb")),
    "probe": ("specmemo probe", lambda: finished("probe")),
    "narrow": ("A terminal of 40 columns", lambda: chat(CODE, "What can you do?", columns=40, rows=32)),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        folders = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        os.environ.update(dict.fromkeys(folders, home))
        for name in sys.argv[1:] or PICTURES:
            title, record = PICTURES[name]
            text = svg(record(), title).replace(escape(platform.node()), "laptop")
            text = text.replace(platform.release(), platform.release().partition("-")[0])
            (HERE / f"{name}.svg").write_text(text, encoding="utf-8")
            print(f"{name}.svg")


if __name__ == "__main__":
    main()
