"""The clipboard: programs of the desktop where there are any, and the terminal's own way (OSC 52)."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys

from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.text import safe

# Terminals cut or refuse longer sequences (xterm and tmux: about 100,000 characters of base64).
OSC52_LIMIT = 74_000
# GNU screen passes a sequence on in strings of at most 256 or 768 bytes, depending on its version.
SCREEN_STRING = 240
PATIENCE_S = 3.0
# Keeps the text itself, and has the terminal put it on the clipboard: whether that did, it does not know.
TMUX = ("tmux", "load-buffer", "-w", "-")

# What has to be set in the environment ("" nothing), and the program that then takes the text on its standard input.
_PROGRAMS = (
    ("", ("pbcopy",)),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("WSL_DISTRO_NAME", ("clip.exe",)),
    ("TMUX", TMUX),
)


def copy(text: str, what: str) -> str:
    """Put `text`, without control characters, on the clipboard. Returns a sentence about `what`: that a program took
    it, or that the terminal was sent it, which does not say whether it took it. Raises UsageError where there is no
    way."""
    text = safe(text)
    program = next((program for program in _available() if _give(program, text)), None)
    payload = base64.b64encode(text.encode()).decode("ascii")
    sent = _send(payload)
    size = f"{what}, {counted(len(text), 'character')},"
    if program is not None and program != TMUX:
        also = "; also sent to the terminal (OSC 52)" if sent else ""
        return f"copied {size} by {program[0]}{also}"
    if program is not None or sent:
        ways = ["put into tmux's buffer"] * (program is not None) + ["sent to the terminal (OSC 52)"] * sent
        return f"{size} {' and '.join(ways)}; if nothing arrives: /save FILE"
    why = "this terminal cannot"
    if len(payload) > OSC52_LIMIT:
        why = f"it is more than terminals take ({OSC52_LIMIT // 4 * 3:,} bytes)"
    raise UsageError(
        f"{what} could not be copied: no clipboard program took it, and {why}",
        "/save FILE, or install wl-copy, xclip or xsel",
    )


def _available() -> list[tuple[str, ...]]:
    return [
        program
        for variable, program in _PROGRAMS
        if (not variable or os.environ.get(variable)) and shutil.which(program[0])
    ]


def _give(program: tuple[str, ...], text: str) -> bool:
    try:
        # Without its output: xclip and wl-copy stay behind as servers and would keep a pipe open.
        done = subprocess.run(
            program,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _send(payload: str) -> bool:
    """The one escape sequence that is sent on purpose; its payload is base64 and so holds no other."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb" or len(payload) > OSC52_LIMIT:
        return False
    sys.stdout.write(passed_on(f"\x1b]52;c;{payload}\x07"))
    sys.stdout.flush()
    return True


def passed_on(sequence: str) -> str:
    """The sequence as it reaches the terminal through tmux or GNU screen; their variables tell which it is."""
    if os.environ.get("TMUX"):
        # Older and set so, tmux takes it itself; newer and set so, it hands it on.
        escaped = sequence.replace("\x1b", "\x1b\x1b")
        return f"{sequence}\x1bPtmux;{escaped}\x1b\\"
    if os.environ.get("STY"):
        parts = [sequence[at : at + SCREEN_STRING] for at in range(0, len(sequence), SCREEN_STRING)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return sequence
