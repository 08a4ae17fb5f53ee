"""Loops: a text whose end repeats the same few tokens over and over, as small models do at temperature 0."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

# A loop repeats at most so many tokens.
LONGEST_PERIOD = 512
# So often in whole, and so many tokens more: a ruler of dashes, an empty table and a board of zeros are no loops.
LEAST_REPEATS = 4
LEAST_TOKENS = 128


class LoopWatch:
    """Whether the tokens it was given end in a loop: a function of the tokens alone, however they came in steps."""

    def __init__(self) -> None:
        self._count = 0
        # Where each token stood lately, and how many of the last tokens equal the one a period before: by period.
        self._places: dict[int, deque[int]] = {}
        self._runs: dict[int, int] = {}
        self.found = False

    def take(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, which follow those given before, count: all, or up to the one that makes it a loop."""
        for count, token in enumerate(tokens, start=1):
            self._push(token)
            if self.found:
                return count
        return len(tokens)

    def _push(self, token: int) -> None:
        places = self._places.setdefault(token, deque(maxlen=LONGEST_PERIOD))
        periods = (self._count - place for place in places)
        self._runs = {period: self._runs.get(period, 0) + 1 for period in periods if period <= LONGEST_PERIOD}
        places.append(self._count)
        self._count += 1
        # What repeats after 4 tokens does so after 8: the shortest period is the one that is meant.
        repeating = [period for period, run in self._runs.items() if run >= period * (LEAST_REPEATS - 1)]
        period = min(repeating, default=0)
        self.found = period > 0 and self._runs[period] >= period * (LEAST_REPEATS - 1) + LEAST_TOKENS
