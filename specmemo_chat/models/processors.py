"""transformers' own logits processors, in the order in which its `generate` applies them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from specmemo_chat.settings import GenerationSettings

Processor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def logits_processors(settings: GenerationSettings) -> list[Processor]:
    """Processors of (input ids [M, T], logits [M, vocab]) for `settings`; none for plain greedy decoding."""
    from transformers.generation import logits_process as library

    processors: list[Processor] = []
    if settings.repeat_penalty != 1.0:
        processors.append(library.RepetitionPenaltyLogitsProcessor(settings.repeat_penalty))
    if settings.greedy:
        return processors
    if settings.temperature != 1.0:
        processors.append(library.TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        processors.append(library.TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1.0:
        processors.append(library.TopPLogitsWarper(settings.top_p))
    if settings.min_p > 0.0:
        processors.append(library.MinPLogitsWarper(settings.min_p))
    return processors


def needs_history(settings: GenerationSettings) -> bool:
    """Whether the processors look at the text so far."""
    return settings.repeat_penalty != 1.0
