"""The exit codes of docs/reference.md that need more than one wrong word; the others are in test_cli.py."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_sessions import until_stored
from tests.scripted.program import FLAGS, PROGRAM, environment, run


@pytest.fixture(autouse=True)
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_0_a_pipeline_prints_only_the_answer() -> None:
    line = f"printf 'red door red door' | {' '.join(PROGRAM)} chat {' '.join(FLAGS)} -p 'Summarise:' | cat"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "You said: Summarise:\n\nred door red door\n"
    # Nothing of it is kept: it was one message, for a script.
    assert "no conversation" in run("sessions", "ls").stderr


def test_0_probe_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "nonsense")
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert run("probe").returncode == 0


def test_1_a_worker_that_dies() -> None:
    process = start("chat", *FLAGS, "--session", "dies", "-p", "Everything")
    until_stored("partial", 1)
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "was killed by SIGKILL" in errors
    assert "Traceback" not in errors
    # What was shown of the reply is stored, as partial.
    assert "cut off" in run("sessions", "show", "dies").stdout


def test_4_a_gated_model() -> None:
    done = run("models", "pull", "llama-2-7b-chat")
    assert done.returncode == 4
    assert "hf auth login" in done.stderr


def test_5_is_for_an_explicit_device_only() -> None:
    # A card that is not here: asked for by name it is an error, with `auto` the processor does.
    assert run("chat", "--device", "cuda:7", "-p", "x").returncode == 5
    assert run("chat", "--max-memory", "600MiB", "--device", "auto", "-p", "x").returncode == 0


@pytest.mark.parametrize("as_json", [True, False])
def test_130_an_interrupted_reply_is_printed_all_the_same(as_json: bool) -> None:
    flags = ["--json"] if as_json else []
    process = start("chat", *FLAGS, "--session", "stop", *flags, "-p", "Everything")
    text = until_stored("partial", 10)
    os.kill(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    if as_json:
        values = json.loads(out)
        assert values["finish_reason"] == "interrupted"
        assert values["text"].startswith(text.strip())
    else:
        assert out.startswith(text)
    assert until_stored("interrupted", 10).startswith(text.strip())
