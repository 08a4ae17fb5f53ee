"""What a benchmark is asked to do: plain values that the command line writes and the measuring process reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings

# The names of docs/reference.md. The first five are specmemo's, each with an engine and a plan of its own.
ENGINE_METHODS = ("plain", "ngram", "eagle", "chain", "adaptive")
LIBRARY_METHODS = ("transformers", "transformers-prompt-lookup", "transformers-assisted")
METHODS = ENGINE_METHODS + LIBRARY_METHODS

# Enough for an interval.
PAIRS = 100


@dataclass(frozen=True)
class RandomShape:
    """Random weights in place of trained ones, and acceptance replayed in place of a trained head's.

    `config` and `head_config` are the contents of the config.json of target and head; `acceptance[d]` is the
    probability that the head's first choice at depth d + 1 is right where its parent was (the last value goes on);
    `source` says where these come from.
    """

    name: str
    config: dict[str, Any]
    head_config: dict[str, Any]
    acceptance: tuple[float, ...]
    source: str
    seed: int = 0


@dataclass(frozen=True)
class MemoryJob:
    """`--memory`. `plans` has `uncapped` and `capped` for the prompts, `contexts` the same for conversations of so many
    tokens; `computed` are figures that need no run. `shape` None: the model's own weights and head. `times`: what is
    known of steps and levels, as a chat that was there before knows it."""

    subject: str
    plans: dict[str, Plan]
    contexts: dict[int, dict[str, Plan]]
    computed: dict[str, Any]
    shape: RandomShape | None = None
    times: dict[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """One benchmark. `plans` are those of the engine methods that can run, `not_run` the reasons of the others.

    `compare` False leaves out the comparison of methods. `times` asks for step times alone, `text` for its perplexity
    by the plans "plain" and, if there is one, "against".
    """

    plans: dict[str, Plan]
    methods: tuple[str, ...]
    settings: GenerationSettings
    talks: tuple[Talk, ...]
    prompts: str
    pairs: int = PAIRS
    threads: int = 0
    system: str | None = None
    chat_template: str = "auto"
    trust_remote_code: bool = False
    assistant: str | None = None
    not_run: dict[str, str] = field(default_factory=dict)
    compare: bool = True
    sweep: bool = False
    times: bool = False
    text: str = ""
    shape: RandomShape | None = None
    memory: MemoryJob | None = None
    environment: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Job:
        """The job that `as_json` wrote (JSON has lists where the job has tuples)."""
        fields = dict(values)
        fields["plans"] = _plans(fields["plans"])
        fields["methods"] = tuple(fields["methods"])
        fields["settings"] = GenerationSettings.from_json(fields["settings"])
        fields["talks"] = tuple(Talk(talk["id"], tuple(talk["turns"]), talk["system"]) for talk in fields["talks"])
        fields["shape"] = _shape(fields["shape"])
        if fields["memory"] is not None:
            memory = dict(fields["memory"])
            memory["plans"] = _plans(memory["plans"])
            memory["contexts"] = {int(size): _plans(plans) for size, plans in memory["contexts"].items()}
            memory["shape"] = _shape(memory["shape"])
            fields["memory"] = MemoryJob(**memory)
        return cls(**fields)


def _plans(values: dict[str, Any]) -> dict[str, Plan]:
    return {name: Plan.from_json(plan) for name, plan in values.items()}


def _shape(values: dict[str, Any] | None) -> RandomShape | None:
    return None if values is None else RandomShape(**{**values, "acceptance": tuple(values["acceptance"])})
