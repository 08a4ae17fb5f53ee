"""A worker without a model: the real process, link and protocol; replies and figures from a script. A program.

SCRIPT is a JSON file: {"replies": {message: [[text, from_draft, seconds before it], …]}, "load_s": …, "error": …}.
A message that is not in it is answered with "You said: …". Every word counts as one token. "hold_s": so long loading
holds the interpreter's lock, as an import may. "deaf_s": so long a reply looks at no interrupt, once it is all said.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specmemo_chat.chat.outlook import Outlook
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.events import Done, Event, FinishReason, Progress, Ready, ReplyEnd, Statistics, Text
from specmemo_chat.host import requests, worker
from specmemo_chat.host.answers import Inspection
from specmemo_chat.host.requests import Load
from specmemo_chat.memory.meter import Memory
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import MIB
from specmemo_chat.speculation.report import SpeculationReport

Interrupted = Callable[[], bool]


class ScriptedService:
    """Stands where host.service.Service does."""

    def __init__(self, load: Load, *_others: Any) -> None:
        self._load = load
        self._plan = load.plan
        self._turns: list[tuple[str, str]] = []
        self._place = 0
        self._script: dict[str, Any] = json.loads(Path(os.environ["SCRIPT"]).read_text(encoding="utf-8"))

    def leave(self) -> None:
        """Nothing to take apart."""

    def answer(self, request: requests.Request, interrupted: Interrupted) -> Iterator[Event]:
        match request:
            case Load():
                yield from self._answer_load()
            case requests.Say(text, settings):
                yield from self._reply(text, settings, interrupted)
            case requests.Regenerate(settings):
                yield from self._reply(self._turns.pop()[0], settings, interrupted)
            case requests.Resume(settings):
                message, before = self._turns.pop()
                yield from self._reply(message, settings, interrupted, before)
            case requests.Undo(turns):
                if not 0 < turns <= len(self._turns):
                    raise UsageError("there is no turn to undo", "send a message first")
                del self._turns[-turns:]
                yield Done({"turns": len(self._turns)})
            case requests.Restore(messages, _system):
                pairs = zip(messages[::2], messages[1::2], strict=True)
                self._turns = [(user["content"], reply["content"]) for user, reply in pairs]
                yield Done({"turns": len(self._turns)})
            case requests.Inspect():
                yield Done(self._report().as_json())
            case requests.Count(text):
                yield Done({"tokens": len(text.split())})
            case _:
                raise UsageError(f"the script cannot answer {type(request).__name__}")

    def _answer_load(self) -> Iterator[Event]:
        plan = self._plan
        yield Progress("load", 0, 0)
        time.sleep(self._script.get("load_s", 0.0))
        ctypes.PyDLL(None).sleep(int(self._script.get("hold_s", 0)))
        if plan.model == self._script.get("broken"):
            raise ModelError(f"{plan.model} is corrupt: model.safetensors ends early", "download it again")
        yield Ready(plan.model, plan.device, plan.dtype, "ngram", plan.context_tokens, 1.0)

    def _reply(
        self, message: str, settings: GenerationSettings, interrupted: Interrupted, before: str = ""
    ) -> Iterator[Event]:
        """`before`: the beginning of the reply, shown already; then the pieces after it follow."""
        pieces = self._script["replies"].get(message) or [[f"You said: {message}", False, 0.0]]
        self._place = self._place if before else 0
        shown, reason = before, "stop"
        for text, drafted, pause in pieces[self._place :]:
            end = time.monotonic() + pause
            while time.monotonic() < end and not interrupted():
                time.sleep(0.005)
            if interrupted():
                reason = "interrupted"
                break
            self._place += 1
            shown += text
            yield Text(text, drafted)
        time.sleep(self._script.get("deaf_s", 0.0))
        prompt = self._words() + len(message.split())
        if shown:
            self._turns.append((message, shown.rstrip()))
        finish: FinishReason = "interrupted" if reason == "interrupted" else "stop"
        yield ReplyEnd(shown.rstrip(), finish, self._statistics(prompt, len(shown.split()), settings), self._words())

    def _statistics(self, prompt: int, new: int, settings: GenerationSettings) -> Statistics:
        return Statistics(
            prompt_tokens=prompt,
            new_tokens=new,
            ttft_s=0.25,
            decode_s=new / 50,
            steps=max(1, new // 2),
            drafter="ngram",
            seed=settings.seed,
            **asdict(self._memory()),
        )

    def _words(self) -> int:
        return sum(len(user.split()) + len(reply.split()) for user, reply in self._turns)

    def _memory(self) -> Memory:
        plan = self._plan
        return Memory(300 * MIB, 20 * MIB, plan.total_bytes, plan.generation_bytes, plan.cap_bytes)

    def _report(self) -> Inspection:
        sizes = tuple(len(user.split()) + len(reply.split()) for user, reply in self._turns)
        speculation = SpeculationReport(steps={"1": 4, "8": 9}, seconds={"1": 0.011, "8": 0.014}, draft_seconds=0.0002)
        return Inspection(Outlook(self._plan.context_tokens, sizes, 128), self._memory(), 280 * MIB, (), speculation)


if __name__ == "__main__":
    worker.Service = ScriptedService  # type: ignore[assignment, misc]
    worker.main()
