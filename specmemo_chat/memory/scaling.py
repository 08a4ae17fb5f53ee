"""What a step of several workers spends its time on: the roofline of `throughput`, and the collectives between them.

A sharded layer needs two all-reduces (after attention and MLP), a step one more for the embedding and one gathering of
the logits. An all-reduce of n bytes over p workers takes latency + 2 · (p - 1) / p · n / bandwidth (a ring: Patarasuk
and Yuan 2009), a gathering latency + (p - 1) / p · n / bandwidth. They do not overlap with the computation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specmemo_chat.memory.acceptance import expected_tokens, levels
from specmemo_chat.memory.contract import NODE_BUCKETS
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.memory.throughput import DeviceSpeed, draft_seconds, step_seconds


@dataclass(frozen=True)
class Wire:
    """What is between the workers: `latency` seconds of a collective of no size, `bandwidth` bytes/s in each
    direction. `source` is a phrase for the reader."""

    latency: float
    bandwidth: float
    source: str

    def all_reduce(self, size: int, workers: int) -> float:
        """Seconds of summing `size` bytes."""
        if workers == 1:
            return 0.0
        return self.latency + 2 * (workers - 1) / workers * size / self.bandwidth

    def gather(self, size: int, workers: int) -> float:
        """Seconds of gathering `size` bytes in all."""
        if workers == 1:
            return 0.0
        return self.latency + (workers - 1) / workers * size / self.bandwidth


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step: `local` is weights and keys and values, or the arithmetic where that takes longer; `wire`
    the collectives; `draft` the draft, its collectives included. `tokens` come out of it, over all rows."""

    nodes: int
    local: float
    wire: float
    draft: float
    tokens: float

    @property
    def seconds(self) -> float:
        return self.local + self.wire + self.draft

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def wire_seconds(shape: Shape, tokens: int, wire: Wire) -> float:
    """The collectives of one forward over `tokens` tokens in all."""
    spec, b = shape.spec, shape.value_bytes
    hidden = tokens * spec.hidden * b
    return (2 * spec.layers + 1) * wire.all_reduce(hidden, shape.tp) + wire.gather(tokens * spec.vocab * b, shape.tp)


def step_time(
    shape: Shape, drafter: str, nodes: int, depth: int, width: int, speed: DeviceSpeed, wire: Wire
) -> StepTime:
    """One verify step with trees of `nodes` nodes (1: plain decoding) in every row, at half of the context."""
    wired = wire_seconds(shape, nodes * shape.rows, wire)
    if nodes == 1:
        return StepTime(1, step_seconds(shape, 1, speed), wired, 0.0, shape.rows)
    draft = 0.0
    if drafter != "ngram":
        runs = levels(drafter, nodes, depth, width)
        draft = draft_seconds(shape, runs, speed)
        if drafter == "eagle":
            # Every level calls the target's embedding and output layer, which all workers hold together.
            b, drafted = shape.value_bytes, width * shape.rows
            draft += runs * wire.all_reduce(drafted * shape.spec.hidden * b, shape.tp)
            draft += runs * wire.gather(drafted * shape.spec.vocab * b, shape.tp)
    tokens = shape.rows * expected_tokens(drafter, nodes, depth, width)
    return StepTime(nodes, step_seconds(shape, nodes, speed), wired, draft, tokens)


def best_step(shape: Shape, drafter: str, depth: int, width: int, speed: DeviceSpeed, wire: Wire) -> StepTime:
    """The step of the most tokens per second, as the controller would choose: plain where no tree pays."""
    sizes = [nodes for nodes in NODE_BUCKETS if nodes <= shape.nodes]
    steps = (step_time(shape, drafter, nodes, depth, width, speed, wire) for nodes in sizes)
    return max(steps, key=lambda step: step.tokens_per_second)


def bound(shape: Shape, step: StepTime, speed: DeviceSpeed, wire: Wire) -> str:
    """What takes most of a step's time: "weights", "KV", "arithmetic", "wire" or "draft"."""
    without_kv = step_seconds(replace(shape, context=0), step.nodes, replace(speed, compute=0))
    reading = step_seconds(shape, step.nodes, replace(speed, compute=0))
    parts = {
        "weights": without_kv,
        "KV": reading - without_kv,
        "wire": step.wire,
        "draft": step.draft,
    }
    if step.local > reading:
        parts = {"arithmetic": step.local, "wire": step.wire, "draft": step.draft}
    return max(parts, key=lambda name: parts[name])
