"""What a worker's Done holds where that is more than a number; `as_json` and `from_json` for the link."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from specmemo_chat.chat.outlook import Outlook
from specmemo_chat.events import ReplyEnd, Statistics
from specmemo_chat.memory.meter import Memory, ProcessMemory
from specmemo_chat.speculation.report import SpeculationReport


@dataclass(frozen=True)
class Inspection:
    """The answer to Inspect. `rss_bytes` are those of the first worker's process, `workers` in the order of ranks."""

    context: Outlook
    memory: Memory
    rss_bytes: int
    workers: tuple[ProcessMemory, ...]
    speculation: SpeculationReport

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Inspection:
        """The inspection that `as_json` wrote."""
        context = values["context"]
        return cls(
            Outlook(**{**context, "turn_tokens": tuple(context["turn_tokens"])}),
            Memory(**values["memory"]),
            values["rss_bytes"],
            tuple(ProcessMemory(**worker) for worker in values["workers"]),
            SpeculationReport.from_json(values["speculation"]),
        )


@dataclass(frozen=True)
class Comparison:
    """The answer to Compare: what both replies cost, and whether their texts are the same."""

    speculative: Statistics
    plain: Statistics
    identical: bool

    @classmethod
    def of(cls, speculative: ReplyEnd, plain: ReplyEnd) -> Comparison:
        return cls(speculative.stats, plain.stats, speculative.text == plain.text)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Comparison:
        """The comparison that `as_json` wrote."""
        return cls(Statistics(**values["speculative"]), Statistics(**values["plain"]), values["identical"])
