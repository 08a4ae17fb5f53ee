"""What a shell does for Ctrl-Z: runs the scripted chat as a job of its own; `fg` and Enter bring it back."""

from __future__ import annotations

import os
import signal
import sys
import termios
from pathlib import Path


def main() -> None:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    own_modes = termios.tcgetattr(0)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        chat = Path(__file__).with_name("chat.py")
        os.execv(sys.executable, [sys.executable, str(chat), *sys.argv[1:]])
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            sys.exit(os.waitstatus_to_exitcode(status))
        # The terminal is the shell's again, with the shell's idea of it, and so the job gets it back.
        os.tcsetpgrp(0, os.getpgrp())
        termios.tcsetattr(0, termios.TCSADRAIN, own_modes)
        if input("stopped\n$ ") != "fg":
            sys.exit(99)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)


if __name__ == "__main__":
    main()
