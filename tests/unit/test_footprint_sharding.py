"""Weights a rank, planned and as transformers really shards them: whole models on meta tensors, over torch's fake
process group, without a GPU and without memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.memory.footprint import target_weights

FAMILIES = {
    "llama-2-70b-chat": "Llama",
    "qwen2.5-7b-instruct": "Qwen2",
    "qwen3-8b": "Qwen3",
    "mistral-7b-instruct": "Mistral",
}

# Runs in a process of its own, because a process group is for the whole process; in one, because its imports take long.
SHARD = """
import importlib, json, sys
import torch
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers.distributed import DistributedConfig

world, models = json.loads(sys.argv[1])
torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
sizes = {}
for name, (family, values) in models.items():
    package = importlib.import_module(f"transformers.models.{family.lower()}")
    model_class = getattr(package, f"{family}ForCausalLM")
    config = getattr(package, f"{family}Config")(**values)
    distributed, _, mesh = model_class.prepare_distribute_model(DistributedConfig(tp_plan="auto", tp_size=world))
    with torch.device("meta"):
        model = model_class(config).to(torch.bfloat16)
    model = model_class.maybe_distribute_model(model, distributed, mesh)
    sizes[name] = sum(getattr(tensor, "to_local", lambda t=tensor: t)().nbytes for tensor in model.parameters())
print(json.dumps(sizes))
"""


def has_distributed_api() -> bool:
    from transformers import PreTrainedModel

    return hasattr(PreTrainedModel, "maybe_distribute_model")


@pytest.mark.skipif(not has_distributed_api(), reason="this transformers shards by another interface")
@pytest.mark.parametrize("world", [8, 4])
def test_a_rank_holds_the_bytes_that_were_planned(world: int) -> None:
    models = {}
    for name, family in FAMILIES.items():
        entry = load_catalog()[name]
        if entry.spec().kv_heads % world == 0:
            own = {key: value for key, value in entry.config.items() if key not in ("model_type", "torch_dtype")}
            models[name] = (family, own)
    done = subprocess.run(
        [sys.executable, "-c", SHARD, json.dumps((world, models))],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = json.loads(done.stdout.splitlines()[-1])
    assert ranks == {name: target_weights(load_catalog()[name].spec(), "bf16", "bf16", world) for name in models}
    if world == 8:
        # Issue 3: 17.2 GB of weights a rank.
        assert ranks["llama-2-70b-chat"] == 17_246_470_144
