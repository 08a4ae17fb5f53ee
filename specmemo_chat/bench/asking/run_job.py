"""Runs a Job in the measuring process and shows how far it is; Ctrl-C ends the measurement, not its result."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.errors import SpecmemoError, WorkerError, error_with_exit_code
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED

# So much of the end of what the process wrote to stderr is looked at where it died without a word.
TAIL_BYTES = 4000


def run_job(job: Job, screen: Screen, command: list[str] | None = None, *, debug: bool = False) -> dict[str, Any]:
    """The result. Raises the error that ended the measurement, WorkerError where its process died,
    KeyboardInterrupt where there is nothing to show. `debug`: what it writes to stderr is shown as it comes."""
    with tempfile.TemporaryFile() as errors:
        # A session of its own: Ctrl-C reaches it through us, once.
        process = subprocess.Popen(
            command or [sys.executable, "-m", "specmemo_chat.bench.measuring.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if debug else errors,
            start_new_session=True,
        )
        try:
            begun = threading.Event()
            with _handing_on(process, screen, begun) as interrupts:
                with contextlib.suppress(BrokenPipeError):
                    _send(process, job)
                answer = _follow(process, screen, begun)
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        if answer is None:
            if interrupts:
                raise KeyboardInterrupt
            raise _death(process.returncode, errors)
    if "error" in answer:
        error = answer["error"]
        if error["exit_code"] == INTERRUPTED:
            raise KeyboardInterrupt
        raise error_with_exit_code(error["exit_code"], error["message"], error["remedy"])
    result: dict[str, Any] = answer["result"]
    return result


@contextlib.contextmanager
def _handing_on(process: subprocess.Popen[bytes], screen: Screen, begun: threading.Event) -> Iterator[list[int]]:
    """Inside the block an interrupt goes to the process, which answers with what it has; a second one ends it, and so
    does the first before anything was measured (`begun`). Yields the interrupts so far."""
    interrupts: list[int] = []

    def hand_on(number: int, _frame: Any) -> None:
        interrupts.append(number)
        if len(interrupts) > 1 or not begun.is_set():
            process.kill()
            return
        process.send_signal(signal.SIGINT)
        screen.note("interrupted: what was measured so far follows; once more leaves at once")

    before = signal.signal(signal.SIGINT, hand_on)
    try:
        yield interrupts
    finally:
        # The end of the program may have begun: then nothing disturbs it.
        if signal.getsignal(signal.SIGINT) is hand_on:
            signal.signal(signal.SIGINT, before)


def _send(process: subprocess.Popen[bytes], job: Job) -> None:
    if process.stdin is not None:
        process.stdin.write(json.dumps(job.as_json()).encode() + b"\n")
        process.stdin.flush()


def _follow(process: subprocess.Popen[bytes], screen: Screen, begun: threading.Event) -> dict[str, Any] | None:
    """The last line of JSON that the process writes, None where it ended before it. Sets `begun` where there is a
    result to lose."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
    shown = screen.err.is_terminal and not screen.quiet
    with ProgressBar(*columns, console=screen.err, disable=not shown, transient=True) as bar:
        task = bar.add_task("starting", total=None, count="")
        for line in process.stdout or ():
            values: dict[str, Any] = json.loads(line)
            if "progress" not in values:
                return values
            done, total, what = values["progress"]
            if what != "loading":
                begun.set()
            count = f"{done} of {total}" if total else ""
            bar.update(task, description=_stage(what, total), completed=done, total=total or None, count=count)
    return None


def _stage(what: str, total: int) -> str:
    return what if not total or what == "steps" else "comparing"


def _death(code: int, errors: IO[bytes]) -> SpecmemoError:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - TAIL_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    if code == -signal.SIGKILL:
        return WorkerError(
            "the measuring process was killed, most likely because the memory ran out",
            "give a smaller --shape, --model or --ctx-size",
        )
    return WorkerError(f"the measuring process ended with {code}{last}", "run again with --debug and report it")
