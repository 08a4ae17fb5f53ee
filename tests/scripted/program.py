"""`specmemo` with scripted workers, for tests: everything is real but the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, str(Path(__file__).with_name("chat.py")))
ROOT = Path(__file__).parents[2]
# Fits every machine that runs tests, and needs no probing of devices.
FLAGS = ("--max-memory", "600MiB", "--ctx-size", "512", "--dtype", "fp32", "--device", "cpu")
# A reply that takes ten seconds, a word at a time.
SLOW = [[f"word{number} ", False, 0.02] for number in range(500)]


def environment(folder: Path, replies: dict[str, Any] | None = None, **others: Any) -> dict[str, str]:
    """What the program needs beside its own environment; its script, with `others` in it, is written into `folder`."""
    script = folder / "script.json"
    script.write_text(json.dumps({"replies": {"Everything": SLOW, **(replies or {})}, **others}), encoding="utf-8")
    return {"SCRIPT": str(script), "PYTHONPATH": str(ROOT)}


def run(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `environment` must be set."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
