"""DraftTree and Verdict: what a drafter proposes and what the verification decides. Plain integers only.

A tree's node 0 is the *root*: the last token of the text, whose keys and values are not in the arena yet. The other
nodes are candidates. A parent always comes before its child, so index order is topological.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class DraftTree:
    """`tokens[i]` is the token of node i, `parents[i]` the index of its parent (-1 for the root, node 0).

    `probabilities[i]` is the drafter's own estimate of the edge into node i (1.0 for the root), used by the
    controller; `source` names the drafter. Siblings hold different tokens.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    probabilities: tuple[float, ...] = ()
    source: str = "none"

    @classmethod
    def root_only(cls, token: int) -> DraftTree:
        """The tree of a plain decoding step."""
        return cls((token,), (-1,), (1.0,), "none")

    @classmethod
    def from_paths(
        cls,
        root: int,
        paths: Sequence[Sequence[int]],
        limit: int,
        probabilities: Sequence[float] | None = None,
        source: str = "none",
    ) -> DraftTree:
        """Merge candidate continuations of `root` by their common prefixes, in order of preference.

        At most `limit` nodes (root included): earlier paths win. `probabilities[i]` is given to every new edge of
        path i (default 1.0). Nodes are ordered so that a parent precedes its child.
        """
        tokens, parents, edges = [root], [-1], [1.0]
        children: dict[tuple[int, int], int] = {}
        for index, path in enumerate(paths):
            edge = 1.0 if probabilities is None else probabilities[index]
            node = 0
            for token in path:
                child = children.get((node, token))
                if child is None:
                    if len(tokens) >= limit:
                        break
                    child = len(tokens)
                    tokens.append(token)
                    parents.append(node)
                    edges.append(edge)
                    children[(node, token)] = child
                node = child
        return cls(tuple(tokens), tuple(parents), tuple(edges), source)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Edges between the root and each node: the root's is 0."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return tuple(depths)

    def path(self, node: int) -> tuple[int, ...]:
        """Node indices from the root to `node`, both included."""
        indices = []
        while node >= 0:
            indices.append(node)
            node = self.parents[node]
        return tuple(reversed(indices))

    def check(self) -> None:
        """Raise ValueError where an invariant of the class is broken."""
        if not self.tokens or self.parents[0] != -1 or len(self.tokens) != len(self.parents):
            raise ValueError("a tree needs a root and one parent for each token")
        edges = set()
        for node in range(1, len(self.tokens)):
            if not 0 <= self.parents[node] < node:
                raise ValueError(f"parent of node {node} is {self.parents[node]}: not an earlier node")
            edge = (self.parents[node], self.tokens[node])
            if edge in edges:
                raise ValueError(f"node {node} repeats token {edge[1]} under parent {edge[0]}")
            edges.add(edge)


@dataclass(frozen=True)
class Verdict:
    """What the target decided about one tree.

    `path` holds the accepted node indices from the root on (always starts with 0): their keys and values stay.
    `bonus` is the target's own token after the last accepted node. `tokens` are the newly decided tokens, the
    accepted candidates and then the bonus: the acceptance length is `len(tokens)`.
    """

    path: tuple[int, ...]
    tokens: tuple[int, ...]
    bonus: int

    @property
    def accepted(self) -> int:
        """How many draft tokens were accepted."""
        return len(self.tokens) - 1


def draft_scratch(nodes: int, depth: int, width: int) -> int:
    """Slots beside its committed tokens that a drafter with keys and values of its own needs in each row, for trees of
    at most `nodes` nodes (root included): every level but the last is run whole, and padding takes one."""
    return max(1, (depth - 1) * min(width, nodes - 1))
