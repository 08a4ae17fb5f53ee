"""Draw-then-match verification: a pure function of integers.

The target's token for every node was drawn before (argmax or inverse CDF with the position's own uniform number,
see `sampling`), so a candidate is accepted exactly when it is the token that plain decoding would have emitted.
"""

from __future__ import annotations

from collections.abc import Sequence

from specmemo_chat.speculation.tree import DraftTree, Verdict


def verify(tree: DraftTree, drawn: Sequence[int]) -> Verdict:
    """Walk from the root to the child that holds the drawn token, until there is none.

    `drawn[i]` is the target's token after node i. Returns the accepted path and the bonus token.
    """
    if len(tree) == 1:
        return Verdict((0,), (drawn[0],), drawn[0])
    children = {
        (parent, token): node for node, (parent, token) in enumerate(zip(tree.parents, tree.tokens, strict=True))
    }
    path = [0]
    tokens: list[int] = []
    while True:
        token = drawn[path[-1]]
        tokens.append(token)
        child = children.get((path[-1], token))
        if child is None:
            return Verdict(tuple(path), tuple(tokens), token)
        path.append(child)
