"""What speculation did since the load, for `/stats`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DepthReport:
    """How often a draft's node was tried at a depth (from 1), and how often it was accepted."""

    depth: int
    tried: int
    accepted: int


@dataclass(frozen=True)
class TimeReport:
    """Seconds of all steps together."""

    draft: float = 0.0
    verify: float = 0.0
    rest: float = 0.0


@dataclass(frozen=True)
class GraphReport:
    """How many CUDA graphs there are; `problem`: why there are no more, "" where nothing is in their way."""

    captured: int
    problem: str = ""


@dataclass(frozen=True)
class SpeculationReport:
    """What the controller decided and why; times in seconds.

    `steps` and `seconds`: by nodes per row (as text), how often each size was taken and what it takes now at this
    context; `draft_seconds`: of a step; `speedup`: against plain steps as measured for the same tokens; `price`: tokens
    per plain step that speculation reaches; `graphs` None: the plan has none.
    """

    adaptive: bool = True
    steps: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: int = 0
    depths: tuple[DepthReport, ...] = ()
    time: TimeReport = TimeReport()
    draft_seconds: float = 0.0
    plain_step_seconds: float = 0.0
    price: float = 1.0
    speedup: float = 0.0
    graphs: GraphReport | None = None

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SpeculationReport:
        """The report that `as_json` wrote."""
        parts = {
            "depths": tuple(DepthReport(**depth) for depth in values["depths"]),
            "time": TimeReport(**values["time"]),
            "graphs": GraphReport(**values["graphs"]) if values["graphs"] is not None else None,
        }
        return cls(**{**values, **parts})
