"""Precisions in which a plan would be faster on its device."""

from __future__ import annotations

from dataclasses import dataclass

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.concessions import in_precision, runs
from specmemo_chat.memory.contract import QUANTISED, Dtype
from specmemo_chat.memory.footprint import total
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.throughput import DeviceSpeed, expect
from specmemo_chat.profiles import Profile

# A smaller gain may be none: it is an estimate.
_WORTH = 1.2


@dataclass(frozen=True)
class Faster:
    """In `dtype` the model is expected to be `times` as fast."""

    dtype: Dtype
    times: float

    @property
    def sentence(self) -> str:
        return f"--dtype {self.dtype}: about {self.times:.1f} times as fast here"


def faster_precisions(
    outcome: Outcome, device: DeviceInfo, profile: Profile, speed: DeviceSpeed | None
) -> tuple[Faster, ...]:
    """q8 and q4 where they fit and are expected to be worth it; q4, which loses more, only where it is faster again.
    None where the device has no kernels for them: what torch does there was never measured."""
    plan, shape = outcome.plan, outcome.shape
    found: list[Faster] = []
    if speed is None or not outcome.fits or shape.unpacks:
        return ()

    def rate(dtype: Dtype) -> float:
        other = in_precision(shape, dtype, device)
        if not runs(other) or total(other) > plan.cap_bytes:
            return 0.0
        return expect(other, plan.drafters, profile.tree_depth, profile.tree_width, speed).tokens_per_second

    own = best = rate(shape.dtype)
    for dtype in QUANTISED:
        faster = rate(dtype)
        if own and faster >= _WORTH * best:
            best = faster
            found.append(Faster(dtype, faster / own))
    return tuple(found)
