"""The terminal's side of several workers that hold one model together: started by torchrun, linked by the first."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from specmemo_chat.errors import SpecmemoError, WorkerError, pack
from specmemo_chat.events import Event, Ready
from specmemo_chat.host import requests
from specmemo_chat.host.executor import LOADING_SILENCE_LIMIT_S, POLL_S, WorkerExecutor, end_of, start_process
from specmemo_chat.host.link import AGAIN, SMALLER_CAP, Link, Message
from specmemo_chat.host.listener import LOOPBACK, LinkListener
from specmemo_chat.host.requests import Load

# The launcher looks at its workers ten times a second, gives those that are left two seconds to leave, and then writes
# which one failed. On a busy machine all of that takes its time.
_REPORT_S = 4.0
_MEETING_S = 600.0


@dataclass(frozen=True)
class Nodes:
    """The machines that hold a model together: this one is number `rank` of `count`, and they meet at `endpoint`
    (HOST:PORT on machine 0, where the terminal is)."""

    count: int = 1
    rank: int = 0
    endpoint: str = ""


def torchrun_options(load: Load, nodes: Nodes) -> list[str]:
    """The options of torch.distributed.run. No restarts: a new worker would not know the conversation."""
    options = ["--nproc-per-node", str(len(load.devices)), "--max-restarts", "0", "--nnodes", str(nodes.count)]
    # Otherwise it makes a folder for logs that it never fills and never removes.
    options += ["--log-dir", os.devnull]
    if nodes.count == 1:
        # The machine's own name, torchrun's default, need not be known anywhere.
        return [*options, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--local-addr", LOOPBACK]
    # Not c10d, the elastic rendezvous: it numbers the machines as it likes, and worker 0 must be at the terminal.
    place = ["--rdzv-endpoint", nodes.endpoint, "--rdzv-conf", f"rank={nodes.rank}"]
    return [*options, "--rdzv-backend", "specmemo", *place]


class TorchrunExecutor(WorkerExecutor):
    """Workers for every device of `load` on this machine, and those of the other machines behind them. The process that
    is started here is their launcher; the link is that of worker 0."""

    leave_s = 10.0

    def __init__(self, load: Load, nodes: Nodes | None = None, log: Path | None = None) -> None:
        self._load = load
        self._nodes = nodes or Nodes()
        self._gone = False
        self._workers: list[psutil.Process] = []
        self._report = b""
        self._listener = LinkListener(everywhere=False)
        super().__init__(log, _launcher(load, self._nodes))

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        # The launcher's workers inherit nothing of ours but the lifeline.
        door = {"port": self._listener.port, "key": self._listener.key.hex()}
        process = start_process(command, self._log, stdout=subprocess.PIPE)
        _greet(process, {**door, "load": requests.encode(self._load)})
        return process

    @property
    def alive(self) -> bool:
        return super().alive and not self._gone

    def close(self) -> None:
        self._find_workers()
        super().close()
        self._listener.close()
        self._end()

    def _connected(self) -> Link:
        # Other machines may be minutes behind.
        limit = LOADING_SILENCE_LIMIT_S if self._nodes.count == 1 else _MEETING_S
        deadline = time.monotonic() + limit
        while self._link is None and super().alive and time.monotonic() < deadline:
            peer = self._listener.accept(POLL_S)
            self._link = peer.link if peer is not None else None
        return super()._connected()

    def _next_event(self, link: Link) -> Event:
        event = super()._next_event(link)
        if isinstance(event, Ready):
            self._find_workers()
        return event

    def _death(self) -> WorkerError:
        self._busy = False
        cause = self._cause()
        code = self._process.poll()
        self._end()
        if not cause:
            cause = "worker 0 closed its link" if code is None else f"the workers' launcher {end_of(code)}"
        return WorkerError(f"{cause}{self._log_hint}", AGAIN, SMALLER_CAP)

    def _lost(self, message: Message) -> SpecmemoError:
        # Worker 0 speaks, and ends itself then: that failure is not the one that is looked for.
        cause = self._cause(first_rank=1) if message["exit_code"] is None else ""
        self._end()
        if cause:
            message = {**message, "message": cause, "remedies": pack((AGAIN, SMALLER_CAP))}
        return super()._lost(message)

    def _hang(self, silent: float) -> WorkerError:
        self._busy = False
        world = self._load.plan.tp
        self._end()
        return WorkerError(
            f"worker 0 of {world} (its launcher: process {self._process.pid}) gave no sign of life for {silent:.0f} s; "
            "all workers were ended",
            AGAIN,
        )

    def _cause(self, first_rank: int = 0) -> str:
        """Which worker from `first_rank` on ended first and how, as this machine's launcher says; "" where it does
        not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_REPORT_S)
        out = self._process.stdout
        if self._process.poll() is not None and out is not None and not out.closed:
            self._report = self._report or out.read()
        return failed_worker(self._report, self._load.plan.tp, first_rank)

    def _find_workers(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._workers = psutil.Process(self._process.pid).children(recursive=True) or self._workers

    def _end(self) -> None:
        """End what is left of the workers and their launcher. Stopped processes hear nothing but SIGKILL."""
        self._gone = True
        self._find_workers()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for worker in self._workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        psutil.wait_procs(self._workers, timeout=2.0)


def _launcher(load: Load, nodes: Nodes) -> list[str]:
    return [sys.executable, "-m", "specmemo_chat.host.launcher", *torchrun_options(load, nodes)]


def _greet(process: subprocess.Popen[bytes], worker: dict[str, Any]) -> None:
    """Tell the launcher what its workers are to know."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(worker).encode() + b"\n")
            process.stdin.flush()


def failed_worker(report: bytes, world: int, first_rank: int = 0) -> str:
    """Which of `world` workers ended first and how, or why none was started, by the launcher's report; "" where it
    names none from `first_rank` on."""
    try:
        values = json.loads(report)
        failures = [failure for failure in values["failures"] if failure["rank"] >= first_rank]
    except (ValueError, KeyError):
        return ""
    if problem := values.get("problem"):
        return str(problem)
    # The others end because of the first: by an error of their own, or because the launcher ends them (SIGTERM).
    failures.sort(key=lambda failure: failure["exit_code"] >= 0 or failure["exit_code"] == -15)
    if not failures:
        return ""
    first = failures[0]
    return f"worker {first['rank']} of {world} (process {first['pid']}) {end_of(first['exit_code'])}"


def serve_node(load: Load, nodes: Nodes, log: Path | None = None) -> None:
    """Run this machine's workers for the terminal on machine 0, until it leaves. Raises WorkerError where one fails."""
    process = start_process(_launcher(load, nodes), log, stdout=subprocess.PIPE)
    with process:
        try:
            _greet(process, {"load": requests.encode(load)})
            report = process.stdout.read() if process.stdout is not None else b""
            code = process.wait()
        finally:
            # Its end is what the launcher leaves by, with all its workers.
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5.0)
    if code:
        cause = failed_worker(report, load.plan.tp) or f"the workers' launcher {end_of(code)}"
        hint = f"; its log: {log}" if log is not None else ""
        raise WorkerError(f"{cause}{hint}", "start the command on every machine again")
