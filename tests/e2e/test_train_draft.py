"""`specmemo train-draft` as a user runs it: on the bundled model, killed, stopped, gone on with, and the head used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = [sys.executable, "-m", "specmemo_chat"]
FLAGS = [
    *("--steps", "8", "--batch-tokens", "256", "--row-tokens", "128", "--depth", "2", "--draft-vocab", "256"),
    *("--intermediate", "64", "--max-new-tokens", "24", "--save-every", "0", "--json"),
]
LIMIT = 120


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "chats.jsonl"
    words = ("owl", "fox", "hen", "cat", "bee", "ant")
    lines = [{"turns": [f"Spell {word}.", "Thanks!"]} for word in words]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return file


def train(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "train-draft", "--data", str(data), "-o", str(out), *FLAGS, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("through") / "head"
    done = train(data, out)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def log_of(out: Path) -> list[dict[str, Any]]:
    lines = (out / "training" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def started(data: Path, out: Path, step: int) -> subprocess.Popen[str]:
    """A run that has done `step` steps."""
    process = subprocess.Popen(
        [*COMMAND, "train-draft", "--data", str(data), "-o", str(out), *FLAGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + LIMIT
    log = out / "training" / "log.jsonl"
    while time.monotonic() < end and process.poll() is None:
        if log.exists() and len(log.read_text(encoding="utf-8").splitlines()) >= step:
            return process
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def test_what_it_reports(trained: tuple[Path, dict[str, Any]]) -> None:
    out, report = trained
    assert report["schema"] == 1
    assert (report["kind"], report["steps"], report["head"]) == ("eagle3", 8, str(out))
    assert report["head_bytes"] == (out / "model.safetensors").stat().st_size
    assert report["acceptance_length"] == report["held_out"][-1]["acceptance_length"] >= 1
    assert report["held_out"][-1]["loss"] < report["held_out"][0]["loss"]
    assert [entry["step"] for entry in log_of(out)] == list(range(1, 9))


def test_the_head_drafts_in_a_chat_and_changes_nothing(trained: tuple[Path, dict[str, Any]]) -> None:
    texts = []
    for draft in (str(trained[0]), "none"):
        done = subprocess.run(
            [*COMMAND, "chat", "-p", "Spell owl.", "--draft", draft, "--dtype", "fp32", "--json"],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        values = json.loads(done.stdout)
        texts.append(values["text"])
        assert ("eagle3" in values["stats"]["drafter"]) == (draft != "none")
    assert texts[0] == texts[1]


def test_a_killed_run_is_told_and_goes_on_to_the_same_end(
    data: Path, tmp_path: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    out = tmp_path / "head"
    process = started(data, out, 3)
    (worker,) = psutil.Process(process.pid).children()
    worker.suspend()
    second = train(data, out)
    assert second.returncode == 2, second.stderr
    assert "another train-draft is running" in second.stderr
    worker.kill()
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 1, said
    assert "the training process ended" in said
    assert "run the same command again" in said
    assert not (out / "model.safetensors").exists()
    done = train(data, out)
    assert done.returncode == 0, done.stderr
    assert "going on at step" in done.stderr
    assert log_of(out) == log_of(trained[0])
    assert (out / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()
    # Other flags are another run.
    other = train(data, out, "--seed", "5")
    assert other.returncode == 2
    assert "another seed" in other.stderr


def test_ctrl_c_saves_and_leaves(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "head"
    process = started(data, out, 2)
    (worker,) = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 130, said
    assert "all saved" in said
    assert not worker.is_running()
    assert (out / "training" / "checkpoint.pt").exists()


def test_nothing_trains_on_when_the_command_is_killed(data: Path, tmp_path: Path) -> None:
    process = started(data, tmp_path / "head", 1)
    (worker,) = psutil.Process(process.pid).children()
    process.kill()
    process.communicate(timeout=LIMIT)
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("flags", "code", "what"),
    [
        (["--max-memory", "420MiB"], 3, "fix:"),
        (["--feature-layers", "2,99"], 2, "hidden state 99"),
        (["--feature-layers", "x"], 2, "no list of numbers"),
        (["--draft-vocab", "9999"], 2, "2048 tokens"),
        (["--data", "nowhere.jsonl"], 2, "is no file"),
        (["--start", "nowhere"], 4, "nowhere"),
    ],
)
def test_wrong_input(data: Path, tmp_path: Path, flags: list[str], code: int, what: str) -> None:
    done = train(data, tmp_path / "head", *flags)
    assert done.returncode == code, done.stderr
    assert what in done.stderr
    assert not (tmp_path / "head" / "training").exists()
