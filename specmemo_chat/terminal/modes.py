"""The modes of the terminal on standard input (echo, line mode, …)."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
from typing import Any

Modes = list[Any]
_LOOK_S = 0.05


def terminal_modes() -> Modes | None:
    """What is set now; None where standard input is no terminal, or the terminal is another program's at this time."""
    with contextlib.suppress(OSError, termios.error):
        if os.isatty(0) and _is_ours():
            return termios.tcgetattr(0)
    return None


def set_modes(modes: Modes | None, when: int = termios.TCSADRAIN) -> None:
    """Set them. Does nothing for None, where the terminal is gone, or another program's: whoever changes that one's
    modes is stopped by the system."""
    with contextlib.suppress(OSError, termios.error):
        if modes is not None and _is_ours():
            termios.tcsetattr(0, when, modes)


def wait_for_terminal() -> None:
    """Stop, as the system stops whoever changes the modes of a terminal that is another program's, until it is ours
    again. Inside the system's own call a signal that asks for the end would not be heard."""
    with contextlib.suppress(OSError):
        while os.isatty(0) and not _is_ours():
            os.kill(os.getpid(), signal.SIGTTOU)
            time.sleep(_LOOK_S)  # where nobody is there to bring it back the system does not stop it


def _is_ours() -> bool:
    return os.tcgetpgrp(0) == os.getpgrp()
