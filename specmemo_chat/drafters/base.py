"""The drafter's interface: batch-first, one draft tree for each sequence and step."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from specmemo_chat.speculation.tree import DraftTree, Verdict

if TYPE_CHECKING:
    import torch

    from specmemo_chat.kv.arena import KVArena


@dataclass(frozen=True)
class DraftRow:
    """What a drafter may know of one sequence. `tokens` is the sequence's own list (prompt and reply, the pending
    root last): read it, never change or keep it. `row` is the sequence's row in the arenas."""

    row: int
    tokens: list[int]


@dataclass(frozen=True)
class FeatureRow:
    """What the target thought of tokens that are now committed, in one sequence.

    `states` [n, width] are the hidden states of the tokens at positions [start, start + n), those of the drafter's
    `feature_layers` beside each other. `draft.tokens` already holds the token after the last of them.
    """

    draft: DraftRow
    start: int
    states: torch.Tensor


class Pace(Protocol):
    """Says whether drafting pays, before anything is run, and what of every further level (`speculation.pace`)."""

    def enough(self, tree: DraftTree, source: str) -> bool:
        """Whether `tree`, which cost next to nothing, promises as much as the network of the drafter `source` usually
        brings beyond its time."""
        ...

    def begin(self, source: str, rows: int) -> bool:
        """Whether the drafter `source` should run its network for `rows` rows in this step."""
        ...

    def least(self) -> float:
        """The path probability up to which no node can pay in this step: a draft need not keep it."""
        ...

    def skip(self) -> None:
        """What the drafter is doing takes a time that does not come again: it counts for nothing."""
        ...

    def deeper(self, depth: int, pools: Rows[Rows[float]], frontiers: Rows[Rows[float]], left: int) -> int:
        """How many of each row's frontier another level should follow, below `depth` (from 1 on) and with `left` levels
        that the budget allows; 0: no level.

        For each row: `pools` are the path probabilities of the best nodes so far, `frontiers` those of the nodes that
        the next level can follow; the likeliest first in both.
        """
        ...


@dataclass(frozen=True)
class DraftBudget:
    """Limits of one step: `nodes` of each tree (root included), `depth` levels below the root, `width` children.

    A drafter that runs a network asks `pace` whether it pays; None: draft whatever the limits allow.
    """

    nodes: int
    depth: int
    width: int
    pace: Pace | None = None


class Drafter(Protocol):
    """Proposes candidate continuations; keeps whatever it needs per row. Implementations inherit: `arenas` and
    `graph_problem` are those of a drafter without weights.

    `name` is the drafter's name in docs/reference.md's `drafter`. `feature_layers` are the indices of the hidden states
    that it wants from the target, as transformers numbers them: i < layers is the input of layer i, `layers` the output
    of the final norm (empty: none).
    """

    name: str
    feature_layers: tuple[int, ...]

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row, rooted at its last token; a tree of the root alone means no proposal."""
        ...

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        """What became of the last proposal."""
        ...

    def truncate(self, row: int, length: int) -> None:
        """The sequence in `row` now has only its first `length` tokens (0: the row is free).

        Where the drafter has `feature_layers`, features come again from position length - 1 on: those of the last
        remaining token belong to whatever token follows it now.
        """
        ...

    def arenas(self) -> Iterable[KVArena]:
        """Where its keys and values are."""
        return ()

    def graph_problem(self) -> str:
        """Why it runs without the CUDA graphs that the plan has; "" where it does not."""
        return ""


@runtime_checkable
class FeatureDrafter(Drafter, Protocol):
    """A drafter with `feature_layers`."""

    def known(self, row: int) -> int:
        """The position in `row` that `extend` must go on from."""
        ...

    def extend(self, rows: Rows[FeatureRow]) -> None:
        """Features of every committed token, once each and in order: after each prefill chunk and each step, plain
        steps and rows that do not speculate included."""
        ...
