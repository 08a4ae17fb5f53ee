"""`specmemo` whose workers are scripted (worker.py): everything but the model is real. Run as a program."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from specmemo_chat.__main__ import main
from specmemo_chat.host import executor

WORKER = Path(__file__).with_name("worker.py")


class ScriptedExecutor(executor.WorkerExecutor):
    __init__ = functools.partialmethod(  # type: ignore[assignment]
        executor.WorkerExecutor.__init__, command=[sys.executable, str(WORKER)]
    )


if __name__ == "__main__":
    executor.WorkerExecutor = ScriptedExecutor  # type: ignore[misc]
    main()
