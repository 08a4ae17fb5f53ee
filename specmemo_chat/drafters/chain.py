"""Drafters in a chain: each is asked only for the rows that those before it have no proposal for, or a poor one."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Rows
from itertools import zip_longest

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow, FeatureDrafter, FeatureRow
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.speculation.tree import DraftTree, Verdict

# Before a drafter that runs a network, the n-gram drafter must match this many tokens: of one nothing is expected.
LONG_MATCH = 2


class ChainDrafter(FeatureDrafter):
    """Implements FeatureDrafter over `drafters`, the cheapest first; at most one of them has `feature_layers`."""

    def __init__(self, drafters: Rows[Drafter]) -> None:
        self.drafters = tuple(drafters)
        self.name = "+".join(drafter.name for drafter in drafters)
        readers = [drafter for drafter in drafters if isinstance(drafter, FeatureDrafter) and drafter.feature_layers]
        if len(readers) > 1:
            raise ValueError("a chain has at most one drafter that reads the target's features")
        self._reader = readers[0] if readers else None
        self.feature_layers: tuple[int, ...] = self._reader.feature_layers if self._reader is not None else ()

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """Each row's tree from the first drafter that has one, unless the next one can be expected to do better."""
        trees = [DraftTree.root_only(row.tokens[-1]) for row in rows]
        open_rows = list(range(len(rows)))
        for drafter, following in zip_longest(self.drafters, self.drafters[1:]):
            if not open_rows:
                break
            for index, tree in zip(
                open_rows, drafter.propose([rows[index] for index in open_rows], budget), strict=True
            ):
                # What was not enough is still better than nothing.
                if len(tree) > 1:
                    trees[index] = tree
            if following is not None:
                open_rows = [index for index in open_rows if not _enough(trees[index], following.name, budget)]
        return trees

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        for drafter in self.drafters:
            drafter.observe(rows, verdicts)

    def known(self, row: int) -> int:
        return self._reader.known(row) if self._reader is not None else 0

    def extend(self, rows: Rows[FeatureRow]) -> None:
        if self._reader is not None:
            self._reader.extend(rows)

    def truncate(self, row: int, length: int) -> None:
        for drafter in self.drafters:
            drafter.truncate(row, length)

    def arenas(self) -> Iterable[KVArena]:
        return (arena for drafter in self.drafters for arena in drafter.arenas())

    def graph_problem(self) -> str:
        return next((problem for drafter in self.drafters if (problem := drafter.graph_problem())), "")


def _enough(tree: DraftTree, following: str, budget: DraftBudget) -> bool:
    return len(tree) > 1 and (budget.pace is None or budget.pace.enough(tree, following))
