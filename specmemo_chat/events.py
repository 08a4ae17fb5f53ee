"""What travels from the engine's process to the terminal: the typed pieces a reply is made of while it grows.

Events are frozen, hold only plain values, and turn into JSON objects and back (`encode`, `decode`), because
they cross a process boundary. Times are seconds, sizes bytes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from specmemo_chat.errors import Remedy, unpack

FinishReason = Literal["stop", "length", "interrupted", "loop"]


@dataclass(frozen=True)
class Statistics:
    """The `stats` object of docs/reference.md for one reply.

    `prompt_tokens` includes `reused_tokens` (already in the KV arena). `steps` counts verify forwards after the
    prefill; `ttft_s` runs from the message to the first token, load excluded.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    new_tokens: int = 0
    load_s: float = 0.0
    ttft_s: float = 0.0
    decode_s: float = 0.0
    steps: int = 0
    drafter: str = "none"
    peak_bytes: int = 0
    generation_bytes: int = 0
    planned_bytes: int = 0
    planned_generation_bytes: int = 0
    cap_bytes: int = 0
    seed: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens per second after the first one; 0 where fewer than two tokens were made."""
        return (self.new_tokens - 1) / self.decode_s if self.new_tokens > 1 and self.decode_s > 0 else 0.0

    @property
    def mean_acceptance_length(self) -> float:
        """Tokens per verify step, the bonus token counted; 0 where no step was run."""
        return (self.new_tokens - 1) / self.steps if self.steps else 0.0

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        values = dataclasses.asdict(self)
        values["tokens_per_second"] = round(self.tokens_per_second, 3)
        values["mean_acceptance_length"] = round(self.mean_acceptance_length, 4)
        return values


@dataclass(frozen=True)
class Progress:
    """A long task moves on: `stage` is download, load, prefill or rehearsal; `total` is 0 where it is not known."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Ready:
    """The worker has loaded the model. `timings` are named seconds (import, weights, tokenizer, warm-up, …).
    `reasoning_open`: the chat template opens a reasoning block, so every reply begins inside one."""

    model: str
    device: str
    dtype: str
    drafter: str
    context_tokens: int
    load_s: float
    timings: dict[str, float] = field(default_factory=dict)
    reasoning_open: bool = False


@dataclass(frozen=True)
class Text:
    """More of the reply. `from_draft`: this piece came from accepted draft tokens."""

    text: str
    from_draft: bool = False


@dataclass(frozen=True)
class Note:
    """A sentence for the user that is not part of the reply (turns dropped, a template re-rendered, …)."""

    text: str


@dataclass(frozen=True)
class ReplyEnd:
    """The reply is complete: its whole visible text, why it ended, what it cost, and how many tokens of the context
    the conversation takes with it."""

    text: str
    finish_reason: FinishReason
    stats: Statistics
    used_tokens: int = 0


@dataclass(frozen=True)
class Done:
    """A request without a reply was carried out; `values` holds what it answers."""

    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """A conversation of a batch is over: all its replies, with what each cost. `error`: why there are fewer than
    messages."""

    number: int
    replies: list[str] = field(default_factory=list)
    stats: list[Statistics] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class BatchProgress:
    """A batch went a step: the numbers of the conversations in flight, how many wait, how often one had to give its row
    up, and all new tokens so far."""

    running: list[int] = field(default_factory=list)
    waiting: int = 0
    parked: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """A request failed; the worker goes on. Rebuilt in the parent by `errors.error_with_exit_code`."""

    message: str
    remedies: tuple[Remedy, ...]
    exit_code: int


Event = Progress | Ready | Text | Note | ReplyEnd | Answered | BatchProgress | Done | Failure

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}

_SEVERAL = "Several"


def encode(event: Event) -> dict[str, Any]:
    """The event as a JSON object with its kind under "event"."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


def encode_all(events: list[Event]) -> dict[str, Any]:
    """One or several events as one JSON object."""
    return encode(events[0]) if len(events) == 1 else {"event": _SEVERAL, "events": [encode(event) for event in events]}


def decode_all(values: dict[str, Any]) -> list[Event]:
    """The events that `encode_all` wrote. Raises as `decode` does."""
    return [decode(one) for one in values["events"]] if values["event"] == _SEVERAL else [decode(values)]


def decode(values: dict[str, Any]) -> Event:
    """The event that `encode` wrote. Raises KeyError or TypeError where it was not written by `encode`."""
    fields = dict(values)
    kind = _KINDS[fields.pop("event")]
    if kind is ReplyEnd:
        fields["stats"] = Statistics(**fields["stats"])
    elif kind is Answered:
        fields["stats"] = [Statistics(**values) for values in fields["stats"]]
    elif kind is Failure:
        fields["remedies"] = unpack(fields["remedies"])
    event: Event = kind(**fields)
    return event
