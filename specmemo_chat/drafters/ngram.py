"""The n-gram drafter: what followed the same words earlier in this conversation. No weights, always available.

Prompt lookup (Saxena 2023) takes the one latest match; here the continuations of every suffix that occurs again become
a tree, merged by prefix, those of the longest suffix first.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows

from specmemo_chat.drafters.base import DraftBudget, Drafter, DraftRow
from specmemo_chat.speculation.tree import DraftTree, Verdict

LONGEST = 4
# A first guess of how often a continuation of a match of 1, 2, 3, 4 tokens goes on; the controller calibrates it.
_TRUST = (0.25, 0.5, 0.7, 0.85)
_MATCHES = 16


class _Index:
    """Where each n-gram of one text ends: positions of the token that follows."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.follows: dict[tuple[int, ...], list[int]] = {}

    def extend(self, tokens: list[int]) -> None:
        """Index the part of `tokens` that is new."""
        known = len(self.tokens)
        self.tokens.extend(tokens[known:])
        for end in range(known, len(self.tokens)):
            for size in range(1, min(LONGEST, end) + 1):
                self.follows.setdefault(tuple(self.tokens[end - size : end]), []).append(end)

    def truncate(self, length: int) -> None:
        """Forget the tokens from `length` on."""
        while len(self.tokens) > length:
            end = len(self.tokens) - 1
            for size in range(1, min(LONGEST, end) + 1):
                gram = tuple(self.tokens[end - size : end])
                ends = self.follows[gram]
                ends.pop()
                if not ends:
                    del self.follows[gram]
            self.tokens.pop()


class NgramDrafter(Drafter):
    """Implements Drafter over each row's own tokens. Matches of fewer than `shortest` tokens propose nothing."""

    name = "ngram"
    feature_layers: tuple[int, ...] = ()

    def __init__(self, shortest: int = 1) -> None:
        self._shortest = shortest
        self._indices: dict[int, _Index] = {}

    def propose(self, rows: Rows[DraftRow], budget: DraftBudget) -> list[DraftTree]:
        """One tree for each row; of the root alone where nothing occurs again."""
        return [self._tree(row, budget) for row in rows]

    def _tree(self, row: DraftRow, budget: DraftBudget) -> DraftTree:
        index = self._indices.get(row.row)
        if index is None:
            index = self._indices[row.row] = _Index()
        index.extend(row.tokens)
        paths: list[list[int]] = []
        trusts: list[float] = []
        firsts: set[int] = set()
        for size in range(min(LONGEST, len(row.tokens) - 1), self._shortest - 1, -1):
            if paths and size == 1:
                break  # one token says too little to add a branch
            # The latest match first: a conversation repeats what was said last.
            for end in index.follows.get(tuple(row.tokens[-size:]), [])[: -_MATCHES - 1 : -1]:
                path = index.tokens[end : end + budget.depth]
                if path not in paths and (path[0] in firsts or len(firsts) < budget.width):
                    paths.append(path)
                    trusts.append(_TRUST[size - 1])
                    firsts.add(path[0])
        if not paths:
            return DraftTree.root_only(row.tokens[-1])
        return DraftTree.from_paths(row.tokens[-1], paths, budget.nodes, trusts, self.name)

    def observe(self, rows: Rows[DraftRow], verdicts: Rows[Verdict]) -> None:
        """Nothing to learn: the next proposal reads the tokens themselves."""

    def truncate(self, row: int, length: int) -> None:
        if not length:
            self._indices.pop(row, None)
        index = self._indices.get(row)
        if index is not None:
            index.truncate(length)
