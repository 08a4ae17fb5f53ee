"""The pace of drafting, with simulated costs: levels are drafted while they pay, and for the nodes that can."""

from __future__ import annotations

import random

import pytest

from specmemo_chat.drafters.base import DraftBudget
from specmemo_chat.speculation.controller import PROBE_EVERY, Controller
from specmemo_chat.speculation.pace import Prober, best_size, sizes
from specmemo_chat.speculation.tree import DraftTree, Verdict

BUCKETS = (1, 2, 4, 8, 16, 32)
# Seconds of a step by nodes: reading the weights, then computing.
COSTS = {nodes: 0.010 + 0.0006 * nodes for nodes in BUCKETS}


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_the_best_size_is_that_of_a_full_search(rows: int) -> None:
    rng = random.Random(3)
    offered = sizes(rows, BUCKETS)
    relatives = [1 + 0.05 * (size - 1) for size in offered]
    for _ in range(100):
        gains = sorted((rng.random() ** 3 for _ in range(rng.randrange(1, 32 * rows))), reverse=True)
        price = 1 + 2 * rng.random()
        value, place = best_size(gains, rows, offered, relatives, price)
        values = [
            (rows + sum(gains[: int(rows * (size - 1))])) / rows - price * relative
            for size, relative in zip(offered, relatives, strict=True)
        ]
        assert value == pytest.approx(max(values))
        assert values[place] == pytest.approx(max(values))


class Clock:
    """A clock that a made-up network moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Network:
    """A made-up drafter that grows a chain level by level, each level taking `level_s`; the target agrees with the
    share `right` of its tokens, and its confidence says so."""

    def __init__(self, clock: Clock, level_s: float, right: float, seed: int = 0) -> None:
        self.clock, self.level_s, self.right = clock, level_s, right
        self.random = random.Random(seed)
        self.levels = 0
        self.asked = 0

    def tree(self, budget: DraftBudget) -> DraftTree:
        pace = budget.pace
        assert pace is not None
        if not pace.begin("eagle", 1):
            return DraftTree.root_only(0)
        self.asked += 1
        self._run()
        depth = 1
        while depth < budget.depth:
            chain = [self.right**level for level in range(1, depth + 1)]
            if not pace.deeper(depth, [chain], [chain[-1:]], budget.depth - depth):
                break
            self._run()
            depth += 1
        path = list(range(1, depth + 1))
        return DraftTree.from_paths(0, [path], budget.nodes, [self.right], "eagle")

    def _run(self) -> None:
        self.levels += 1
        self.clock.now += self.level_s


def run_network(level_s: float, right: float, steps: int = 1500) -> tuple[Network, float]:
    """(the drafter, tokens per second of its last 1000 steps)."""
    clock = Clock()
    controller = Controller(BUCKETS, clock=clock)
    for nodes, seconds in COSTS.items():
        controller.costs.learn(1, nodes, 256, [seconds])
    network = Network(clock, level_s, right)
    budget = DraftBudget(32, 8, 1, controller.pace)
    tokens, since = 0, 0.0
    for step in range(steps):
        if step == steps - 1000:
            tokens, since = 0, clock.now
            network.levels = network.asked = 0
        controller.aim(1, 256)
        before = clock.now
        tree = network.tree(budget)
        controller.drafted(clock.now - before)
        (tree,) = controller.choose([tree])
        path = [0]
        for node in range(1, len(tree)):
            if network.random.random() >= right:
                break
            path.append(node)
        seconds = COSTS[controller.bucket(len(tree))]
        clock.now += seconds
        tokens += len(path)
        controller.observe([tree], [Verdict(tuple(path), (*path[1:], 9), 9)], seconds)
    return network, tokens / (clock.now - since)


def best_depth(level_s: float, right: float) -> float:
    """Tokens per second of the best fixed depth, plain decoding included."""
    rates = []
    for depth in range(9):
        nodes = next(size for size in BUCKETS if size >= depth + 1)
        rates.append(sum(right**level for level in range(depth + 1)) / (COSTS[nodes] + depth * level_s))
    return max(rates)


@pytest.mark.parametrize("level_s", [0.0002, 0.002, 0.006, 0.02])
@pytest.mark.parametrize("right", [0.3, 0.6, 0.9])
def test_levels_are_drafted_while_they_pay(level_s: float, right: float) -> None:
    _, rate = run_network(level_s, right)
    assert rate >= 0.95 * best_depth(level_s, right)


def test_dear_levels_make_shallow_trees_and_useless_ones_none() -> None:
    cheap, dear, useless = (run_network(*case)[0] for case in ((0.0002, 0.8), (0.004, 0.8), (0.02, 0.3)))
    assert cheap.levels / cheap.asked > dear.levels / dear.asked + 1
    assert useless.asked <= 1000 // PROBE_EVERY + 1
    assert useless.asked >= 1000 // PROBE_EVERY - 1


def followed(frontier: list[float], *, wide_s: float) -> int:
    """How many nodes of `frontier` a level follows, where one of them takes 1 ms and four of them `wide_s`."""
    controller = Controller(BUCKETS)
    for nodes, seconds in COSTS.items():
        controller.costs.learn(1, nodes, 256, [seconds])
    controller.drafts.observe("eagle", 1, "level", 0.001)
    controller.drafts.observe("eagle", 4, "level", wide_s)
    controller.aim(1, 256)
    assert controller.pace.begin("eagle", 1)
    return controller.pace.deeper(1, [frontier], [frontier], 6)


def test_a_level_follows_what_is_likely_enough() -> None:
    assert followed([0.97, 0.01, 0.01, 0.005], wide_s=0.001) == 1
    assert followed([0.4, 0.3, 0.2, 0.09], wide_s=0.001) == 4
    # Nothing follows a level that takes longer than all it could bring.
    assert followed([0.4, 0.3, 0.2, 0.09], wide_s=0.5) == 0


def test_a_failed_probe_is_repeated_soon_at_first() -> None:
    prober = Prober()

    def waited() -> int:
        return next(steps for steps in range(1, 100) if prober.due())

    waits = []
    for _ in range(6):
        waits.append(waited())
        prober.result(False)
    assert waits == [8, 16, 32, 32, 32, 32]
    # One that paid is followed by another at once; luck does not make the others more frequent.
    prober.result(True)
    assert waited() == 1
    prober.result(False)
    assert waited() == 32
    prober.reset()
    assert waited() == 8


def test_hopeless_is_what_promises_far_less_than_a_node_costs() -> None:
    controller = Controller(BUCKETS)
    for nodes, seconds in COSTS.items():
        controller.costs.learn(1, nodes, 256, [seconds])
    controller.aim(1, 256)
    # A node takes 0.057 plain steps.
    assert controller.pace.least() == pytest.approx(0.25 * 0.0006 / 0.0106, rel=0.01)
    # Where nodes cost nothing, none is hopeless; nor is any where there is but one size.
    for nodes in BUCKETS:
        controller.costs.learn(1, nodes, 256, [0.01])
    controller.aim(1, 256)
    assert controller.pace.least() == 0.0
    controller.suspend()
    controller.aim(1, 256)
    assert controller.pace.least() == 0.0
