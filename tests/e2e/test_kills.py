"""kill -9 at random moments of a chat: the database always opens, and nothing that was shown is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "kill_harness.py"


@pytest.mark.parametrize("kills", [50, pytest.param(1000, marks=[pytest.mark.stress, pytest.mark.timeout(1800)])])
def test_kills_at_random_moments_lose_no_shown_turn(tmp_path: Path, kills: int) -> None:
    command = [sys.executable, str(HARNESS), str(tmp_path / "sessions.db"), str(kills), "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["kills"] >= kills
    # The kills did strike while replies were made, and at the prompt.
    assert min(summary["struck"]["reply"], summary["struck"]["prompt"]) >= kills // 20, summary
