"""Starts a group of workers by torch.distributed.run (torchrun), says why one of them ended, and leaves none behind.

Run as `python -m specmemo_chat.host.launcher [torchrun's options]`; the first line on standard input is JSON: what each
worker gets in its environment ("worker") and the file for the report of a failure ("report"). Standard input then stays
open: its end means that the terminal's process has ended, however it ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

import psutil

from specmemo_chat.models.threads import limit_workers

# The greeting of a worker that torchrun started: its standard input is shared with the others.
GREETING = "SPECMEMO_WORKER"
WORKER_MODULE = "specmemo_chat.host.worker"


def main() -> None:
    greeting = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_parent, name="parent", daemon=True).start()
    os.environ[GREETING] = json.dumps(greeting["worker"])
    # A stopped worker does not hear SIGTERM.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "2")
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    options = parse_args([*sys.argv[1:], "--module", WORKER_MODULE])  # type: ignore[no-untyped-call]
    limit_workers(int(options.nproc_per_node))
    config, command, arguments = config_from_args(options)
    try:
        elastic_launch(config=config, entrypoint=command)(*arguments)
    except ChildFailedError as error:
        failures = [
            {"rank": rank, "pid": failure.pid, "exit_code": failure.exitcode}
            for rank, failure in error.failures.items()
        ]
        Path(greeting["report"]).write_text(json.dumps({"failures": failures}), encoding="utf-8")
        _leave(1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """The terminal waits for this: to take an interpreter with torch apart takes a second."""
    sys.stderr.flush()
    os._exit(code)


def _watch_parent() -> None:
    """End the workers and leave when the parent's end of standard input closes."""
    while os.read(sys.stdin.fileno(), 4096):
        continue
    children = psutil.Process().children(recursive=True)
    # They read the end of the same input and leave by themselves, unless they are stopped.
    _, left = psutil.wait_procs(children, timeout=1.0)
    for process in left:
        process.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
