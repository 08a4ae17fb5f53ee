"""The paper's figures for batches (arXiv 2506.01986) at a 7B shape with replayed acceptance; workers over NCCL or RCCL.

`pytest -m gpu -n 0 tests/gpu`: not part of the suite. On an H100 the throughput at ten rows is 8.2 x (met), and
speculation brings 1.46 x there (not met).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import batching
from tests.e2e.test_cli import specmemo

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(7200)]
# A bar is met where the lower bound is so much below it at the most.
SLACK = 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_ten_conversations_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Batched speculative decoding 2 x batched plain decoding, and 8 x the throughput of one conversation at a time."""
    flags = ["--shape", "7b", "--device", "cuda:0", "--dtype", "fp16", "--prompts", "random", "--json"]
    batching.main([*flags, "--batch-sizes", "1,2,5,10"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    for size, row in rows.items():
        assert row["speculative_vs_plain"]["low"] >= 0.98 - SLACK, size
    assert rows["10"]["plain_vs_one_row"]["low"] >= 8 - SLACK
    assert rows["10"]["speculative_vs_plain"]["low"] >= 2 - SLACK


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("temperature", ["0", "0.9"])
def test_two_gpus_are_one(tiny_folder: Path, temperature: str) -> None:
    flags = (
        "--model",
        str(tiny_folder),
        "--device",
        "cuda",
        "--dtype",
        "fp32",
        "--ctx-size",
        "256",
        "-s",
        "7",
        "-n",
        "24",
    )
    texts = []
    for gpus in ("1", "2"):
        done = specmemo("chat", *flags, "--gpus", gpus, "--temp", temperature, "-p", "Hello there", timeout=300)
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout)
    assert texts[0] == texts[1] != ""
