"""The plan of a real chat model against what its chats took, from the first start on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.test_cli import specmemo

pytestmark = pytest.mark.real

# Words of the messages: about 35, 330 and 1,100 tokens with the chat template.
LENGTHS = (5, 300, 1060)


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_no_chat_takes_more_than_was_planned(real_model: Path, dtype: str) -> None:
    """The first start of a model counts assumptions, the later ones what the first measured."""
    words = "the old bridge over the river is closed while people repair its wooden deck ".split()
    for length in LENGTHS:
        text = " ".join(words[at % len(words)] for at in range(length))
        result = specmemo(
            "chat", "--model", str(real_model), "--dtype", dtype, "--json", "-n", "48", "-p", f"Say why: {text}?"
        )
        assert result.returncode == 0, result.stderr
        stats = json.loads(result.stdout)["stats"]
        assert stats["prompt_tokens"] > length
        assert stats["peak_bytes"] <= stats["planned_bytes"] <= 1.25 * stats["peak_bytes"], stats
