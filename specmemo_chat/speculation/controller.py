"""The controller: how much to speculate at this step, so that speculation is never slower than plain decoding.

Counted are tokens of one row; times are multiples of a plain step's. The *price* of a plain step's time is the running
tokens per plain step (1 or more: plain decoding yields 1). Of all sizes the one wins that brings the most tokens beyond
the price of its time; that choice maximises tokens per second in the long run, where the best rate of a single step
would refuse the small certain gains after a lucky one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from specmemo_chat.speculation.acceptance import DEPTHS, AcceptanceCurve, DepthRates
from specmemo_chat.speculation.costs import DraftCosts, StepCosts
from specmemo_chat.speculation.pace import PROBE_EVERY, LevelPace, Prober, best_size, sizes, worths
from specmemo_chat.speculation.report import DepthReport, SpeculationReport, TimeReport
from specmemo_chat.speculation.tree import DraftTree, Verdict

__all__ = ["PROBE_EVERY", "Controller"]

# The price follows the text slowly: it is the rate of the conversation, not of a step.
_PRICE_RATE = 0.02
# What a draft must promise beyond a plain step, in tokens: times are not known better than that.
_MARGIN = 0.02
_DRAFT_RATE = 0.1
# One speculative step in so many takes another size, the one whose time was not measured for longest: a neighbour, or
# one that would be the best if it took this part less than thought.
_REFRESH_EVERY, _DOUBT = 32, 0.2
# Where its time was a surprise (by more than this factor), it is measured again after so many steps; so is a plain step
# that was measured less often than this: all depends on it.
_SURPRISE, _REFRESH_SOON = 1.2, 8
_PLAIN_KNOWN = 6
# One in so many takes the next larger size, unless it seems to lose more tokens than this.
_EXPLORE_EVERY, _EXPLORE_LOSS = 16, 0.25


class Controller:
    """Chooses a size for every step (for one row a node bucket) and cuts the draft trees down to it; `pace` does so for
    a drafter's levels.

    A step goes `aim`, (drafting), `drafted`, `choose`, (verify), `observe`. `adaptive` False takes the largest bucket
    always. `clock` gives seconds.
    """

    def __init__(
        self, buckets: Sequence[int], *, adaptive: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.buckets = tuple(buckets)
        self.costs = StepCosts()
        self.drafts = DraftCosts()
        self.adaptive = adaptive
        self.pace = LevelPace(self.buckets, self.costs, self.drafts, self._rates_of, self._curve_of, clock)
        self._curves: dict[str, AcceptanceCurve] = {}
        self._rates: dict[str, DepthRates] = {}
        self._largest = self.buckets[-1]
        self._rows, self._context = 1, 1
        self._tokens, self._time = 1.0, 1.0
        # By the drafter that ran its network in a step; empty: none did.
        self._draft_seconds: dict[str, float] = {}
        self._step_draft = 0.0
        self._prober = Prober()
        self._probing = False
        self._refresh_in = _REFRESH_EVERY
        # The size that this step takes to be measured again; and whether the next one is to be a plain one for that.
        self._refreshing = 0.0
        self._plain_next = False
        self._steps = 0
        self._history = _History()

    @property
    def price(self) -> float:
        """Running tokens of one row per plain step's time; at least plain decoding's 1."""
        return max(1.0, self._tokens / self._time)

    def bucket(self, nodes: int) -> int:
        """The smallest bucket that holds `nodes`."""
        return next(bucket for bucket in self.buckets if bucket >= nodes)

    def aim(self, rows: int, context: int) -> None:
        """A step of `rows` rows begins; the longest has `context` tokens."""
        self._rows, self._context = rows, max(1, context)
        self._step_draft = 0.0
        self._refreshing = 0.0
        if self._plain_next:
            self._refreshing, self._plain_next = 1.0, False
        self.pace.aim(rows, self._context, self.price, 1 if self._refreshing else self._largest)

    def drafted(self, seconds: float) -> None:
        """The drafter took `seconds` for the trees of one step."""
        self.pace.end()
        self._step_draft = seconds
        source = self.pace.source
        known = self._draft_seconds.get(source, seconds)
        self._draft_seconds[source] = known + _DRAFT_RATE * (min(seconds, 2 * known) - known)

    def suspend(self) -> None:
        """Speculate no more: the device has no memory for a tree."""
        self._largest = self.buckets[0]

    def choose(self, trees: Sequence[DraftTree]) -> list[DraftTree]:
        """The trees cut to the size that promises the most: one decision for all rows, of which the likeliest nodes
        stay, whosever they are."""
        rows = len(trees)
        self._probing = False
        if self._refreshing:
            return _cut(trees, (), 0, 1)
        if not self.pace.source and all(len(tree) == 1 for tree in trees):
            return list(trees)
        buckets = [bucket for bucket in self.buckets if bucket <= self._largest]
        ranked = self._ranked(trees)
        if not self.adaptive:
            return _cut(trees, ranked, rows * (buckets[-1] - 1), buckets[-1])
        offered, relatives = self.pace.sizes()
        gains = [reach for reach, _, _ in ranked]
        price = self.price
        found = worths(gains, rows, offered, relatives, price)
        value = max(found)
        place = found.index(value)
        # A plain step brings one token for one plain step's time.
        advantage = value - (1.0 - price)
        self.pace.settle(advantage - price * self._draft_relative())
        if advantage < _MARGIN:
            place = 0
        if gains and len(offered) > 1:
            place = self._explored(place, found, gains, rows, offered, relatives)
        return _cut(trees, ranked, int(rows * (offered[place] - 1)), buckets[-1])

    def observe(
        self, trees: Sequence[DraftTree], verdicts: Sequence[Verdict], seconds: float, rest: float = 0.0
    ) -> None:
        """What one step accepted, the `seconds` of its verification and the `rest` of its time, drafting excluded."""
        rows = len(trees)
        nodes = self._size(trees)
        if nodes == self._refreshing:
            expected = self.costs.seconds(rows, nodes, self._context)
            if expected and not 1 / _SURPRISE < (seconds + rest) / expected < _SURPRISE:
                self._refresh_in = _REFRESH_SOON
                self.costs.doubt(rows, nodes, self._context)
        self.costs.observe(rows, nodes, self._context, seconds + rest)
        tokens = sum(len(verdict.tokens) for verdict in verdicts)
        for tree, verdict in zip(trees, verdicts, strict=True):
            if len(tree) > 1:
                self._curve_of(tree.source).observe(tree, verdict)
                self._rates_of(tree.source).observe(tree, verdict)
        relative = self.costs.relatives(rows, (1.0, nodes), self._context)[1]
        self._tokens += _PRICE_RATE * (tokens / rows - self._tokens)
        self._time += _PRICE_RATE * (relative + self._draft_relative() - self._time)
        if self._probing:
            paid = tokens / rows - 1.0 > self.price * (relative + self._draft_relative() - 1.0)
            self._prober.result(paid)
            self.pace.probed(paid)
        plain = self.costs.seconds(rows, 1, self._context)
        self._history.add(nodes, tokens, self._step_draft, seconds, rest, tokens / rows * plain)
        self._step_draft = 0.0

    def report(self) -> SpeculationReport:
        """What was decided and why."""
        history = self._history
        depths = []
        for depth in range(DEPTHS):
            tried = sum(rates.tried[depth] for rates in self._rates.values())
            accepted = sum(rates.accepted[depth] for rates in self._rates.values())
            if tried:
                depths.append(DepthReport(depth + 1, tried, accepted))
        return SpeculationReport(
            adaptive=self.adaptive,
            steps={f"{nodes:g}": count for nodes, count in sorted(history.steps.items())},
            seconds={
                f"{nodes:g}": round(self.costs.seconds(self._rows, nodes, self._context), 6)
                for nodes in sizes(self._rows, self.buckets)
                if nodes in history.steps or self.costs.count(self._rows, nodes, self._context)
            },
            tokens=history.tokens,
            depths=tuple(depths),
            time=TimeReport(round(history.draft, 6), round(history.verify, 6), round(history.rest, 6)),
            draft_seconds=round(history.draft / max(1, sum(history.steps.values())), 6),
            plain_step_seconds=round(self.costs.seconds(self._rows, 1, self._context), 6),
            price=round(self.price, 4),
            speedup=round(history.plain / history.seconds, 4) if history.seconds else 0.0,
        )

    def _explored(
        self,
        place: int,
        found: Sequence[float],
        gains: Sequence[float],
        rows: int,
        offered: Sequence[float],
        relatives: Sequence[float],
    ) -> int:
        """The place of the best size, `found` being what each is worth, or of another one that is tried to learn
        something."""
        price = self.price
        if place == 0:
            if not self.pace.probing and not self._prober.due():
                return 0
            self._probing = True
            # Of the sizes that draft at all the best one.
            return 1 + best_size(gains, rows, offered[1:], relatives[1:], price)[1]
        self._prober.reset()
        self._probing = self.pace.probing
        # The next larger size, where there are nodes for it.
        larger = min(place + 1, len(found) - 1)
        self._steps += 1
        self._refresh_in -= 1
        unknown = self.costs.count(rows, 1) < _PLAIN_KNOWN
        if self._refresh_in <= (_REFRESH_EVERY - _REFRESH_SOON if unknown else 0):
            self._refresh_in = _REFRESH_EVERY
            # Beside the neighbours all that would be the best if their time were a little less than thought.
            doubted = {
                other
                for other, (value, relative) in enumerate(zip(found, relatives, strict=False))
                if value + _DOUBT * price * relative > found[place]
            }
            oldest = max(
                ({0, place - 1, larger} | doubted) - {place},
                key=lambda other: self.costs.age(rows, offered[other], self._context),
            )
            if oldest == 0 or unknown:
                # Not this step, whose draft is made: the next one, without a draft.
                self._plain_next = True
                return place
            self._refreshing = offered[oldest]
            return oldest
        if self._steps % _EXPLORE_EVERY == 0 and found[larger] > found[place] - _EXPLORE_LOSS:
            # An acceptance that seems lower than it is would never be corrected: what is not drafted is not accepted.
            return larger
        return place

    def _size(self, trees: Sequence[DraftTree]) -> float:
        """The size that a step with these trees counts as, in nodes per row."""
        mean = sum(len(tree) for tree in trees) / len(trees)
        offered = sizes(len(trees), self.buckets)
        return next((size for size in offered if size >= mean), offered[-1])

    def _draft_relative(self) -> float:
        """This step's drafting in plain steps; an outlier counts as twice the usual."""
        plain = self.costs.seconds(self._rows, 1, self._context)
        usual = self._draft_seconds.get(self.pace.source, self._step_draft)
        return min(self._step_draft, 2 * usual) / plain if plain else 0.0

    def _curve_of(self, source: str) -> AcceptanceCurve:
        if source not in self._curves:
            self._curves[source] = AcceptanceCurve()
        return self._curves[source]

    def _rates_of(self, source: str) -> DepthRates:
        if source not in self._rates:
            self._rates[source] = DepthRates()
        return self._rates[source]

    def _ranked(self, trees: Sequence[DraftTree]) -> list[tuple[float, int, int]]:
        """(path probability, row, node) of all nodes but the roots, the likeliest first; a parent before its child."""
        nodes: list[tuple[float, int, int]] = []
        for row, tree in enumerate(trees):
            if len(tree) == 1:
                continue
            reach = self._curve_of(tree.source).reaches(tree)
            nodes.extend((-reach[node], row, node) for node in range(1, len(tree)))
        nodes.sort()
        return [(-negative, row, node) for negative, row, node in nodes]


class _History:
    """Sums over all steps: sizes, tokens, seconds, and what plain steps would have taken for the same tokens."""

    def __init__(self) -> None:
        self.steps: dict[float, int] = {}
        self.tokens = 0
        self.draft = self.verify = self.rest = self.plain = 0.0

    @property
    def seconds(self) -> float:
        return self.draft + self.verify + self.rest

    def add(self, nodes: float, tokens: int, draft: float, verify: float, rest: float, plain: float) -> None:
        self.steps[nodes] = self.steps.get(nodes, 0) + 1
        self.tokens += tokens
        self.draft += draft
        self.verify += verify
        self.rest += rest
        self.plain += plain


def _cut(
    trees: Sequence[DraftTree], ranked: Sequence[tuple[float, int, int]], nodes: int, largest: int
) -> list[DraftTree]:
    """The trees with the `nodes` likeliest of all their nodes, at most `largest` in one tree, and the roots."""
    if nodes >= len(ranked) and all(len(tree) <= largest for tree in trees):
        return list(trees)
    kept: list[list[int]] = [[0] for _ in trees]
    for _, row, node in ranked[:nodes]:
        if len(kept[row]) < largest:
            kept[row].append(node)
    return [_part(tree, sorted(chosen)) for tree, chosen in zip(trees, kept, strict=True)]


def _part(tree: DraftTree, kept: Sequence[int]) -> DraftTree:
    """The nodes `kept` (ascending, the root first, none without its parent) of `tree`."""
    if len(kept) == len(tree):
        return tree
    place = {node: index for index, node in enumerate(kept)}
    return DraftTree(
        tuple(tree.tokens[node] for node in kept),
        tuple(place[tree.parents[node]] if node else -1 for node in kept),
        tuple(tree.probabilities[node] for node in kept),
        tree.source,
    )
