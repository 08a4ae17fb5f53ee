"""What the terminal asks of a worker. Plain values; `encode` and `decode` turn them into JSON objects and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, get_args

from specmemo_chat.chat.task import Task
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings


@dataclass(frozen=True)
class Load:
    """Load the plan's model. The first request of every worker; answered by Progress… and Ready. `devices` are those of
    this machine's workers where several share the model, in their order."""

    plan: Plan
    system: str | None = None
    chat_template: str = "auto"
    trust_remote_code: bool = False
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Say:
    """A new user message; answered by Text… and ReplyEnd."""

    text: str
    settings: GenerationSettings


@dataclass(frozen=True)
class Regenerate:
    """Answer the last user message again; its old reply is dropped. Answered like Say."""

    settings: GenerationSettings


@dataclass(frozen=True)
class Resume:
    """Go on with the last reply. Answered like Say: Text… is what is new, ReplyEnd has the whole reply."""

    settings: GenerationSettings


@dataclass(frozen=True)
class AnswerAll:
    """Answer many conversations beside each other, in the plan's rows. Answered for each when it ends, BatchProgress
    between, then Done: {"peak_bytes": of each worker, "parked"}."""

    tasks: tuple[Task, ...]
    settings: GenerationSettings


@dataclass(frozen=True)
class Compare:
    """Answer the last user message again by plain decoding and keep the first reply. Answered by Done with both."""

    settings: GenerationSettings


@dataclass(frozen=True)
class Undo:
    """Forget the last `turns` turns. Done: {"turns": how many are left}."""

    turns: int = 1


@dataclass(frozen=True)
class Restore:
    """Replace the conversation by these messages (role, content); [] clears it. `system` replaces the prompt."""

    messages: list[dict[str, str]] = field(default_factory=list)
    system: str | None = None


@dataclass(frozen=True)
class Inspect:
    """Done: context used, memory, and what speculation did so far. `settings`: of the next message."""

    settings: GenerationSettings = field(default_factory=GenerationSettings)


@dataclass(frozen=True)
class Count:
    """How long a text is. Done: {"tokens"}."""

    text: str


@dataclass(frozen=True)
class Interrupt:
    """Stop the reply that is being made within one step. No answer of its own."""


@dataclass(frozen=True)
class Shutdown:
    """Leave. No answer."""


Request = (
    Load | Say | Regenerate | Resume | AnswerAll | Compare | Undo | Restore | Inspect | Count | Interrupt | Shutdown
)

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Request)}


def encode(request: Request) -> dict[str, Any]:
    """The request as a JSON object with its kind under "request"."""
    return {"request": type(request).__name__, **dataclasses.asdict(request)}


def decode(values: dict[str, Any]) -> Request:
    """The request that `encode` wrote. Raises KeyError or TypeError for anything else."""
    fields = dict(values)
    kind = _KINDS[fields.pop("request")]
    if "plan" in fields:
        fields["plan"] = Plan.from_json(fields["plan"])
        fields["devices"] = tuple(fields["devices"])
    if "settings" in fields:
        fields["settings"] = GenerationSettings.from_json(fields["settings"])
    if "tasks" in fields:
        fields["tasks"] = tuple(Task.from_json(task) for task in fields["tasks"])
    request: Request = kind(**fields)
    return request
