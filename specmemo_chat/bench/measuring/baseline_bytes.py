"""Generation memory of the baselines by arithmetic on shapes (docs/notes/memory.md), weights left out. Needs no torch.

Short names: b bytes of a value, T tokens of the longest prefill, S keys that it sees (the same), H heads, h hidden,
q = heads · head_dim, kv = kv_heads · head_dim, I intermediate, V vocabulary.
"""

from __future__ import annotations

from specmemo_chat.memory.footprint import Shape

# The usual EAGLE settings.
PREALLOCATED, NODES, DEPTH, WIDTH = 2048, 60, 7, 10


def slots(context: int) -> int:
    """Key-value slots that A and B allocate: 2,048, or as many as a longer conversation and its tree need."""
    return max(PREALLOCATED, context + NODES)


def baseline_a(shape: Shape, prompt: int) -> int:
    """Eager attention, and the logits of all rows of the last prefill of `prompt` tokens.

    Keys and values, features, and the larger of: scores with their fp32 softmax H·T·S·(b + 4); logits of all rows
    T·V·b.
    """
    spec, b = shape.spec, shape.value_bytes
    pairs = spec.heads * prompt * prompt
    scores = pairs * (b + 4) + _attention(shape, prompt) + prompt * prompt * b
    return _held(shape, prompt) + max(scores, _mlp(shape, prompt), prompt * spec.vocab * b)


def baseline_b(shape: Shape, prompt: int) -> int:
    """SDPA with a mask that is added, and the last row's logits."""
    spec, b = shape.spec, shape.value_bytes
    attention = _attention(shape, prompt) + prompt * prompt * b
    return _held(shape, prompt) + max(attention, _mlp(shape, prompt), spec.vocab * b)


def baseline_c(shape: Shape, prompt: int) -> int:
    """Keys and values of the conversation's tokens, one layer's keys twice while they are extended, and the larger of
    prefill (SDPA; its mask of truth values stands in memory twice while it is made) and logits in fp32 beside their
    own."""
    spec, b = shape.spec, shape.value_bytes
    per_layer = spec.kv_heads * spec.head_dim * b
    held = spec.kv_bytes_per_token(b) * shape.context
    prefill = _residual(shape, prompt) + max(_attention(shape, prompt), _mlp(shape, prompt)) + 2 * prompt * prompt
    grown = spec.kv_bytes_per_token(b) * prompt + prefill
    return max(grown, held + per_layer * shape.context + spec.vocab * (b + 4))


def _held(shape: Shape, prompt: int) -> int:
    """What A and B keep beside a prefill's own tensors: both caches, the head's features, the residual."""
    spec, draft, b = shape.spec, shape.draft, shape.value_bytes
    room = slots(shape.context)
    held = spec.kv_bytes_per_token(b) * room + _residual(shape, prompt)
    if draft is not None:
        held += draft.spec.kv_bytes_per_token(b) * (room + (DEPTH - 1) * WIDTH)
        held += draft.feature_count * draft.target_hidden * b * prompt
    return held


def _residual(shape: Shape, prompt: int) -> int:
    """The residual, its normalised copy, what is added to it next, and the embedded prompt, which the model's own
    forward holds to its end."""
    return 4 * prompt * shape.spec.hidden * shape.value_bytes


def _attention(shape: Shape, prompt: int) -> int:
    """Queries, keys and values with their rotated copies, and the repeated keys and values of grouped heads."""
    spec, b = shape.spec, shape.value_bytes
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    repeated = 2 * q if spec.heads > spec.kv_heads else 0
    return prompt * b * (2 * q + 3 * kv + repeated)


def _mlp(shape: Shape, prompt: int) -> int:
    """Gate, up and their product."""
    return 3 * prompt * shape.spec.intermediate * shape.value_bytes
