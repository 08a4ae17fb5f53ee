"""The line under the prompt: plan and measured memory against the cap, context, speed, acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from specmemo_chat.events import Progress, Statistics
from specmemo_chat.memory.contract import Plan
from specmemo_chat.sizes import GIB, MIB, counted

STAGES = {"download": "downloading", "load": "loading", "rehearsal": "rehearsing", "calibration": "measuring"}

SEPARATOR = " · "


@dataclass(frozen=True)
class Part:
    """One piece: its forms from the longest to the shortest, and how early it goes (1 last). `same`: the longer form
    says no more, so all others grow before it."""

    rank: int
    forms: tuple[str, ...]
    same: bool = False


def footer(
    plan: Plan, stats: Statistics | None, width: int, attached_tokens: int = 0, used_tokens: int | None = None
) -> str:
    """At most `width` columns. `used_tokens`: of the context; None where nobody counted them yet."""
    drafter = (stats.drafter if stats is not None else "+".join(plan.drafters)) or "none"
    parts: list[Part] = []
    if attached_tokens:
        parts.append(Part(2, (f"+{counted(attached_tokens, 'token')} of files", f"+{attached_tokens}")))
    peak = f" peak {small(stats.peak_bytes)}" if stats is not None and stats.peak_bytes else ""
    cap = small(plan.cap_bytes)
    parts.append(Part(1, (f"plan {small(plan.total_bytes)}{peak} of {cap}", f"{small(plan.total_bytes)}/{cap}")))
    if used_tokens is None:
        parts.append(Part(3, (f"context ?/{plan.context_tokens}", "ctx ?")))
    else:
        share = f"{percent(used_tokens, plan.context_tokens)}%"
        parts.append(Part(3, (f"context {used_tokens}/{plan.context_tokens}", f"ctx {share}")))
    if stats is not None and stats.tokens_per_second:
        speed = f"{stats.tokens_per_second:.0f}"
        parts.append(Part(4, (f"{speed} tokens/s", f"{speed} t/s"), same=True))
    if stats is not None and stats.steps and stats.drafter != "none":
        length = f"{stats.mean_acceptance_length:.1f}"
        named = f"{length} {drafter}"
        parts.append(Part(5, (f"acceptance {named}", f"acc {named}", named, f"acc {length}")))
    else:
        parts.append(Part(6, (f"draft {drafter}", drafter)))
    return _fitted(parts, width)


def loading(plan: Plan, progress: Progress, seconds: float, width: int) -> str:
    """While the model loads."""
    stage = STAGES.get(progress.stage, progress.stage)
    share = f" {100 * progress.done // progress.total}%" if progress.total else ""
    parts = [
        Part(1, (f"{stage} {plan.model}{share}, {seconds:.0f} s", f"{stage}{share} {seconds:.0f} s")),
        Part(2, ("type ahead: it is answered when ready", "type ahead")),
    ]
    return _fitted(parts, width)


def percent(used: int, total: int) -> int:
    """The share of the context that is used, rounded to the nearest: the same wherever it is shown."""
    return round(100 * used / max(1, total))


def small(size: int) -> str:
    """A size in few characters: 488M, 18.8G."""
    return f"{size / GIB:.1f}G" if size >= GIB else f"{size / MIB:.0f}M"


def _fitted(parts: Sequence[Part], width: int) -> str:
    """In short without the pieces that go first, then longer, the most important first, where there is room."""
    left = list(parts)
    while len(left) > 1 and _length([part.forms[-1] for part in left]) > width:
        left.remove(max(left, key=lambda part: part.rank))
    shown = {part.rank: part.forms[-1] for part in left}
    for part in sorted(left, key=lambda part: (part.same, part.rank)):
        for form in part.forms:
            wider = {**shown, part.rank: form}
            if _length(list(wider.values())) <= width:
                shown = wider
                break
    return f" {SEPARATOR.join(shown.values())}"[:width]


def _length(pieces: Sequence[str]) -> int:
    return 1 + len(SEPARATOR.join(pieces))
