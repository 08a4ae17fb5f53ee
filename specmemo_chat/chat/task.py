"""A conversation of a batch, as it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """A conversation to be answered: the messages that stand before, and the user messages in turn. `number` names it,
    from 1 on; `seed` None: hash(settings.seed, number - 1). `system` None: the conversation's own. `sampling`: settings
    in which it differs, by their names."""

    number: int
    turns: tuple[str, ...]
    before: tuple[dict[str, str], ...] = ()
    system: str | None = None
    seed: int | None = None
    sampling: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """The task of a JSON object with these fields (JSON has lists where the task has tuples)."""
        return cls(**{**values, "turns": tuple(values["turns"]), "before": tuple(values["before"])})
