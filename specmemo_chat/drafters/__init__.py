"""Drafters: what proposes the candidate continuations that the target verifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.errors import UsageError

if TYPE_CHECKING:
    from specmemo_chat.memory.contract import Plan
    from specmemo_chat.models.target import Target


def make_drafter(plan: Plan, target: Target) -> Drafter | None:
    """The drafter that the plan names; None for plain decoding."""
    if not plan.drafters:
        return None
    if plan.drafters == ("ngram",):
        return NgramDrafter()
    raise UsageError(f"no drafter is called {'+'.join(plan.drafters)}", "use --draft ngram or --draft none")
