"""The tables of docs/scaling.md: `python -m benchmarks.scaling` prints them.

All figures are computed from the profiles' facts, the footprint and the acceptance curves; the wires are assumptions.
What two workers really take is measured by `bench.workers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape, total
from specmemo_chat.memory.request import PlanRequest, start
from specmemo_chat.memory.scaling import Wire, best_step, bound, step_time
from specmemo_chat.memory.throughput import DeviceSpeed, device_speed
from specmemo_chat.profiles import Profile, load_profiles

# Links of one device in one direction, and what a small collective takes: assumptions, from the makers' figures and
# published measurements of NCCL and RCCL.
WIRES = {
    "mi250-64gb-x8": Wire(30e-6, 50e9, "Infinity Fabric: 50 GB/s, 30 us a collective"),
    "h100-80gb": Wire(15e-6, 360e9, "NVLink 4: 360 of 450 GB/s, 15 us a collective"),
}
HEAD = (
    "GPUs", "batch", "plain step, ms", "collectives", "bound by", "plain, tokens/s", "EAGLE tree", "EAGLE, tokens/s",
    "gain",
)  # fmt: skip
BATCHES = (1, 5, 10, 32)
WORKERS = (1, 2, 8)
CONTEXT = 2048
NODES = 64


@dataclass(frozen=True)
class Row:
    """One line of a table; no cells where this batch, and so every larger one, does not fit the devices."""

    workers: int
    batch: int
    cells: tuple[str, ...] | None


def tables() -> str:
    """All tables, in Markdown."""
    profiles = load_profiles(None)
    parts = []
    for model in ("llama-2-7b-chat", "llama-2-70b-chat"):
        for name in WIRES:
            parts.append(f"**{model} in half precision, {name}**\n\n" + _table(model, profiles[name]))
    return "\n\n".join(parts) + "\n"


def _table(model: str, profile: Profile) -> str:
    lines = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    for row in rows(model, profile):
        cells = row.cells or ("does not fit", *("",) * (len(HEAD) - 3))
        lines.append(" | ".join((str(row.workers), str(row.batch), *cells)))
    return "\n".join(f"| {line} |" for line in lines)


def rows(model: str, profile: Profile) -> Iterator[Row]:
    """The lines for every number of workers and batch size."""
    if profile.facts is None:
        raise ValueError(f"the profile {profile.name} describes no device")
    device = described_device(profile.facts)
    speed, wire = device_speed(device, profile), WIRES[profile.name]
    if speed is None:
        raise ValueError(f"nobody knows the bandwidth of {device.name}")
    cap = profile.cap_for(device)
    for workers in WORKERS:
        for batch in BATCHES:
            shape = shape_of(model, profile, workers, batch)
            if total(shape) > cap:
                yield Row(workers, batch, None)
                break
            yield Row(workers, batch, _cells(shape, profile, speed, wire))


def shape_of(model: str, profile: Profile, workers: int, batch: int) -> Shape:
    """The model with its EAGLE head on so many workers, for conversations of at most CONTEXT tokens."""
    if profile.facts is None:
        raise ValueError(f"the profile {profile.name} describes no device")
    entry = load_catalog()[model]
    spec = entry.spec()
    head = DraftShape(
        "eagle",
        replace(spec, layers=1),
        "fp16",
        vocab=spec.vocab,
        target_hidden=spec.hidden,
        feature_count=1,
        fc_bias=True,
    )
    request = PlanRequest(context=CONTEXT, rows=batch, tp=workers, head=head, draft="eagle")
    aimed = start(spec, described_device(profile.facts), profile, request)
    return replace(aimed, nodes=NODES, chunk=256, allocate_at_load=True)


def _cells(shape: Shape, profile: Profile, speed: DeviceSpeed, wire: Wire) -> tuple[str, ...]:
    depth, width = profile.tree_depth, profile.tree_width
    plain = step_time(shape, "none", 1, depth, width, speed, wire)
    best = best_step(shape, "eagle", depth, width, speed, wire)
    return (
        f"{1000 * plain.seconds:.1f}",
        f"{100 * plain.wire / plain.seconds:.0f} %",
        bound(shape, plain, speed, wire),
        f"{plain.tokens_per_second:.0f}",
        f"{best.nodes} nodes" if best.nodes > 1 else "none",
        f"{best.tokens_per_second:.0f}",
        f"{best.tokens_per_second / plain.tokens_per_second:.2f}x",
    )


if __name__ == "__main__":
    print(tables(), end="")
