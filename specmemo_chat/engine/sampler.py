"""The target's own token after every node of several rows' trees: argmax or position-keyed draw, few calls for all."""

from __future__ import annotations

from collections.abc import Sequence as Rows

import torch

from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.models.processors import logits_processors, needs_history
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.sampling import draw, uniform
from specmemo_chat.speculation.tree import DraftTree

# Distributions take several copies of the vocabulary: those of so many nodes are there at a time.
_AT_ONCE, _ON_CPU = 32, 8


def next_tokens(sequences: Rows[Sequence], trees: Rows[DraftTree], logits: torch.Tensor) -> list[list[int]]:
    """For each row the target's token after each node; `logits` [T, vocab] are the rows' nodes behind each other, and
    perhaps padding."""
    total = sum(len(tree) for tree in trees)
    logits = logits[:total]
    if all(_is_plain(sequence.settings) for sequence in sequences):
        tokens = _largest(logits)
    else:
        tokens = _drawn(sequences, trees, logits)
    drawn, start = [], 0
    for tree in trees:
        drawn.append(tokens[start : start + len(tree)])
        start += len(tree)
    return drawn


def _largest(logits: torch.Tensor) -> list[int]:
    """The first of the largest logits of each node."""
    found: list[int] = []
    if logits.device.type != "cpu":
        found.extend(logits.argmax(-1).tolist())
        return found
    # In a CPU's memory numpy finds them in a fraction of torch's time.
    for start in range(0, len(logits), _ON_CPU):
        found.extend(logits[start : start + _ON_CPU].float().numpy().argmax(-1).tolist())
    return found


def _is_plain(settings: GenerationSettings) -> bool:
    return settings.greedy and not needs_history(settings)


def _drawn(sequences: Rows[Sequence], trees: Rows[DraftTree], logits: torch.Tensor) -> list[int]:
    """Rows with the same settings are processed together, whatever their seeds."""
    groups: dict[tuple[float, ...], list[tuple[int, Sequence, DraftTree]]] = {}
    start = 0
    for sequence, tree in zip(sequences, trees, strict=True):
        groups.setdefault(_key(sequence.settings), []).append((start, sequence, tree))
        start += len(tree)
    tokens = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    for group in groups.values():
        nodes = [(first + node, sequence, tree, node) for first, sequence, tree in group for node in range(len(tree))]
        at_once = _ON_CPU if logits.device.type == "cpu" else _AT_ONCE
        for at in range(0, len(nodes), at_once):
            part = nodes[at : at + at_once]
            index = torch.tensor([node[0] for node in part], device=logits.device)
            tokens[index] = _draw_part(part, logits[index].float())
    drawn: list[int] = tokens.tolist()
    return drawn


def _key(settings: GenerationSettings) -> tuple[float, ...]:
    """What the processors depend on. Greedy settings differ in nothing but their penalty."""
    if settings.greedy:
        return (0.0, settings.repeat_penalty)
    return (settings.temperature, settings.top_k, settings.top_p, settings.min_p, settings.repeat_penalty)


def _draw_part(part: Rows[tuple[int, Sequence, DraftTree, int]], scores: torch.Tensor) -> torch.Tensor:
    """Tokens [M] for M nodes with the same processors; `scores` [M, vocab]."""
    settings = part[0][1].settings
    histories = torch.empty((len(part), 0), dtype=torch.long)
    if needs_history(settings):
        histories = _histories(part)
    for processor in logits_processors(settings):
        scores = processor(histories.to(scores.device), scores)
    if settings.greedy:
        return draw(scores, None)
    depths: dict[int, tuple[int, ...]] = {}
    uniforms = []
    for _, sequence, tree, node in part:
        depth = depths.setdefault(id(tree), tree.depths)[node]
        uniforms.append(uniform(sequence.settings.seed, len(sequence.tokens) + depth))
    return draw(scores, uniforms)


def _histories(part: Rows[tuple[int, Sequence, DraftTree, int]]) -> torch.Tensor:
    """The text before each node's draw [M, T]. Shorter ones repeat their first token, which changes nothing: a
    penalty looks at which tokens occur."""
    texts = [sequence.tokens[:-1] + [tree.tokens[at] for at in tree.path(node)] for _, sequence, tree, node in part]
    longest = max(len(text) for text in texts)
    return torch.tensor([text[:1] * (longest - len(text)) + text for text in texts])
