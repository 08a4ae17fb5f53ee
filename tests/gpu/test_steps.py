"""What only a GPU shows: steps as CUDA graphs, the cap, and every text of the unit tests once more, there.

`pytest -m gpu -n 0 tests/gpu/test_steps.py`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.bench.measuring.shapes import random_twin
from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.engine.runner import Runner
from specmemo_chat.memory.graphs import driver_bytes
from specmemo_chat.models import attention
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.target import Target
from specmemo_chat.sizes import MIB
from specmemo_chat.speculation.tree import DraftTree
from tests.e2e.test_cli import specmemo

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
ROOT = Path(__file__).parents[2]
# Texts, trees, arenas and conversations: they make their models on the device that is named.
SUITES = ("lossless", "batched_engine", "eagle_drafter", "llama", "arena", "draft_model", "any_controller", "chain",
          "conversation", "conversation_batch")  # fmt: skip
CONFIG = {**load_catalog()["tinyllama-1.1b-chat"].config, "max_position_embeddings": 4096}


def chain(nodes: int) -> DraftTree:
    return DraftTree(tuple(range(5, 5 + nodes)), tuple(range(-1, nodes - 1)), (1.0,) * nodes)


def test_the_unit_tests_of_the_engine_pass_there() -> None:
    files = [f"tests/unit/test_{name}.py" for name in SUITES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", str(min(12, os.cpu_count() or 1)), *files],
        cwd=ROOT,
        env={**os.environ, "SPECMEMO_TEST_DEVICE": "cuda:0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def target() -> Target:
    attention.prefer("cuda:0")
    return Target(drawn_model(CONFIG, dtype="bf16", device="cuda:0", seed=0), frozenset())


def runner_of(target: Target, rows: int, graphed: int) -> Runner:
    runner = Runner(
        target, target.new_arena(rows, 1024, 256, 64, allocate_at_load=True, doubling=True), graphed=graphed
    )
    for row in range(rows):
        runner.prefill(row, [(7 * at + row) % 30_000 for at in range(300)])
    return runner


@pytest.mark.parametrize("rows", [1, 4])
def test_a_graph_gives_the_logits_of_an_eager_step(target: Target, rows: int) -> None:
    runner = runner_of(target, rows, 64 * rows)
    graphs = runner.graphs
    assert graphs is not None
    trees = [chain(8) for _ in range(rows)]
    eager, *replayed = [runner.score(range(rows), trees, 8).logits.clone() for _ in range(4)]
    assert graphs.captured == 1
    assert not graphs.problem
    assert all(torch.equal(one, eager) for one in replayed)


def test_the_driver_takes_no_more_for_graphs_than_planned(target: Target) -> None:
    runner = runner_of(target, 1, 64)
    graphs = runner.graphs
    assert graphs is not None

    def outside() -> int:
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        return total - free - torch.cuda.memory_reserved()

    for nodes in (1, 1):
        runner.score([0], [chain(nodes)], nodes)
    before, count = outside(), graphs.captured
    for nodes in (2, 4, 8, 16, 32, 64):
        for _ in range(2):
            runner.score([0], [chain(nodes)], nodes)
    made = graphs.captured - count
    assert made == 6
    # The driver takes memory by 2 MiB.
    assert outside() - before <= made * driver_bytes(target.layers, head=False) / 48 + 4 * MIB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 1.1 billion random weights with Pocket's tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    config = {**CONFIG, "vocab_size": 2048, "eos_token_id": None}
    random_twin(config, "bf16", "cuda:0", 0).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((ROOT / "specmemo_chat" / "pocket" / name).read_bytes())
    torch.cuda.empty_cache()
    return folder


@pytest.mark.parametrize("cap", [None, 3300, 2900])
def test_the_cap_holds_with_graphs_and_without(folder: Path, cap: int | None) -> None:
    flags = () if cap is None else ("--max-memory", f"{cap}MiB")
    asked = ("chat", "--model", str(folder), "--device", "cuda", *flags, "--json", "-n", "200", "-p", "A story.")
    done = specmemo(*asked, timeout=300)
    assert done.returncode == 0, done.stderr
    stats: dict[str, Any] = json.loads(done.stdout)["stats"]
    assert stats["new_tokens"] == 200
    assert stats["peak_bytes"] <= stats["cap_bytes"]
    assert cap is None or stats["cap_bytes"] == cap * MIB
