"""Settings and texts for training draft heads of a tiny model."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from specmemo_chat.distill.training.replies import Example
from specmemo_chat.distill.training.settings import TrainingSettings
from tests.models import VOCABULARY


def small(tmp_path: Path, **changes: Any) -> TrainingSettings:
    """Settings for the tiny model, already fitted."""
    values: dict[str, Any] = {
        "data": "",
        "out": str(tmp_path),
        "steps": 6,
        "depth": 3,
        "batch_tokens": 96,
        "micro_tokens": 96,
        "row_tokens": 48,
        "learning_rate": 3e-3,
        "draft_vocab": VOCABULARY,
        "intermediate": 64,
        "feature_layers": (0, 1, 2),
        "save_seconds": 1e9,
    }
    return TrainingSettings(**{**values, **changes})


def some_examples(count: int = 12, seed: int = 0) -> dict[int, list[Example]]:
    """Texts in which a reply repeats its prompt: what follows can be learnt."""
    rng = random.Random(seed)
    found = {}
    for line in range(1, count + 1):
        prompt = [rng.randrange(VOCABULARY) for _ in range(rng.randint(3, 9))]
        tokens = (*prompt, *prompt)
        found[line] = [Example(tokens, ((len(prompt), len(tokens)),))]
    return found
