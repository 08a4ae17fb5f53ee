"""Weights a rank, planned and as transformers really shares them out: whole models on meta tensors,
over torch's fake process group, without a GPU and without memory. The EAGLE-70B head too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.drafters.eagle_format import required
from specmemo_chat.drafters.eagle_head import EagleHead
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.weights import draft_weights, target_weights
from specmemo_chat.setup.draft import published_head

FAMILIES = {
    "llama-2-70b-chat": "Llama",
    "qwen2.5-7b-instruct": "Qwen2",
    "qwen3-8b": "Qwen3",
    "mistral-7b-instruct": "Mistral",
}

SPLITS_EMBEDDINGS = [int(part) for part in version("transformers").split(".")[:2]] >= [5, 23]

# Runs in a process of its own, because a process group is for the whole process; in one, because its imports take long.
SHARD = """
import importlib, json, sys
import torch
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers.distributed import DistributedConfig

sizes = {}
for world, models in json.loads(sys.argv[1]):
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=world)
    for name, (family, values) in models.items():
        package = importlib.import_module(f"transformers.models.{family.lower()}")
        model_class = getattr(package, f"{family}ForCausalLM")
        config = getattr(package, f"{family}Config")(**values)
        distributed, _, mesh = model_class.prepare_distribute_model(DistributedConfig(tp_plan="auto", tp_size=world))
        with torch.device("meta"):
            model = model_class(config).to(torch.bfloat16)
        theirs = model_class.maybe_distribute_model(model, distributed, mesh)
        sizes[f"{name} / {world}"] = sum(
            getattr(tensor, "to_local", lambda t=tensor: t)().nbytes for tensor in theirs.parameters()
        )
    torch.distributed.destroy_process_group()
print(json.dumps(sizes))
"""


@pytest.mark.skipif(not SPLITS_EMBEDDINGS, reason="transformers before 5.23 leaves the embedding whole; we split it")
def test_a_rank_holds_the_bytes_that_were_planned() -> None:
    tasks, planned = [], {}
    for world in (8, 4, 2):
        models = {}
        for name, family in FAMILIES.items():
            entry = load_catalog()[name]
            spec = entry.spec()
            # One large model at every size, the other families at one.
            if spec.kv_heads % world == 0 and (world == 4 or name == "llama-2-70b-chat"):
                own = {key: value for key, value in entry.config.items() if key not in ("model_type", "torch_dtype")}
                models[name] = (family, own)
                planned[f"{name} / {world}"] = target_weights(spec, "bf16", "bf16", world)
        tasks.append((world, models))
    done = subprocess.run(
        [sys.executable, "-c", SHARD, json.dumps(tasks)],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "RANK": "0", "LOCAL_RANK": "0", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == planned
    assert len(planned) == 6
    # Issue 3: 17.2 GB of weights a rank.
    assert planned["llama-2-70b-chat / 8"] == 17_246_470_144


def test_the_eagle_70b_head() -> None:
    """2.0 GB in half precision on the worker that drafts, beside the target's own embedding and output layer."""
    entry = load_catalog()["llama-2-70b-chat"]
    config = parse(published_head(entry))
    shapes = required(config)
    tensors = {name: torch.empty(shape, dtype=torch.bfloat16, device="meta") for name, shape in shapes.items()}
    target = SimpleNamespace(vocab_size=entry.spec().vocab)
    head = EagleHead(config, tensors, target)
    planned = draft_weights(head_shape(config, entry.draft, "bf16"))
    assert head.nbytes == pytest.approx(planned, rel=0.01)
    assert planned == pytest.approx(1.98e9, rel=0.01)
