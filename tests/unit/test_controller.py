"""The controller with simulated costs and acceptance: it finds what a fixed tree could at best, and never loses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from specmemo_chat.speculation.acceptance import AcceptanceCurve, DepthRates
from specmemo_chat.speculation.controller import PROBE_EVERY, Controller
from specmemo_chat.speculation.pace import sizes
from specmemo_chat.speculation.tree import DraftTree, Verdict

BUCKETS = (1, 2, 4, 8, 16, 32)
# Seconds of a step by nodes: reading the weights, then computing.
COSTS = {nodes: 0.010 + 0.0006 * nodes for nodes in BUCKETS}


class World:
    """A made-up device and text. Trees are chains of `length` with side branches; the token after a node is its
    `right` child with probability `truth(depth)`. Time passes by `costs`, with noise and outliers."""

    def __init__(
        self,
        truth: Callable[[int], float],
        *,
        costs: dict[int, float] = COSTS,
        length: int = 12,
        estimate: float = 0.8,
        draft_s: float = 0.0,
        seed: int = 0,
        noise: float = 0.1,
    ) -> None:
        self.truth, self.costs, self.length, self.estimate = truth, costs, length, estimate
        self.draft_s, self.noise = draft_s, noise
        self.random = random.Random(seed)
        self.seconds = 0.0
        self.tokens = 0
        self.slowness = 1.0

    def tree(self) -> DraftTree:
        main = list(range(1, self.length + 1))
        return DraftTree.from_paths(0, [main, [50], [1, 51]], 64, [self.estimate, 0.1, 0.1], "ngram")

    def verdict(self, tree: DraftTree) -> Verdict:
        path = [0]
        for depth in range(1, self.length + 1):
            child = next((n for n in range(1, len(tree)) if tree.parents[n] == path[-1] and tree.tokens[n] == depth), 0)
            # The draw is made whether a candidate is there or not: the text does not know the tree.
            if self.random.random() >= self.truth(depth) or not child:
                break
            path.append(child)
        return Verdict(tuple(path), (*(tree.tokens[node] for node in path[1:]), 99), 99)

    def spend(self, seconds: float) -> float:
        """The measured time of something that takes `seconds`: one in fifty is an outlier."""
        factor = 1 + self.noise * self.random.uniform(-1, 1)
        if self.random.random() < 0.02:
            factor *= 5
        self.seconds += seconds * self.slowness
        return seconds * self.slowness * factor

    def step(self, controller: Controller, rows: int = 1) -> float:
        """One step of the controller; returns the nodes of a row that it chose."""
        controller.aim(rows, 256)
        if self.draft_s:
            controller.drafted(self.spend(self.draft_s))
        trees = controller.choose([self.tree() for _ in range(rows)])
        verdicts = [self.verdict(tree) for tree in trees]
        nodes = sum(len(tree) for tree in trees) / rows
        if rows == 1:
            nodes = controller.bucket(int(nodes))
        self.tokens += sum(len(verdict.tokens) for verdict in verdicts)
        controller.observe(trees, verdicts, self.spend(self.cost(nodes)))
        return nodes

    def cost(self, nodes: float) -> float:
        """Between two buckets on a line."""
        below = max(size for size in self.costs if size <= nodes)
        above = min(size for size in self.costs if size >= nodes)
        share = (nodes - below) / (above - below) if above > below else 0.0
        return self.costs[below] + share * (self.costs[above] - self.costs[below])

    def rate(self, controller: Controller, steps: int, rows: int = 1) -> float:
        """Tokens per second over so many steps."""
        self.seconds, self.tokens = 0.0, 0
        for _ in range(steps):
            self.step(controller, rows)
        return self.tokens / self.seconds


def best_fixed(truth: Callable[[int], float], costs: dict[int, float] = COSTS, length: int = 12) -> float:
    """Tokens per second of the best tree of a fixed size: a chain, because nothing but the chain is ever right."""
    rates = []
    for nodes in costs:
        reaches = [math.prod(truth(at) for at in range(1, depth + 1)) for depth in range(min(nodes - 1, length) + 1)]
        rates.append(sum(reaches) / costs[nodes])
    return max(rates)


TRUTHS: dict[str, Callable[[int], float]] = {
    "always right": lambda depth: 0.97,
    "often right": lambda depth: 0.7,
    "right at first": lambda depth: 0.9 if depth < 4 else 0.2,
    "seldom right": lambda depth: 0.25,
    "never right": lambda depth: 0.0,
}


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("estimate", [0.3, 0.9])
def test_it_comes_within_five_percent_of_the_best_fixed_tree(name: str, estimate: float) -> None:
    truth = TRUTHS[name]
    steep = {nodes: 0.002 + 0.002 * nodes for nodes in BUCKETS}
    for costs in (COSTS, steep):
        controller, world = Controller(BUCKETS), World(truth, costs=costs, estimate=estimate, seed=2)
        world.rate(controller, 300)
        assert world.rate(controller, 1500) >= 0.95 * best_fixed(truth, costs)


def test_it_falls_to_plain_when_nothing_is_accepted_and_returns() -> None:
    good = True
    world = World(lambda depth: 0.9 if good else 0.0)
    controller = Controller(BUCKETS)
    world.rate(controller, 300)
    good = False
    for _ in range(500):
        world.step(controller)
    sizes = [world.step(controller) for _ in range(640)]
    probes = len(sizes) - sizes.count(1)
    # One step in 32 still tries, and few more: the time of two nodes is nearly that of one.
    assert 640 // PROBE_EVERY - 2 <= probes <= 640 // PROBE_EVERY + 6
    good = True
    back = [world.step(controller) for _ in range(4 * PROBE_EVERY)]
    assert sum(size > 4 for size in back[2 * PROBE_EVERY :]) > PROBE_EVERY


def test_never_slower_than_plain_when_drafts_are_useless() -> None:
    """The price of probing: one tree in 32 steps."""
    world = World(lambda depth: 0.0, estimate=0.95)
    controller = Controller(BUCKETS)
    world.rate(controller, 300)
    assert world.rate(controller, 2000) >= 0.98 / COSTS[1]


def test_outliers_and_a_busy_machine_do_not_mislead() -> None:
    world = World(lambda depth: 0.8)
    controller = Controller(BUCKETS)
    quiet = world.rate(controller, 1500)
    choice = controller.report().steps
    world.slowness = 3.0
    busy = world.rate(controller, 1500)
    assert busy * 3 == pytest.approx(quiet, rel=0.1)
    assert controller.report().plain_step_seconds == pytest.approx(3 * COSTS[1], rel=0.15)
    assert max(choice, key=lambda nodes: choice[nodes]) == max(
        controller.report().steps, key=lambda nodes: controller.report().steps[nodes]
    )


def test_a_false_measurement_is_found_out() -> None:
    """The machine was busy while a size was measured at load: the controller still tries its neighbours."""
    world = World(lambda depth: 0.95)
    controller = Controller(BUCKETS)
    for nodes, seconds in COSTS.items():
        controller.costs.learn(1, nodes, 256, [seconds * (3 if nodes in (8, 16, 32) else 1)] * 3)
    world.rate(controller, 2500)
    assert world.rate(controller, 1500) >= 0.95 * best_fixed(lambda depth: 0.95)


def test_the_more_rows_the_smaller_each_tree() -> None:
    """A batch computes more for every node, a single row mostly reads weights."""
    chosen = []
    for rows in (1, 4, 16):
        costs = {nodes: 0.010 + 0.0004 * nodes * rows for nodes in BUCKETS}
        world, controller = World(lambda depth: 0.75, costs=costs), Controller(BUCKETS)
        for _ in range(150):
            world.step(controller, rows)
        chosen.append(sum(world.step(controller, rows) for _ in range(100)) / 100)
    assert chosen[0] > chosen[1] > chosen[2]
    assert chosen[2] < 4


def test_rows_share_one_decision() -> None:
    controller = Controller(BUCKETS)
    controller.aim(2, 256)
    for nodes in sizes(2, BUCKETS):
        controller.costs.learn(2, nodes, 256, [0.01 * (1 + 0.3 * (nodes - 1))])
    sure, vague = (DraftTree.from_paths(0, [list(range(1, 13))], 64, [share], "ngram") for share in (0.99, 0.1))
    trees = controller.choose([sure, vague])
    for tree in trees:
        tree.check()
    # The nodes go where they are likeliest to be accepted.
    assert len(trees[0]) > 8
    assert len(trees[1]) <= 4


def test_the_calibration_is_unbiased() -> None:
    """Against the truth; counting edges below rejected nodes as failures, as a naive count does, is far off."""
    rng = random.Random(5)
    truth = {1: 0.6, 2: 0.7, 3: 0.5, 4: 0.8}
    estimates = {1: 0.9, 2: 0.5, 3: 0.35, 4: 0.95}
    curve, rates = AcceptanceCurve(), DepthRates()
    tree = DraftTree((0, 1, 2, 3, 4), (-1, 0, 1, 2, 3), (1.0, *estimates.values()), "model")
    naive = dict.fromkeys(truth, 0)
    means = dict.fromkeys(truth, 0.0)
    steps = 3000
    for step in range(steps):
        path = [0]
        for depth in truth:
            if rng.random() >= truth[depth]:
                break
            path.append(depth)
        verdict = Verdict(tuple(path), (*path[1:], 9), 9)
        curve.observe(tree, verdict)
        rates.observe(tree, verdict)
        for depth in truth:
            naive[depth] += depth in path
            if step >= steps // 2:
                means[depth] += curve.edge(estimates[depth], depth) / (steps - steps // 2)
    for depth, probability in truth.items():
        assert means[depth] == pytest.approx(probability, abs=0.03)
        assert rates.accepted[depth - 1] / rates.tried[depth - 1] == pytest.approx(probability, abs=0.04)
    for depth in (3, 4):
        assert naive[depth] / steps < truth[depth] - 0.2


def test_the_calibration_keeps_the_order_within_a_bucket() -> None:
    curve = AcceptanceCurve()
    tree = DraftTree((0, 1), (-1, 0), (1.0, 0.8), "model")
    for _ in range(200):
        curve.observe(tree, Verdict((0,), (9,), 9))
    assert 0 < curve.edge(0.76, 1) < curve.edge(0.88, 1) < 0.1
    # Other buckets were not seen, and keep the drafter's word.
    assert curve.edge(0.4, 1) == pytest.approx(0.4)


def test_a_cut_tree_keeps_its_likeliest_nodes() -> None:
    controller = Controller((1, 2, 4))
    for nodes in (1, 2, 4):
        controller.costs.learn(1, nodes, 1, [1.0 + nodes / 1000])
    tree = DraftTree.from_paths(0, [[1, 2, 3], [4]], 8, [0.9, 0.1])
    controller.aim(1, 1)
    cut = controller.choose([tree])[0]
    cut.check()
    assert cut.tokens == (0, 1, 2, 3)


def test_a_suspended_controller_decodes_plainly() -> None:
    for adaptive in (True, False):
        controller = Controller((1, 2, 4), adaptive=adaptive)
        controller.suspend()
        controller.aim(1, 1)
        assert len(controller.choose([DraftTree.from_paths(0, [[1, 2, 3]], 8, [0.9])])[0]) == 1


def test_the_report_says_where_the_time_went() -> None:
    world = World(lambda depth: 0.9, noise=0.0, draft_s=0.0005)
    controller = Controller(BUCKETS)
    world.rate(controller, 500)
    report = controller.report()
    assert sum(report.steps.values()) == 500
    assert report.tokens == world.tokens
    assert report.depths[0].accepted / report.depths[0].tried == pytest.approx(0.9, abs=0.05)
    assert report.time.draft == pytest.approx(0.25, rel=0.2)
    assert report.time.verify > report.time.draft
    assert report.speedup == pytest.approx(world.tokens * COSTS[1] / world.seconds, rel=0.1)
    assert report.price > 2


def test_a_plain_step_that_is_to_be_measured_has_no_draft() -> None:
    controller = Controller(BUCKETS)
    pace = controller.pace
    pace.aim(1, 256, 1.0, 1)
    assert not pace.begin("test", 1)
    assert pace.source == ""
    pace.aim(1, 256, 1.0, BUCKETS[-1])
    assert pace.begin("test", 1)
    # Drafting wins: of many steps few are plain, and in none of them the drafter was told to begin.
    world = World(lambda depth: 0.9, noise=0.0, draft_s=0.0005)
    world.rate(controller, 300)
    steps = controller.report().steps
    assert 2 <= steps["1"] < 30


def test_a_time_that_was_taken_in_a_busy_moment_is_found_out() -> None:
    """The best size seems slow, and its neighbours are no better than what is taken instead."""
    buckets = (1, 2, 4, 8, 16, 20, 24, 32)
    costs = dict(zip(buckets, (0.1, 0.1, 0.1, 0.102, 0.11, 0.17, 0.17, 0.17), strict=True))
    controller, world = Controller(buckets), World(lambda depth: 0.9, costs=costs, length=31, estimate=0.9)
    for nodes, seconds in costs.items():
        controller.costs.learn(1, nodes, 256, [seconds * (1.6 if nodes == 16 else 1.0)])
    world.rate(controller, 250)
    assert controller.costs.seconds(1, 16, 256) == pytest.approx(0.11, rel=0.1)
    assert world.rate(controller, 400) >= 0.95 * best_fixed(lambda depth: 0.9, costs, 31)
