"""The clipboard: programs of the desktop where there are any, and the terminal's own way (OSC 52)."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys

from specmemo_chat.cli.text import safe

# Terminals cut or refuse longer sequences (xterm and tmux: about 100,000 characters of base64).
OSC52_LIMIT = 74_000
PATIENCE_S = 3.0

# What has to be set in the environment ("" nothing), and the program that then takes the text on its standard input.
_PROGRAMS = (
    ("", ("pbcopy",)),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("WSL_DISTRO_NAME", ("clip.exe",)),
    ("TMUX", ("tmux", "load-buffer", "-w", "-")),
)


def copy(text: str) -> list[str]:
    """Put `text`, without control characters, on the clipboard. Returns the ways that took it; a terminal does not
    say whether it did. Empty where there is no way."""
    text = safe(text)
    program = next((program[0] for program in _available() if _give(program, text)), None)
    took = [program] if program is not None else []
    if _terminal(text):
        took.append("the terminal (OSC 52)")
    return took


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


def _terminal(text: str) -> bool:
    """The one escape sequence that is sent on purpose; its payload is base64 and so holds no other."""
    payload = base64.b64encode(text.encode()).decode("ascii")
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb" or len(payload) > OSC52_LIMIT:
        return False
    sys.stdout.write(f"\x1b]52;c;{payload}\x07")
    sys.stdout.flush()
    return True
