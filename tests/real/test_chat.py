"""Chats with a real chat model: what the bundled one hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_cli import specmemo

pytestmark = pytest.mark.real


def test_it_knows_the_capital_of_france(real_model: Path) -> None:
    result = specmemo("chat", "--model", str(real_model), "-p", "What is the capital of France?")
    assert result.returncode == 0, result.stderr
    assert "Paris" in result.stdout
