"""The worst moments of a conversation, run before the first message: so that a plan is proven and not believed.

A prefill chunk that ends at the last token of the context, a proposal of the draft there, and a verify step with the
largest tree in every planned row, drawn with every logits processor on. What they leave behind is forgotten.
"""

from __future__ import annotations

from specmemo_chat.drafters.base import DraftBudget, DraftRow
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sampler import next_tokens
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.tree import DraftTree

# Every processor that a user can switch on: each makes copies of the scores.
WORST_SETTINGS = GenerationSettings(temperature=1.0, top_k=40, top_p=0.9, min_p=0.01, repeat_penalty=1.1)
_WARM_TOKENS = 2
# A shape that comes so often was captured as a graph.
_CAPTURED = 2


def warm_up(engine: Engine) -> None:
    """Run every kind of step once in a short text, with full chunk and tree: libraries load what they load late, and
    keep the buffers that they keep. The arena stays as small as it was, where that holds a chunk."""
    room = min(engine.plan.context_tokens - 2, max(engine.plan.prefill_chunk, _WARM_TOKENS))
    _steps(engine, room, rows=1)


def rehearse(engine: Engine) -> int:
    """Run the worst moments at full context, in as many rows as the plan holds at once; returns how many these are.

    The arena grows to the planned capacity on the way, as it would in a conversation. Raises torch.OutOfMemoryError
    where the device has no memory for the plan.
    """
    rows = full_rows(engine)
    # First, because a later turn may prefill at the end of a context that was full before.
    for arena in engine.arenas():
        arena.reserve(arena.largest_capacity)
    _steps(engine, engine.plan.context_tokens - 2, rows)
    return rows


def full_rows(engine: Engine) -> int:
    """Rows that can be full at the same time."""
    plan, arena = engine.plan, engine.arena
    need = plan.context_tokens + plan.tree_nodes
    return max(count for count in range(1, plan.rows + 1) if count == 1 or arena.fits([need] * count))


def _steps(engine: Engine, length: int, rows: int) -> None:
    """Prefill the last chunk of texts of `length` tokens in `rows` rows, propose, verify; then forget the rows."""
    plan = engine.plan
    start = max(0, length - plan.prefill_chunk)
    try:
        sequences = [_prefilled(engine, row, start, length) for row in range(rows)]
        asked = [DraftRow(sequence.row, sequence.tokens) for sequence in sequences]
        for _ in range(_CAPTURED if plan.graphs else 1):
            if engine.drafter is not None:
                engine.drafter.propose(asked, DraftBudget(plan.tree_nodes, plan.tree_depth, plan.tree_width))
            _verified(engine, sequences)
        if rows > 2:
            # Rows that are no neighbours in the arena are read by way of a copy.
            _verified(engine, [sequences[0], *sequences[2:]])
    finally:
        engine.runner.take_features()
        for row in range(rows):
            engine.release(row)


def _prefilled(engine: Engine, row: int, start: int, length: int) -> Sequence:
    """A sequence of `length` tokens in `row`, of which those from `start` on were prefilled: before them stand the
    zeros of the arena."""
    vocab = engine.target.vocab_size
    sequence = engine.make([at % vocab for at in range(length)], WORST_SETTINGS)
    engine.seat(sequence, row)
    for arena in engine.arenas():
        arena.reserve(start)
        if start:
            arena.extend(row, start)
    sequence.prefilled = start
    while sequence.prefilling:
        engine.step([sequence])
    if engine.arena.lengths[row] != length:
        raise AssertionError(f"the rehearsal stands at {engine.arena.lengths[row]} tokens and not at {length}")
    return sequence


def _verified(engine: Engine, sequences: list[Sequence]) -> None:
    """Score the largest tree, one long path, after every sequence, and draw after each node."""
    nodes, vocab = engine.plan.tree_nodes, engine.target.vocab_size
    trees = [
        DraftTree.from_paths(sequence.tokens[-1], [[at % vocab for at in range(nodes - 1)]], nodes)
        for sequence in sequences
    ]
    scores = engine.runner.score([sequence.row for sequence in sequences], trees, nodes)
    next_tokens(sequences, trees, scores.logits)
