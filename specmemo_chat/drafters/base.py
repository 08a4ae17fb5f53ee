"""The drafter's interface: batch-first, one draft tree for each sequence and step."""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from specmemo_chat.speculation.tree import DraftTree, Verdict

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DraftRow:
    """What a drafter may know of one sequence. `tokens` is the sequence's own list (prompt and reply, the pending
    root last): read it, never change or keep it. `row` is the sequence's row in the arenas."""

    row: int
    tokens: list[int]


@dataclass(frozen=True)
class DraftBudget:
    """Limits of one step: `nodes` of each tree (root included), `depth` levels below the root, `width` children."""

    nodes: int
    depth: int
    width: int


class Drafter(Protocol):
    """Proposes candidate continuations; keeps whatever it needs per row.

    `name` is the drafter's name in CONTRACT.md's `drafter`. `feature_layers` are the indices of the hidden states
    that it wants from the target (empty: none).
    """

    name: str
    feature_layers: tuple[int, ...]

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row, rooted at its last token; a tree of the root alone means no proposal."""
        ...

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict], features: torch.Tensor | None = None) -> None:
        """What became of the last proposal. `features`: [rows, nodes, width] hidden states of the scored nodes."""
        ...

    def truncate(self, row: int, length: int) -> None:
        """The sequence in `row` now has only its first `length` tokens (0: the row is free)."""
        ...
