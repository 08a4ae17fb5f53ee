"""Drafters: what proposes the candidate continuations that the target verifies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.errors import Flag, ModelError, UsageError

if TYPE_CHECKING:
    from specmemo_chat.memory.contract import Plan
    from specmemo_chat.models.target import Target


def make_drafter(plan: Plan, target: Target, weights: Callable[[str], Any] | None = None) -> Drafter | None:
    """The drafter that the plan names; None for plain decoding.

    `plan.drafters` are the names in their order, `plan.draft` the local folder of the one that has weights; `weights`
    gives those of a name where they are loaded already. Raises as `load_weights` does.
    """
    chained = len(plan.drafters) > 1
    drafters = [_make(name, plan, target, chained, weights) for name in plan.drafters]
    if not chained:
        return drafters[0] if drafters else None
    from specmemo_chat.drafters.chain import ChainDrafter

    return ChainDrafter(drafters)


def _make(name: str, plan: Plan, target: Target, chained: bool, weights: Callable[[str], Any] | None) -> Drafter:
    # Imported where they are needed: a chat without weights for its draft should not wait for them.
    if name == "ngram":
        from specmemo_chat.drafters.chain import LONG_MATCH

        return NgramDrafter(LONG_MATCH if chained else 1)
    loaded = weights(name) if weights is not None else load_weights(name, plan, target)
    if name == "model":
        from specmemo_chat.drafters.model import ModelDrafter

        return ModelDrafter(loaded, target, plan)
    from specmemo_chat.drafters.eagle import EagleDrafter

    return EagleDrafter(loaded, target, plan)


def load_weights(name: str, plan: Plan, target: Target) -> Any:
    """The EagleHead or the draft's Target that the drafter `name` runs, from `plan.draft`.

    Raises ModelError for a draft that is damaged or another model's, UsageError for one that cannot draft for `target`.
    """
    from specmemo_chat.drafters.pairing import check_hash, check_tokenizers

    if name not in ("eagle", "eagle3", "model"):
        raise UsageError(f"no drafter is called {name}", Flag("--draft", "ngram"))
    if plan.draft is None:
        raise UsageError(f"the drafter {name} needs weights and the plan names none", Flag("--draft", "ID_OR_PATH"))
    folder = Path(plan.draft)
    if name == "model":
        from specmemo_chat.models.loading import load_target

        # Before the weights: it takes a moment, and they may take minutes.
        check_tokenizers(folder, Path(plan.target))
        planned = plan.terms.draft_weights
        return load_target(
            str(folder),
            dtype=plan.draft_dtype,
            compute=plan.kv_dtype,
            device=plan.device,
            planned_bytes=planned,
        )
    from specmemo_chat.drafters.eagle_head import load_head

    head = load_head(folder, target, plan.draft_dtype)
    if head.config.kind != name:
        raise ModelError(f"{folder} holds a head of the kind {head.config.kind}, and the plan is for {name}")
    check_hash(folder, head.config.target_hash, Path(plan.target))
    return head
