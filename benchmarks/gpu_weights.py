"""What the formats of weights bring on a GPU: `python -m benchmarks.gpu_weights --output results.json`.

A model of a catalog's shape with random weights in each format: steps of some numbers of nodes behind a context (tokens
per second, share of the bandwidth that a copy on this device reaches), the products alone beside torch's, reading a
prompt, and whether a text that is decoded with trees is the plain one, logits bit by bit. Takes minutes of a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from specmemo_chat.bench.measuring.environment import environment
from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.engine.runner import Runner
from specmemo_chat.models import attention
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.matrices.gpu import kernel_problem
from specmemo_chat.models.target import Target
from specmemo_chat.speculation.tree import DraftTree

SIZES = {"1.1b": "tinyllama-1.1b-chat", "7b": "llama-2-7b-chat"}
# Runs of a figure; the numbers of nodes take turns.
ROUNDS = 20


def clock(device: torch.device) -> float:
    """Seconds, when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(device: torch.device, call: Callable[[], object], runs: int) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(runs):
        begin = clock(device)
        call()
        taken.append(clock(device) - begin)
    return statistics.median(taken)


def bandwidth(device: torch.device) -> float:
    """Bytes per second of a copy, read and written."""
    size = (1 << 30) if device.type == "cuda" else (1 << 25)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * size / seconds(device, lambda: target.copy_(source), 10)


class Subject:
    """A random model in one format with a context read."""

    def __init__(self, config: Mapping[str, Any], fmt: str, device: str, context: int, nodes: int) -> None:
        begin = time.perf_counter()
        compute = "bf16" if device.startswith("cuda") else "fp32"
        self.target = Target(drawn_model(config, dtype=fmt, device=device, seed=0, compute=compute), frozenset())
        self.device = self.target.device
        self.loaded_s = clock(self.device) - begin
        self._room = context + 256
        self._nodes = nodes
        drawn = random.Random(0)
        self.prompt = [drawn.randrange(self.target.vocab_size) for _ in range(context)]

    def runner(self) -> Runner:
        """A new one that has read the prompt."""
        graphed = self._nodes if self.device.type == "cuda" else 0
        arena = self.target.new_arena(1, self._room, 256, self._nodes, allocate_at_load=True, doubling=True)
        runner = Runner(self.target, arena, graphed=graphed)
        for at in range(0, len(self.prompt), 512):
            self.first = runner.prefill(0, self.prompt[at : at + 512])
        return runner

    def steps(self, counts: Sequence[int]) -> dict[int, float]:
        """Seconds of a step by its nodes."""
        runner = self.runner()
        trees = {count: branched(list(range(5, 5 + count)), random.Random(count))[0] for count in counts}
        for count, tree in trees.items():
            for _ in range(3):
                runner.score([0], [tree], count)
        taken: dict[int, list[float]] = {count: [] for count in counts}
        for _ in range(ROUNDS):
            for count, tree in trees.items():
                taken[count].append(seconds(self.device, partial(runner.score, [0], [tree], count), 1))
        return {count: statistics.median(times) for count, times in taken.items()}

    def decoded(self, tokens: int, nodes: int, plain: Sequence[int] = ()) -> tuple[list[int], list[torch.Tensor]]:
        """A greedy text and the logits that decided it. With `plain`, the known text, every step is a tree of `nodes`
        in which part of it hides behind wrong branches."""
        runner, drawn = self.runner(), random.Random(nodes)
        text, decided = [int(self.first.argmax())], [self.first[0].clone()]
        while len(text) < tokens:
            known = [*plain[len(text) - 1 : len(text) - 1 + drawn.randint(1, max(1, nodes - 2))]]
            tree, _ = branched(known or text[-1:], drawn, nodes)
            logits = runner.score([0], [tree], nodes).logits[: len(tree)]
            path = accepted(tree, logits.argmax(-1).tolist())
            decided.extend(logits[node].clone() for node in path)
            text.extend(int(logits[node].argmax()) for node in path)
            runner.commit([0], [path])
        return text[:tokens], decided[:tokens]

    def matrices(self) -> Iterator[Any]:
        """Those of all layers, then the output matrix."""
        for layer in self.target.model.model.layers:
            yield from (layer.self_attn.qkv, layer.self_attn.o_proj, layer.mlp.gate_up, layer.mlp.down_proj)
        yield self.target.model.lm_head


def branched(path: Sequence[int], drawn: random.Random, nodes: int = 0) -> tuple[DraftTree, list[int]]:
    """A tree whose one path is `path`, filled up to `nodes` (0: none) by wrong leaves that stand before and between its
    nodes, and where those of the path are."""
    tokens, parents, places = [path[0]], [-1], [0]
    spare = max(0, nodes - len(path))
    for at, token in enumerate(path[1:]):
        wrong = min(spare, drawn.randint(0, 2) if at < len(path) - 2 else spare)
        for other in range(wrong):
            # Siblings hold different tokens.
            tokens.append((token + 1 + other) % 256)
            parents.append(places[-1])
        spare -= wrong
        tokens.append(token)
        parents.append(places[-1])
        places.append(len(tokens) - 1)
    return DraftTree(tuple(tokens), tuple(parents), (1.0,) * len(tokens)), places


def accepted(tree: DraftTree, best: Sequence[int]) -> list[int]:
    """The nodes that greedy decoding takes, the root first."""
    path = [0]
    children = {
        (parent, token): node for node, (parent, token) in enumerate(zip(tree.parents, tree.tokens, strict=True))
    }
    while (path[-1], best[path[-1]]) in children:
        path.append(children[path[-1], best[path[-1]]])
    return path


def identical(subject: Subject, tokens: int, counts: Sequence[int]) -> dict[str, Any]:
    """Whether texts decoded with trees are the plain one, and how many of the logits that decided them are."""
    text, logits = subject.decoded(tokens, 1)
    found: dict[str, Any] = {}
    for count in (count for count in counts if count > 1):
        again, others = subject.decoded(tokens, count, text)
        equal = sum(torch.equal(one, other) for one, other in zip(logits, others, strict=True))
        found[str(count)] = {"text": again == text, "equal_logits": equal, "of": tokens}
    return found


def products(subject: Subject, rows: int, *, by_torch: bool) -> float:
    """Seconds of all products of a step, one after the other; `by_torch`: by its own of the same dense weights."""
    given = {m.in_features: torch.randn(rows, m.in_features, device=subject.device) for m in subject.matrices()}
    given = {width: x.to(subject.target.dtype) for width, x in given.items()}

    def run() -> None:
        for matrix in subject.matrices():
            if by_torch:
                functional.linear(given[matrix.in_features], matrix.weight)
            else:
                matrix.forward(given[matrix.in_features])

    run()
    if subject.device.type != "cuda":
        return seconds(subject.device, run, 3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return seconds(subject.device, graph.replay, ROUNDS)


def measured(subject: Subject, fmt: str, counts: Sequence[int], tokens: int, copied: float) -> dict[str, Any]:
    """All figures of one format."""
    begin = clock(subject.device)
    subject.runner()
    first_s = clock(subject.device) - begin
    prompt_s = seconds(subject.device, subject.runner, 3)
    steps = subject.steps(counts)
    nbytes = subject.target.model.nbytes
    result: dict[str, Any] = {
        "weight_bytes": nbytes,
        "load_s": subject.loaded_s,
        "first_prompt_s": first_s,
        "prompt_tokens_per_s": len(subject.prompt) / prompt_s,
        "steps": {
            str(count): {
                "ms": 1e3 * step,
                "of_plain": step / steps[counts[0]],
                "steps_per_s": 1 / step,
                "share_of_copy_bandwidth": nbytes / step / copied,
            }
            for count, step in steps.items()
        },
        "products_ms": {str(count): 1e3 * products(subject, count, by_torch=False) for count in counts},
        "identical": identical(subject, tokens, counts),
    }
    if fmt == "bf16":
        result["products_by_torch_ms"] = {str(count): 1e3 * products(subject, count, by_torch=True) for count in counts}
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="7b", help="7b, 1.1b, or a config.json")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--formats", default="bf16,q8,q4")
    parser.add_argument("--nodes", default="1,8,16,32")
    parser.add_argument("--context", type=int, default=512, help="tokens that were read before")
    parser.add_argument("--tokens", type=int, default=64, help="of the texts that are compared")
    parser.add_argument("--output", type=Path, help="a JSON file (default: standard output)")
    given = parser.parse_args(arguments)
    counts = [int(count) for count in given.nodes.split(",")]
    size = SIZES.get(given.shape)
    config = load_catalog()[size].config if size else json.loads(Path(given.shape).read_text(encoding="utf-8"))
    device = torch.device(given.device)
    attention.prefer(given.device)
    torch.set_grad_enabled(False)
    copied = bandwidth(device)
    result: dict[str, Any] = {
        "environment": environment(given.device),
        "shape": given.shape,
        "context": given.context,
        "kernels": kernel_problem(device) or "Triton",
        "copy_bytes_per_s": copied,
        "formats": {},
    }
    for fmt in given.formats.split(","):
        subject = Subject(config, fmt, given.device, given.context, max(counts))
        result["formats"][fmt] = measured(subject, fmt, counts, given.tokens, copied)
        del subject
        if given.output is not None:
            # What there is stays, whatever comes next.
            given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if given.output is None:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
