"""A chain of drafters: what costs nothing stands in front, as long as it promises as much as the network behind it."""

from __future__ import annotations

from collections.abc import Sequence as Rows

import pytest

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow
from specmemo_chat.drafters.chain import ChainDrafter
from specmemo_chat.speculation.controller import Controller
from specmemo_chat.speculation.pace import _DECLINED_EVERY
from specmemo_chat.speculation.tree import DraftTree, Verdict

BUCKETS = (1, 2, 4, 8)


class Fixed(Drafter):
    """A drafter that proposes chains of so many tokens; it notes for which rows it was asked."""

    feature_layers: tuple[int, ...] = ()

    def __init__(self, name: str, *lengths: int) -> None:
        self.name, self.lengths = name, lengths
        self.asked: list[int] = []

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        self.asked.extend(row.row for row in rows)
        return [
            DraftTree.from_paths(row.tokens[-1], [range(1, self.lengths[row.row] + 1)], 64, [0.9], self.name)
            for row in rows
        ]

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None: ...

    def truncate(self, row: int, length: int) -> None: ...


class Choosy:
    """A pace for which trees of fewer nodes than `fewest` are not enough."""

    def __init__(self, fewest: int) -> None:
        self.fewest = fewest

    def enough(self, tree: DraftTree, source: str) -> bool:
        assert source == "network"
        return len(tree) >= self.fewest

    def begin(self, source: str, rows: int) -> bool:
        return True

    def least(self) -> float:
        return 0.0

    def deeper(self, depth: int, pools: Rows[Rows[float]], frontiers: Rows[Rows[float]], left: int) -> int:
        return 0


def test_a_poor_tree_is_kept_only_where_the_network_has_none() -> None:
    network = Fixed("network", 3, 3, 0, 0)
    chain = ChainDrafter([Fixed("cheap", 4, 1, 1, 0), network])
    rows = [DraftRow(row, [7]) for row in range(4)]
    trees = chain.propose(rows, DraftBudget(8, 4, 4, Choosy(3)))
    assert [(tree.source, len(tree)) for tree in trees] == [("cheap", 5), ("network", 4), ("cheap", 2), ("none", 1)]
    assert network.asked == [1, 2, 3]
    # Without a pace whatever comes first is enough.
    network.asked.clear()
    chain.propose(rows, DraftBudget(8, 4, 4))
    assert network.asked == [3]


def paced(advantage: float) -> Controller:
    """A controller that has seen a network bring so many tokens beyond its time, where 8 nodes take 1.4 plain steps."""
    controller = Controller(BUCKETS, clock=lambda: 0.0)
    for nodes, seconds in zip(BUCKETS, (0.010, 0.011, 0.012, 0.014), strict=True):
        controller.costs.learn(1, nodes, 64, [seconds])
    for _ in range(20):
        controller.aim(1, 50)
        controller.pace.begin("network", 1)
        controller.pace.settle(advantage)
    controller.aim(1, 50)
    return controller


def chain_of(estimate: float, length: int = 7) -> DraftTree:
    return DraftTree.from_paths(0, [list(range(1, length + 1))], 64, [estimate], "cheap")


@pytest.mark.parametrize(
    ("advantage", "estimate", "enough"), [(1.5, 0.95, True), (1.5, 0.3, False), (6.5, 0.95, False), (-0.2, 0.3, True)]
)
def test_a_tree_is_enough_if_it_promises_what_the_network_brings(
    advantage: float, estimate: float, enough: bool
) -> None:
    assert paced(advantage).pace.enough(chain_of(estimate), "network") is enough


def test_what_is_not_enough_is_tried_now_and_then() -> None:
    pace = paced(1.5).pace
    taken = [pace.enough(chain_of(0.1), "network") for _ in range(4 * _DECLINED_EVERY)]
    assert sum(taken) == 4


def test_before_the_network_is_known_any_tree_is_enough() -> None:
    controller = Controller(BUCKETS)
    controller.aim(1, 50)
    assert controller.pace.enough(chain_of(0.05), "network")


def test_estimates_are_corrected_by_what_was_accepted() -> None:
    controller = paced(1.5)
    tree = chain_of(0.9)
    assert controller.pace.enough(tree, "network")
    for _ in range(40):
        controller.observe([tree], [Verdict((0,), (9,), 9)], 0.014)
    controller.aim(1, 50)
    assert not controller.pace.enough(tree, "network")
