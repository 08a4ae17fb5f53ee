"""Expected tokens per second of a shape on a device: step times that were measured there, or else a bandwidth roofline.

By the roofline a step reads the weights and the keys and values once and computes on them; it takes the longer of the
two times. Not counted are the host's own time, kernel launches and, with several workers, their communication: on small
models those dominate, and the running controller measures what is true.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.acceptance import expected_tokens, levels
from specmemo_chat.memory.contract import BYTES_PER_VALUE, NODE_BUCKETS, Dtype
from specmemo_chat.memory.footprint import Shape, draft_weights, target_weights
from specmemo_chat.profiles import Profile
from specmemo_chat.speculation.costs import DraftCosts, StepCosts

# The part of the theoretical bandwidth and of the peak rate that matrix kernels reach. CPU: its bandwidth as measured
# (bf16 linear layers at 12-22 of 31 GB/s: docs/notes/memory.md), its rate as it is, because a matrix product measured
# it. The others are assumptions.
BANDWIDTH_SHARE = {"cuda": 0.7, "rocm": 0.6, "mps": 0.7, "cpu": 0.5}
COMPUTE_SHARE = {"cuda": 0.5, "rocm": 0.4, "mps": 0.5, "cpu": 1.0}

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
    `compute` of 0 is not known and then does not limit. `source` is a phrase for the user. `times` of the model in
    question stand in for the roofline, which then only carries them over to other precisions."""

    kind: str
    bandwidth: int
    compute: int
    source: str
    times: StepTimes | None = None

    @property
    def basis(self) -> str:
        """What an expectation rests on, for the user."""
        return "steps as chats with this model took them here" if self.times else f"roofline of {self.source}"

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
    if device.memory_bandwidth:
        return DeviceSpeed(device.kind, device.memory_bandwidth, compute, f"the bandwidth of {device.name}")
    if facts is not None and named and facts.bandwidth:
        return DeviceSpeed(device.kind, facts.bandwidth, compute, f"the bandwidth that profile {profile.name} gives")
    return None


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
    shared = shape.spec.vocab * spec.hidden * shape.value_bytes // shape.tp if shape.draft.kind == "eagle" else 0
    return runs * speed.seconds(draft_weights(shape.draft) + shared, 0)


def _forward_seconds(
    shape: Shape, tokens: int, context: int, speed: DeviceSpeed, *, cached: int | None = None
) -> float:
    """The target's forward over `tokens` tokens of every row. `cached`: bytes of keys and values that it reads."""

    def roofline(shape: Shape, tokens: int) -> float:
        read = _weights_read(shape) + (_kv_read(shape) if cached is None else cached)
        return speed.seconds(read, _operations(shape, tokens * shape.rows, context))

    times = speed.times
    if times is None:
        return roofline(shape, tokens)
    if shape.dtype == times.dtype:
        return times.steps.seconds(shape.rows, tokens, context)
    own = replace(shape, dtype=times.dtype, compute=times.dtype)
    plain = times.steps.seconds(shape.rows, 1, context) / roofline(own, 1)
    return plain * roofline(shape, tokens)


def _weights_read(shape: Shape) -> int:
    """Bytes of weights that a forward reads on one worker: all but an embedding table that is only looked up."""
    spec = shape.spec
    weights = target_weights(spec, shape.dtype, shape.compute, shape.tp)
    table = 0 if spec.tied_embeddings else spec.vocab * spec.hidden * BYTES_PER_VALUE[shape.compute] // shape.tp
    return weights - table


def _kv_read(shape: Shape) -> int:
    return shape.spec.kv_bytes_per_token(shape.value_bytes, shape.tp) * (shape.context // 2) * shape.rows


def _operations(shape: Shape, tokens: int, context: int) -> int:
    """Multiplications and additions of one worker's forward: two for each weight that is multiplied, four for each pair
    of query and key in every head."""
    spec = shape.spec
    matrices = spec.parameters - (0 if spec.tied_embeddings else spec.vocab * spec.hidden)
    attention = 4 * spec.layers * spec.heads * spec.head_dim * context
    return tokens * (2 * matrices + attention) // shape.tp
