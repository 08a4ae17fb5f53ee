"""`python -m specmemo_chat` and the `specmemo` command."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` itself takes its time
import os
import sys

# While the modules load there is nothing to clean up after Ctrl-C, and no traceback to show. `run` takes this back.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))

from specmemo_chat import __version__
from specmemo_chat.terminal.ending import run


def main() -> None:
    """Run the command line and end the process."""
    run(_command)


def _command() -> None:
    if sys.argv[1:] == ["--version"]:
        # Scripts ask for it: it needs none of the commands.
        print(f"specmemo {__version__}")
        return
    # Without it the hub's client tells the hub which torch is here, and what kind of program started it.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from specmemo_chat.cli.app import main as app

    app()


if __name__ == "__main__":
    main()
