"""What a benchmark's figures rest on: the order of the methods, the median of ratios, its interval."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from specmemo_chat.bench.measuring.schedule import rounds
from specmemo_chat.bench.measuring.statistics import median_ratio


def test_every_round_has_every_method_once() -> None:
    for order in islice(rounds("abcd", 3), 50):
        assert sorted(order) == list("abcd")


def test_no_method_is_favoured_by_its_place() -> None:
    orders = list(islice(rounds("abcd", 0), 2000))
    for place in range(4):
        for method in "abcd":
            share = sum(order[place] == method for order in orders) / len(orders)
            # Six standard deviations of a fair share of one in four.
            assert share == pytest.approx(0.25, abs=0.06)
    # Nor does one always follow the same other.
    assert {order[order.index("b") - 1] for order in orders if order[0] != "b"} == set("acd")


def test_the_order_is_the_seeds() -> None:
    assert list(islice(rounds("abcd", 1), 20)) == list(islice(rounds("abcd", 1), 20))
    assert list(islice(rounds("abcd", 1), 20)) != list(islice(rounds("abcd", 2), 20))


def test_the_median_of_ratios() -> None:
    found = median_ratio([2.0, 1.0, 4.0])
    assert found is not None
    assert (found.median, found.pairs) == (2.0, 3)
    assert found.low <= found.median <= found.high
    assert found.as_json() == {"median": 2.0, "low": 1.0, "high": 4.0, "pairs": 3}


def test_equal_ratios_have_no_spread() -> None:
    found = median_ratio([1.5] * 30)
    assert found is not None
    assert (found.low, found.median, found.high) == (1.5, 1.5, 1.5)


def test_without_pairs_there_is_no_ratio() -> None:
    assert median_ratio([]) is None


def test_the_interval_covers_the_true_median() -> None:
    """Of 80 samples with the median 1.2, about 95 % have it in their interval."""
    source = random.Random(0)
    covered = 0
    for _ in range(80):
        found = median_ratio([1.2 * source.lognormvariate(0.0, 0.2) for _ in range(60)], resamples=200)
        assert found is not None
        covered += found.low <= 1.2 <= found.high
    assert 68 <= covered <= 80


def test_replies_of_one_conversation_are_drawn_together() -> None:
    """The same ratios, thirty times over: as single pairs they would seem certain."""
    ratios = [0.8, 1.0, 1.3, 1.1] * 30
    alone = median_ratio(ratios)
    together = median_ratio(ratios, [index % 4 for index in range(len(ratios))])
    assert alone is not None
    assert together is not None
    assert together.median == alone.median
    assert together.high - together.low > 2 * (alone.high - alone.low)
