"""The line under the prompt: plan and measured memory against the cap, context, speed, acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specmemo_chat.events import Progress, Statistics
from specmemo_chat.memory.contract import Plan
from specmemo_chat.sizes import GIB, MIB

STAGES = {"download": "downloading", "load": "loading", "rehearsal": "rehearsing", "calibration": "measuring"}

SEPARATOR = " · "


@dataclass(frozen=True)
class Part:
    """One piece: in full, in short, and how early it goes (1 last)."""

    full: str
    short: str
    rank: int


def footer(plan: Plan, stats: Statistics | None, width: int, attached_tokens: int = 0) -> str:
    """At most `width` columns."""
    drafter = (stats.drafter if stats is not None else "+".join(plan.drafters)) or "none"
    parts: list[Part] = []
    if attached_tokens:
        parts.append(Part(f"+{attached_tokens} tokens of files", f"+{attached_tokens}", 2))
    peak = f" peak {small(stats.peak_bytes)}" if stats is not None and stats.peak_bytes else ""
    cap = small(plan.cap_bytes)
    parts.append(Part(f"plan {small(plan.total_bytes)}{peak} of {cap}", f"{small(plan.total_bytes)}/{cap}", 1))
    used = stats.prompt_tokens + stats.new_tokens if stats is not None else 0
    share = f"{100 * used // max(1, plan.context_tokens)}%"
    parts.append(Part(f"context {used}/{plan.context_tokens}", f"ctx {share}", 3))
    if stats is not None and stats.tokens_per_second:
        speed = f"{stats.tokens_per_second:.0f}"
        parts.append(Part(f"{speed} tokens/s", f"{speed} t/s", 4))
    if stats is not None and stats.steps and stats.drafter != "none":
        length = f"{stats.mean_acceptance_length:.1f}"
        parts.append(Part(f"acceptance {length} {drafter}", f"{length} {drafter}", 5))
    else:
        parts.append(Part(f"draft {drafter}", drafter, 6))
    return _fitted(parts, width)


def loading(plan: Plan, progress: Progress, seconds: float, width: int) -> str:
    """While the model loads."""
    stage = STAGES.get(progress.stage, progress.stage)
    share = f" {100 * progress.done // progress.total}%" if progress.total else ""
    parts = [
        Part(f"{stage} {plan.model}{share}, {seconds:.0f} s", f"{stage}{share} {seconds:.0f} s", 1),
        Part("type ahead: it is answered when ready", "type ahead", 2),
    ]
    return _fitted(parts, width)


def small(size: int) -> str:
    """A size in few characters: 488M, 18.8G."""
    return f"{size / GIB:.1f}G" if size >= GIB else f"{size / MIB:.0f}M"


def _fitted(parts: Sequence[Part], width: int) -> str:
    """In short without the pieces that go first, then in full, the most important first, where there is room."""
    left = list(parts)
    while len(left) > 1 and _length([part.short for part in left]) > width:
        left.remove(max(left, key=lambda part: part.rank))
    shown = {part.rank: part.short for part in left}
    for part in sorted(left, key=lambda part: part.rank):
        wider = {**shown, part.rank: part.full}
        if _length(list(wider.values())) <= width:
            shown = wider
    return f" {SEPARATOR.join(shown.values())}"[:width]


def _length(pieces: Sequence[str]) -> int:
    return 1 + len(SEPARATOR.join(pieces))
