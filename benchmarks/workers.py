"""What two workers on this machine's processor take for a step, beside one: `docs/scaling.md` against reality.

    python -m torch.distributed.run --nproc-per-node 2 -m benchmarks.workers

Worker 0 holds the whole model too and runs it alone between the shared steps, so that both meet the same machine. The
prediction is the roofline's: half of the whole model's time, and the collectives as measured here.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from specmemo_chat.memory.scaling import Wire
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.masks import tree_mask
from specmemo_chat.models.mirror import _packed_mask, decode, encode
from specmemo_chat.models.parallel import Share
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree

# A model of 0.11 billion parameters: large enough that a step is reading weights, small enough for any machine.
SHAPE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": 8192,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
BATCHES = (1, 5, 10)
CONTEXT = 256


def random_target(share: Share) -> Target:
    """This worker's share of a model of SHAPE with random weights, without files."""
    model = drawn_model(SHAPE, dtype="fp32", device="cpu", seed=share.rank, share=share)
    return Target(model, frozenset(), tp=share.world)


def step_of(target: Target, rows: int) -> Callable[[], object]:
    """A plain decoding step of `rows` rows with CONTEXT tokens each; nothing is kept of it."""
    arena = target.new_arena(rows, CONTEXT + 64, 64, 8)
    trees = [DraftTree.root_only(5)] * rows
    for row in range(rows):
        arena.reserve(CONTEXT)
        arena.extend(row, CONTEXT)
    view = arena.view(CONTEXT + 1)
    tokens = torch.full((rows, 1), 5)
    positions = torch.full((rows, 1), CONTEXT)
    mask = tree_mask(trees, [CONTEXT] * rows, 1, view, "cpu")
    batch = Batch(range(rows), tokens, positions, positions, mask, view)
    return lambda: target.forward(arena, batch)


def typical(times: Sequence[float]) -> float:
    """The tenth percentile: whatever else the machine does only adds to a time."""
    return sorted(times)[len(times) // 10]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_wire(repeats: int) -> Wire:
    """The latency and the bandwidth of an all-reduce: of 4 KiB, as many behind each other as a step has, and of
    4 MiB."""
    times = []
    for size, count in ((1 << 10, 2 * SHAPE["num_hidden_layers"] + 1), (1 << 20, 1)):
        values = torch.zeros(size)
        reduce = partial(_all_reduce, values, count)
        reduce()
        times.append(typical([seconds_of(reduce) for _ in range(repeats)]) / count)
    small, large = times
    return Wire(small, (1 << 22) / max(large - small, 1e-9), "gloo between two processes here")


def _all_reduce(values: torch.Tensor, count: int) -> None:
    for _ in range(count):
        dist.all_reduce(values)


def measure_order(repeats: int) -> float:
    """Seconds that worker 0 and a follower spend on the order of a step with 16 nodes after 2,000 tokens."""
    mask = tree_mask([DraftTree.root_only(5)], [2000], 16, 2048, "cpu")
    integers = torch.zeros((3, 1, 16), dtype=torch.int32)

    def order() -> None:
        columns, packed = _packed_mask(mask)
        decode(encode({"order": "forward", "events": [], "rows": [0], "columns": columns}, [integers, packed]))

    return typical([seconds_of(order) for _ in range(repeats)])


def compare(rounds: int) -> dict[str, Any]:
    """Seconds of a step, alone and shared, for each batch size; worker 0's view."""
    rank, world = dist.get_rank(), dist.get_world_size()
    shared = random_target(Share(rank, world))
    whole = random_target(Share(0, 1)) if rank == 0 else None
    wire = measure_wire(50)
    result: dict[str, Any] = {"workers": world, "latency_s": wire.latency, "bandwidth": wire.bandwidth}
    result["order_s"] = measure_order(50)
    for rows in BATCHES:
        both, alone = step_of(shared, rows), step_of(whole, rows) if whole is not None else None
        times = SimpleNamespace(one=[], two=[])
        both()
        for _ in range(rounds):
            dist.barrier()
            if alone is not None:
                times.one.append(seconds_of(alone))
            dist.barrier()
            times.two.append(seconds_of(both))
        if rank == 0:
            one, two = typical(times.one), typical(times.two)
            hidden, vocab = rows * SHAPE["hidden_size"] * 4, rows * SHAPE["vocab_size"] * 4
            collectives = (2 * SHAPE["num_hidden_layers"] + 1) * wire.all_reduce(hidden, world)
            predicted = one / world + collectives + wire.gather(vocab, world)
            result[f"batch {rows}"] = {"one_s": one, "two_s": two, "predicted_s": predicted}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30, help="steps of each kind, interleaved")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    result = compare(rounds)
    if os.environ["RANK"] == "0":
        print(json.dumps({name: _rounded(value) for name, value in result.items()}))
    dist.destroy_process_group()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return round(value, 6) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
