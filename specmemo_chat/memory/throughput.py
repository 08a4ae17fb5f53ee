"""Expected tokens per second of a shape on a device: from steps that were measured there, from products of this
processor, or else from a bandwidth roofline.

By the roofline a step reads the weights and the keys and values once and computes on them; it takes the longer of the
two times. Where products were measured they stand in for the weights. Not counted are the host's own time, kernel
launches and, with several workers, their communication: on small models those dominate, and the running controller
measures what is true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.acceptance import expected_tokens, levels
from specmemo_chat.memory.contract import NODE_BUCKETS, QUANTISED, Dtype
from specmemo_chat.memory.footprint import Shape
from specmemo_chat.memory.matrices import matrix_bytes
from specmemo_chat.memory.rates import Rates
from specmemo_chat.memory.weights import (
    draft_weights,
    ends_dtype,
    layer_matrices,
    lookup_bytes,
    target_weights,
    words_of,
)
from specmemo_chat.profiles import Profile
from specmemo_chat.speculation.costs import DraftCosts, StepCosts

# The part of the theoretical bandwidth and of the peak rate that matrix kernels reach. CPU: its bandwidth as measured
# (bf16 linear layers at 12-22 of 31 GB/s: docs/notes/memory.md), its rate as it is, because a matrix product measured
# it. The others are assumptions.
BANDWIDTH_SHARE = {"cuda": 0.7, "rocm": 0.6, "mps": 0.7, "cpu": 0.5}
COMPUTE_SHARE = {"cuda": 0.5, "rocm": 0.4, "mps": 0.5, "cpu": 1.0}

# Bytes that are moved for each value of a weight that is unpacked (models/matrices/gpu.py): its code, fp32 that is
# written, scaled, shifted and rounded, and the result that is read.
_UNPACKING = {"q8": 20, "q4": 32}

# A turn for comparisons: MT-Bench's second turns with their history are about so long.
TURN_PROMPT, TURN_REPLY = 512, 256


@dataclass(frozen=True)
class StepTimes:
    """What steps of one model with weights in `dtype` took on the device, and levels of its draft."""

    dtype: Dtype
    steps: StepCosts
    drafts: DraftCosts


@dataclass(frozen=True)
class DeviceSpeed:
    """`bandwidth` in bytes/s and `compute` in operations/s as the maker states them or as they were measured; a
    `compute` of 0 is not known and then does not limit. `source` is a phrase for the user. `rates`: products of this
    processor as measured. `times` of the model in question stand in for all that, which then only carries them over to
    other precisions. `unpacks`: precisions whose weights are unpacked for every product."""

    kind: str
    bandwidth: int
    compute: int
    source: str
    times: StepTimes | None = None
    rates: Rates | None = None
    unpacks: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """What an expectation rests on, for the user."""
        if self.times:
            return "steps as chats with this model took them here"
        return "products as measured on this processor" if self.rates else f"roofline of {self.source}"

    def seconds(self, read: int, operations: int) -> float:
        """The time of one kernel sequence that reads so many bytes and does so many operations."""
        reading = read / (self.bandwidth * BANDWIDTH_SHARE[self.kind])
        computing = operations / (self.compute * COMPUTE_SHARE[self.kind]) if self.compute else 0.0
        return max(reading, computing)


@dataclass(frozen=True)
class Expected:
    """What a shape is expected to do. `tokens_per_second` of decoding over all rows, with the best of its trees, and
    `plain` without speculation; `prefill_s` for TURN_PROMPT tokens; `nodes` and `tokens_per_step` of that best tree."""

    tokens_per_second: float
    plain: float
    tokens_per_step: float
    nodes: int
    prefill_s: float
    rows: int

    @property
    def turn_throughput(self) -> float:
        """New tokens per second of a whole turn, prefill included."""
        replies = TURN_REPLY * self.rows
        return replies / (self.prefill_s * self.rows + replies / self.tokens_per_second)


def device_speed(device: DeviceInfo, profile: Profile) -> DeviceSpeed | None:
    """What is known of the device's speed: NVML's bandwidth, else the facts of a profile that names this device. None
    where nobody knows the bandwidth."""
    facts = profile.facts
    named = facts is not None and (facts.name == device.name or _named(device, profile))
    compute = facts.compute if facts is not None and named else 0
    bandwidth, source = device.memory_bandwidth, f"the bandwidth of {device.name}"
    if not bandwidth and facts is not None and named:
        bandwidth, source = facts.bandwidth, f"the bandwidth that profile {profile.name} gives"
    if not bandwidth:
        return None
    return DeviceSpeed(
        device.kind, bandwidth, compute, source, unpacks=tuple(dtype for dtype in QUANTISED if device.unpacks(dtype))
    )


def _named(device: DeviceInfo, profile: Profile) -> bool:
    return any(name.lower() in device.name.lower() for name in profile.match_names)


def expect(shape: Shape, drafters: tuple[str, ...], depth: int, width: int, speed: DeviceSpeed) -> Expected:
    """The expectation for a shape: of its node buckets and drafters the fastest wins, as the controller would choose,
    so it is never slower than plain decoding."""
    plain = shape.rows / step_seconds(shape, 1, speed)
    best = (plain, 1.0, 1)
    for drafter in drafters:
        for nodes in NODE_BUCKETS:
            if 1 < nodes <= shape.nodes:
                tokens = expected_tokens(drafter, nodes, depth, width)
                seconds = step_seconds(shape, nodes, speed)
                if drafter != "ngram":
                    seconds += draft_seconds(shape, levels(drafter, nodes, depth, width), speed, nodes)
                best = max(best, (shape.rows * tokens / seconds, tokens, nodes))
    rate, tokens, nodes = best
    return Expected(rate, plain, tokens, nodes, prefill_seconds(shape, TURN_PROMPT, speed), shape.rows)


def step_seconds(shape: Shape, nodes: int, speed: DeviceSpeed) -> float:
    """One verify step of `nodes` nodes in every row, at half of the context."""
    return _forward_seconds(shape, nodes, shape.context // 2, speed)


def prefill_seconds(shape: Shape, tokens: int, speed: DeviceSpeed) -> float:
    """The prefill of one prompt in chunks; every chunk reads all weights anew."""
    chunks, rest = divmod(min(tokens, shape.context), shape.chunk)
    sizes = [shape.chunk] * chunks + ([rest] if rest else [])
    alone = replace(shape, rows=1, full_rows=0)
    return sum(_forward_seconds(alone, size, tokens // 2, speed, cached=0) for size in sizes)


def draft_seconds(shape: Shape, runs: int, speed: DeviceSpeed, nodes: int = 1) -> float:
    """`runs` forwards of the draft head or model for trees of `nodes` nodes, one a level; each reads its weights and an
    output head."""
    if shape.draft is None or not runs:
        return 0.0
    if speed.times is not None:
        drafts = speed.times.drafts
        # The replayed head of a benchmark is called so behind its name.
        source = next((name for name, *_ in drafts.entries() if name.split()[0] == shape.draft.kind), None)
        if source is not None:
            level = drafts.level(source, max(1, shape.rows * (nodes - 1) // runs))
            return drafts.begin(source, shape.rows) + (runs - 1) * level
    spec = shape.draft.spec
    # EAGLE's output head is the target's share; EAGLE-3's and a model's own is part of their weights.
    shared = (words_of(shape.spec, shape.tp), spec.hidden) if shape.draft.kind == "eagle" else (0, 0)
    read = matrix_bytes(*shared, ends_dtype(shape.dtype), _on(speed))
    return runs * speed.seconds(draft_weights(shape.draft, cpu=speed.kind == "cpu") + read, 0)


def _forward_seconds(
    shape: Shape, tokens: int, context: int, speed: DeviceSpeed, *, cached: int | None = None
) -> float:
    """The target's forward over `tokens` tokens of every row. `cached`: bytes of keys and values that it reads."""

    def alone(shape: Shape, tokens: int) -> float:
        kv, attention = _kv_read(shape) if cached is None else cached, _attention(shape, tokens * shape.rows, context)
        if speed.rates is not None and speed.rates.knows(shape.dtype):
            return _products(shape, tokens * shape.rows, speed.rates) + speed.seconds(kv, attention)
        return speed.seconds(_weights_read(shape, speed) + kv, _multiplied(shape, tokens * shape.rows) + attention)

    times = speed.times
    if times is None:
        return alone(shape, tokens)
    if shape.dtype == times.dtype:
        return times.steps.seconds(shape.rows, tokens, context)
    own = replace(shape, dtype=times.dtype, compute=shape.compute if times.dtype in QUANTISED else times.dtype)
    # What the host and small kernels add stays as it is.
    plain, known = times.steps.seconds(shape.rows, 1, context), alone(own, 1)
    return max(0.0, plain - known) + min(1.0, plain / known) * alone(shape, tokens)


def _products(shape: Shape, rows: int, rates: Rates) -> float:
    """The products of a forward over `rows` rows in all: those of the layers, and of the output layer, which a forward
    of more rows than a step has computes for one."""
    spec = shape.spec
    layer = sum(outputs * inputs for outputs, inputs in layer_matrices(spec, shape.tp))
    asked = rows if rows <= NODE_BUCKETS[-1] * shape.rows else 1
    output = words_of(spec, shape.tp) * spec.hidden * rates.of(ends_dtype(shape.dtype), asked)
    return spec.layers * layer * rates.of(shape.dtype, rows) + output


def _weights_read(shape: Shape, speed: DeviceSpeed) -> int:
    """Bytes of weights that a forward moves on one worker: all but an embedding table that is only looked up; where
    they are unpacked first, they are written and read again."""
    spec, cpu = shape.spec, speed.kind == "cpu"
    weights = target_weights(spec, shape.dtype, shape.compute, shape.tp, cpu=cpu)
    again = _UNPACKING[shape.dtype] if shape.dtype in speed.unpacks else 0
    return weights - lookup_bytes(spec, shape.dtype, shape.tp, cpu=cpu) + again * _matrix_values(spec) // shape.tp


def _on(speed: DeviceSpeed) -> str:
    return "cpu" if speed.kind == "cpu" else "cuda"


def _kv_read(shape: Shape) -> int:
    return shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp) * (shape.context // 2) * shape.rows


def _matrix_values(spec: ModelSpec) -> int:
    """Weights that are multiplied: all but an embedding that is only looked up."""
    return spec.parameters - (0 if spec.tied_embeddings else spec.vocab * spec.hidden)


def _multiplied(shape: Shape, tokens: int) -> int:
    """Multiplications and additions of one worker's forward: two for each weight that is multiplied."""
    return tokens * 2 * _matrix_values(shape.spec) // shape.tp


def _attention(shape: Shape, tokens: int, context: int) -> int:
    """Those of its attention: four for each pair of query and key in every head."""
    spec = shape.spec
    return tokens * 4 * spec.layers * spec.heads * spec.head_dim * context // shape.tp
