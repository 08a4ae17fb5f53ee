"""Position-keyed sampling: every position of a text has one uniform number, whatever the path to it.

So sampled speculative text equals sampled plain text token by token, and `--seed` means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64-bit integers without structure."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, position: int) -> float:
    """The number in [0, 1) that decides the token at `position` (index in the whole text)."""
    mixed = _mix((_mix(seed + 0x9E3779B97F4A7C15 & _MASK) + position * 0x9E3779B97F4A7C15) & _MASK)
    return (mixed >> 11) * 2.0**-53


def row_seed(seed: int, row: int) -> int:
    """The seed of row `row` in a batch without seeds of its own."""
    return _mix((seed ^ _mix(row + 1)) & _MASK) >> 1


def draw(scores: torch.Tensor, uniforms: Sequence[float] | None) -> torch.Tensor:
    """Tokens [M] for processed logits `scores` [M, vocab]: the argmax where `uniforms` is None, else the inverse CDF
    at each row's number, in float64 and in the order of the vocabulary."""
    if uniforms is None:
        return scores.argmax(-1)
    cumulative = scores.double().softmax(-1).cumsum(-1)
    numbers = cumulative.new_tensor(uniforms)[:, None] * cumulative[:, -1:]
    # The first token whose cumulative probability exceeds the number: one with probability 0 can never be it.
    return (cumulative > numbers).int().argmax(-1)
