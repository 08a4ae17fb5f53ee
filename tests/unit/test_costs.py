"""What a step is expected to take, from what was measured."""

from __future__ import annotations

import pytest

from specmemo_chat.speculation.costs import StepCosts

BUCKETS = (1, 2, 4, 8, 16, 32)


def test_costs_are_read_off_their_neighbours() -> None:
    costs = StepCosts()
    assert costs.seconds(1, 8, 256) == 0.0
    assert costs.relatives(1, BUCKETS, 256)[0] == 1.0
    costs.learn(1, 1, 256, [0.010])
    costs.learn(1, 8, 256, [0.020, 0.024, 0.5])
    assert costs.seconds(1, 8, 256) == 0.024
    assert costs.seconds(1, 4, 200) == pytest.approx(0.010 + 0.014 * 3 / 7)
    assert costs.seconds(1, 16, 256) > 0.024
    # Another context is as the nearest one, then as itself.
    assert costs.seconds(1, 8, 1024) == 0.024
    costs.observe(1, 1, 1024, 0.015)
    assert costs.seconds(1, 8, 1024) == pytest.approx(0.036)
    assert costs.relatives(1, BUCKETS, 1024)[3] == pytest.approx(2.4)


def test_a_size_that_was_not_seen_in_this_context_keeps_its_proportion() -> None:
    costs = StepCosts()
    for nodes, seconds in ((1, 0.004), (2, 0.006), (8, 0.016), (16, 0.030)):
        costs.learn(5, nodes, 1, [seconds])
    # Measured in a longer context are two larger sizes only, and slower.
    costs.learn(5, 2, 256, [0.009])
    costs.learn(5, 8, 256, [0.024])
    assert costs.plain(5, 256) == pytest.approx(0.006)
    assert costs.seconds(5, 16, 256) == pytest.approx(0.045)
    assert costs.relatives(5, (1.0, 2.0, 8.0, 16.0), 256) == pytest.approx([1.0, 1.5, 4.0, 7.5])
    # What counts of several rows is how many nodes they have together.
    assert costs.plain(10, 256) == pytest.approx(0.009)
    # One row's steps are others, but rather those than a guess.
    assert costs.seconds(1, 10, 256) == pytest.approx(0.009)
    costs.learn(1, 1, 256, [0.002])
    assert costs.plain(1, 256) == 0.002
