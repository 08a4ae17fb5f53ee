"""Which of several workers is named where one of them has ended: the first cause, not what follows from it."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import torch

from specmemo_chat.errors import ModelError, WorkerError
from specmemo_chat.host import follower
from specmemo_chat.host.meeting import Meeting
from specmemo_chat.host.torchrun import failed_worker


def report_of(*failures: tuple[int, int]) -> bytes:
    """A launcher's report: (rank, exit code) of each."""
    listed = [{"rank": rank, "pid": 100 + rank, "exit_code": code} for rank, code in failures]
    return json.dumps({"failures": listed}).encode()


@pytest.mark.parametrize(
    ("failures", "first_rank", "expected"),
    [
        # The others end by an error of their own, or because the launcher ends them.
        (((0, 1), (2, -9), (1, 1)), 0, "worker 2 of 4 (process 102) was killed by SIGKILL"),
        (((0, -9),), 0, "worker 0 of 4 (process 100) was killed by SIGKILL"),
        # Worker 0 has just said that one on another machine has ended; that it ends itself then is no cause.
        (((0, 1),), 1, ""),
        (((0, 1), (1, -11)), 1, "worker 1 of 4 (process 101) was killed by SIGSEGV"),
        ((), 0, ""),
    ],
)
def test_the_first_cause(failures: tuple[tuple[int, int], ...], first_rank: int, expected: str) -> None:
    found = failed_worker(report_of(*failures), 4, first_rank)
    assert found.replace(" (often the system's out-of-memory killer)", "") == expected


@pytest.mark.parametrize(("rank", "words"), [(0, "cannot be used: "), (1, "was not reached for 1 s: ")])
def test_a_port_that_is_taken_or_not_reached_is_named(rank: int, words: str) -> None:
    """By the launcher, before there is a worker."""
    family, dual = (socket.AF_INET6, True) if socket.has_dualstack_ipv6() else (socket.AF_INET, False)
    with socket.create_server(("", 0), family=family, dualstack_ipv6=dual) as other:
        port = other.getsockname()[1]
        if rank:
            other.close()
        with pytest.raises(WorkerError, match=f"port {port} of localhost {words}") as caught:
            Meeting("localhost", port, rank, 2, "none", 1).next_rendezvous()
    report = json.dumps({"failures": [], "problem": caught.value.message}).encode()
    assert failed_worker(report, 2) == caught.value.message


def test_a_report_that_did_not_come() -> None:
    assert failed_worker(b"", 2) == ""
    assert failed_worker(b'{"failures": [{"ra', 2) == ""


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (RuntimeError("[gloo] Connection closed by peer"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (MemoryError(), False),
        (ModelError("the file is truncated", "download it again"), False),
    ],
)
def test_a_failed_collective_is_reported_after_its_cause(
    error: Exception, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one of three workers dies, the collective of the other two fails: the dead one is to be named."""
    done: list[Any] = []

    class Line:
        def send(self, message: dict[str, Any]) -> None:
            done.append(message["event"])

    monkeypatch.setattr(follower.time, "sleep", lambda _seconds: done.append("waited"))
    follower._report(Line(), error)  # type: ignore[arg-type]
    assert done == (["waited", "Failed"] if waits else ["Failed"])
