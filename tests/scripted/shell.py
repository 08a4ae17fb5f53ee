"""What a shell does for Ctrl-Z: runs the scripted chat as a job of its own. `fg` brings it back, `bg` lets it go on
without the terminal, `kill` ends it as it is."""

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
        match input("stopped\n$ "):
            case "fg":
                os.tcsetpgrp(0, job)
            case "kill":
                os.killpg(job, signal.SIGTERM)
            case "bg":
                pass
            case _:
                sys.exit(99)
        os.killpg(job, signal.SIGCONT)


if __name__ == "__main__":
    main()
