"""What a worker does: load the plan's model once, then answer requests about one conversation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import Done, Event, Progress, Ready, ReplyEnd
from specmemo_chat.host.requests import Compare, Inspect, Load, Regenerate, Request, Restore, Say, Undo
from specmemo_chat.memory import meter

if TYPE_CHECKING:
    from specmemo_chat.chat.conversation import Conversation, Memory
    from specmemo_chat.engine.engine import Engine

Interrupted = Callable[[], bool]


class Service:
    """Answers one request at a time. The heavy imports happen in `answer(Load)`, so that the link is up before them."""

    def __init__(self, load: Load) -> None:
        self._plan = load.plan
        self._started = time.perf_counter()
        self._load_s = 0.0
        self._runtime_bytes = 0
        self._load_peak_bytes = 0
        self._engine: Engine | None = None
        self._conversation: Conversation | None = None

    def answer(self, request: Request, interrupted: Interrupted) -> Iterator[Event]:
        """Events up to Ready, ReplyEnd or Done. Raises SpecmemoError for what the request asked wrongly."""
        if isinstance(request, Load):
            yield from self._load(request)
            return
        conversation = self._conversation
        if conversation is None:
            raise WorkerError("the model is not loaded", "see the error before")
        match request:
            case Say(text, settings):
                yield from self._finished(conversation.reply(text, settings, interrupted))
            case Regenerate(settings):
                yield from self._finished(conversation.regenerate(settings, interrupted))
            case Compare(settings):
                speculative, plain = conversation.compare(settings, interrupted)
                yield Done(
                    {
                        "speculative": {"text": speculative.text, "stats": speculative.stats.as_json()},
                        "plain": {"text": plain.text, "stats": plain.stats.as_json()},
                        "identical": speculative.text == plain.text,
                    }
                )
            case Undo():
                if not conversation.undo():
                    raise UsageError("there is no turn to undo", "send a message first")
                yield Done({"turns": len(conversation.history.turns)})
            case Restore(messages, system):
                conversation.restore(messages, system)
                yield Done({"turns": len(conversation.history.turns)})
            case Inspect():
                yield Done(self._inspect(conversation))
            case _:
                raise WorkerError(f"a worker cannot answer {type(request).__name__}")

    def _finished(self, answer: Iterator[Event]) -> Iterator[Event]:
        for event in answer:
            if isinstance(event, ReplyEnd):
                event = replace(event, stats=replace(event.stats, load_s=self._load_s))
            yield event

    def _load(self, load: Load) -> Iterator[Event]:
        plan = load.plan
        timings: dict[str, float] = {}

        def lap(name: str, since: float) -> float:
            now = time.perf_counter()
            timings[name] = round(now - since, 4)
            return now

        yield Progress("load", 0, 0)
        mark = self._started
        from specmemo_chat.models.threads import import_torch

        import_torch()
        mark = lap("import_torch_s", mark)
        with _light_imports(load):
            from specmemo_chat.chat.conversation import Conversation
            from specmemo_chat.chat.history import History
            from specmemo_chat.drafters import make_drafter
            from specmemo_chat.engine.engine import Engine
            from specmemo_chat.models.loading import import_architecture, load_target
            from specmemo_chat.models.tokenizer import ChatTokenizer, read_template

            import_architecture(plan.target)
            mark = lap("import_transformers_s", mark)
            tokenizer = ChatTokenizer(plan.target, trust_remote_code=load.trust_remote_code)
            template = read_template(load.chat_template, tokenizer)
            mark = lap("tokenizer_s", mark)
            self._runtime_bytes = meter.rss_bytes()
            target = load_target(
                plan.target, dtype=plan.dtype, device=plan.device, trust_remote_code=load.trust_remote_code
            )
            mark = lap("weights_s", mark)
        drafter = make_drafter(plan, target)
        self._engine = Engine(target, drafter, plan)
        history = History(tokenizer, template, target.eos_ids, load.system)
        self._conversation = Conversation(self._engine, tokenizer, history, measure=self._measure)
        lap("arena_s", mark)
        # What loading took for a moment counts against the cap, but is not generation memory.
        self._load_peak_bytes = meter.peak_rss_bytes()
        meter.reset_peak()
        self._load_s = time.perf_counter() - self._started
        yield Ready(
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            drafter=drafter.name if drafter is not None else "none",
            context_tokens=plan.context_tokens,
            load_s=self._load_s,
            timings=timings,
        )

    def _measure(self) -> Memory:
        from specmemo_chat.chat.conversation import Memory

        plan = self._plan
        peak = meter.peak_rss_bytes()
        weights = plan.terms.get("target_weights", 0) + plan.terms.get("draft_weights", 0)
        return Memory(
            peak_bytes=max(peak, self._load_peak_bytes),
            generation_bytes=max(0, peak - self._runtime_bytes - weights),
            planned_bytes=plan.total_bytes,
            planned_generation_bytes=plan.generation_bytes,
            cap_bytes=plan.cap_bytes,
        )

    def _inspect(self, conversation: Conversation) -> dict[str, object]:
        return {
            "context_tokens": conversation.context_tokens,
            "used_tokens": conversation.used_tokens,
            "turns": len(conversation.history.turns),
            "memory": {**asdict(self._measure()), "rss_bytes": meter.rss_bytes()},
            "speculation": self._engine.report() if self._engine is not None else {},
        }


def _light_imports(load: Load) -> AbstractContextManager[None]:
    """Leave out of transformers what this worker never uses, where that is certain."""
    plan = load.plan
    if plan.tp > 1 or plan.dtype in ("int8", "nf4") or plan.device != "cpu" or load.trust_remote_code:
        return nullcontext()
    from specmemo_chat.models.imports import without

    return without()
