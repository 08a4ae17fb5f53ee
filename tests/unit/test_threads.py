"""How many threads a process computes with."""

from __future__ import annotations

import os

import pytest

from specmemo_chat.models import threads


@pytest.mark.parametrize(
    ("wish", "workers", "expected"),
    [
        ("", 1, 6),
        ("", 2, 3),
        ("", 8, 1),
        ("2", 1, 2),
        ("64", 1, 6),
        ("2", 3, 2),
        ("4,2", 1, 4),
        ("0", 1, 6),
        ("x", 2, 3),
    ],
)
def test_threads_are_shared_and_limited(
    monkeypatch: pytest.MonkeyPatch, wish: str, workers: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert threads.threads_each(workers) == expected
    # What torchrun hands on is what each of its workers then computes with.
    threads.limit_workers(workers)
    assert os.environ["OMP_NUM_THREADS"] == str(expected)
    assert threads.threads_each(workers) == expected
