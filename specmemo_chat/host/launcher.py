"""Starts a group of workers by torch.distributed.run (torchrun), says why one of them ended, and leaves none behind.

Run as `python -m specmemo_chat.host.launcher [torchrun's options]`; the first line on standard input is what each
worker gets in its environment; from then on standard input is the lifeline (device/lifeline.py). Where a worker fails a
line of JSON on standard output says which: {"failures": [{"rank", "pid", "exit_code"}]}, and where none was started
why: "problem".
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import NoReturn

import psutil

from specmemo_chat.device.lifeline import leave_with_parent
from specmemo_chat.errors import WorkerError
from specmemo_chat.models.threads import limit_workers

# The greeting of a worker that torchrun started: its standard input is shared with the others.
GREETING = "SPECMEMO_WORKER"
WORKER_MODULE = "specmemo_chat.host.worker"


def main() -> None:
    # What libraries and workers print must not stand in the report.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ[GREETING] = sys.stdin.readline()
    leave_with_parent(_end_workers)
    # A stopped worker does not hear SIGTERM.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "2")
    # Every machine has as many workers: no agent waits for the others to number them.
    os.environ["TORCH_ELASTIC_WORKER_IDENTICAL"] = "1"
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    from specmemo_chat.host import meeting

    meeting.register()
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
        print(json.dumps({"failures": failures}), file=report, flush=True)
        _leave(1)
    except WorkerError as error:
        print(json.dumps({"failures": [], "problem": error.message}), file=report, flush=True)
        _leave(1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """The terminal waits for this: to take an interpreter with torch apart takes a second."""
    sys.stderr.flush()
    os._exit(code)


def _end_workers() -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    main()
