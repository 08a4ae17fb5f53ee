"""Runs a Job in the measuring process and shows how far it is; Ctrl-C ends the measurement, not its result."""

from __future__ import annotations

import signal
import sys
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.errors import WorkerError, error_with_exit_code
from specmemo_chat.host.job import JobProcess
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED


def run_job(job: Job, screen: Screen, command: list[str] | None = None, *, debug: bool = False) -> dict[str, Any]:
    """The result. Raises the error that ended the measurement, WorkerError where its process died,
    KeyboardInterrupt where there is nothing to show. `debug`: what it writes to stderr is shown as it comes."""
    command = command or [sys.executable, "-m", "specmemo_chat.bench.measuring.process"]
    note = "interrupted: what was measured so far follows; once more leaves at once"
    with JobProcess(command, job.as_json(), lambda: screen.note(note), debug=debug) as process:
        answer = _follow(process, screen)
    if "error" in answer:
        error = answer["error"]
        if error["exit_code"] == INTERRUPTED:
            raise KeyboardInterrupt
        raise error_with_exit_code(error["exit_code"], error["message"], error["remedy"])
    result: dict[str, Any] = answer["result"]
    return result


def _follow(process: JobProcess, screen: Screen) -> dict[str, Any]:
    """The last line that the process writes. Raises WorkerError where it ended before it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
    shown = screen.err.is_terminal and not screen.quiet
    with ProgressBar(*columns, console=screen.err, disable=not shown, transient=True) as bar:
        task = bar.add_task("starting", total=None, count="")
        for values in process.lines():
            if "progress" not in values:
                return values
            done, total, what = values["progress"]
            process.valuable = process.valuable or what != "loading"
            count = f"{done} of {total}" if total else ""
            stage = what if not total or what == "steps" else "comparing"
            bar.update(task, description=stage, completed=done, total=total or None, count=count)
    code, last = process.ended()
    if code == -signal.SIGKILL:
        raise WorkerError(
            "the measuring process was killed, most likely because the memory ran out",
            "give a smaller --shape, --model or --ctx-size",
        )
    raise WorkerError(f"the measuring process ended with {code}{last}", "run again with --debug and report it")
