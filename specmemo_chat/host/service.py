"""What a worker does: load the plan's model once, then answer requests about one conversation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import platformdirs

from specmemo_chat.device.heap import bound_heap, own_mappings, trim_heap
from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import Answered, Done, Event, Note, Progress, Ready, ReplyEnd
from specmemo_chat.host import requests
from specmemo_chat.host.answers import Comparison, Inspection
from specmemo_chat.host.requests import Load, Request
from specmemo_chat.memory import meter
from specmemo_chat.memory.measured import Measurements
from specmemo_chat.memory.meter import Memory, ProcessMemory

if TYPE_CHECKING:
    from specmemo_chat.chat.conversation import Conversation
    from specmemo_chat.chat.outlook import Outlook
    from specmemo_chat.engine.calibration import CostRecord
    from specmemo_chat.engine.engine import Engine
    from specmemo_chat.host.leader import Leader, Lost
    from specmemo_chat.models.allocator import DeviceMemory
    from specmemo_chat.models.parallel import Share

Interrupted = Callable[[], bool]

# A batch tells how it goes on whenever a conversation enters or leaves, and at least so often, in seconds.
PROGRESS_S = 0.2

# Steps after which the refined step times are written at the end of a reply.
_SAVE_STEPS = 256


class Service:
    """Answers one request at a time. The heavy imports happen in `answer(Load)`, so that the link is up before them."""

    def __init__(self, load: Load, lost: Lost | None = None) -> None:
        """`lost`: this worker is the first of several; called where another one is gone, it ends the process."""
        self._plan = load.plan
        self._lost = lost
        self._leader: Leader | None = None
        self._started = time.perf_counter()
        self._load_s = 0.0
        self._runtime_bytes = 0
        self._memory: DeviceMemory | None = None
        self._load_peak_bytes = 0
        self._engine: Engine | None = None
        self._costs: CostRecord | None = None
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
            case requests.Say(text, settings):
                yield from self._finished(conversation.reply(text, settings, interrupted))
            case requests.Regenerate(settings):
                yield from self._finished(conversation.regenerate(settings, interrupted))
            case requests.Resume(settings):
                yield from self._finished(conversation.resume(settings, interrupted))
            case requests.AnswerAll():
                yield from self._answer_all(request, conversation, interrupted)
            case requests.Compare(settings):
                yield Done(Comparison.of(*conversation.compare(settings, interrupted)).as_json())
            case requests.Undo(turns):
                if not conversation.undo(turns):
                    raise UsageError("there is no turn to undo", "send a message first")
                yield Done({"turns": len(conversation.history.turns)})
            case requests.Restore(messages, system):
                conversation.restore(messages, system)
                yield Done({"turns": len(conversation.history.turns)})
            case requests.Inspect(settings):
                yield Done(self._inspect(conversation.outlook(settings), conversation.engine).as_json())
            case requests.Count(text):
                yield Done({"tokens": conversation.count(text)})
            case _:
                raise WorkerError(f"a worker cannot answer {type(request).__name__}")

    def _answer_all(self, request: requests.AnswerAll, own: Conversation, interrupted: Interrupted) -> Iterator[Event]:
        from specmemo_chat.chat.batch import ConversationBatch

        own.forget()  # all rows are the batch's
        batch = ConversationBatch(own.engine, own.sibling)
        shown, running = 0.0, list[int]()
        for event in batch.run(request.tasks, request.settings, interrupted):
            if isinstance(event, Answered):
                trim_heap()
                yield replace(event, stats=[replace(stats, load_s=self._load_s) for stats in event.stats])
            elif event.running != running or time.perf_counter() - shown > PROGRESS_S:
                shown, running = time.perf_counter(), event.running
                yield event
        yield Done({"peak_bytes": [worker.peak_bytes for worker in self._workers()], "parked": batch.parked})

    def _finished(self, answer: Iterator[Event]) -> Iterator[Event]:
        for event in answer:
            if isinstance(event, ReplyEnd):
                event = replace(event, stats=replace(event.stats, load_s=self._load_s))
                if self._costs is not None:
                    self._costs.update(_SAVE_STEPS)
            yield event
        # What new shapes left between what stays.
        trim_heap()

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

        # Both before torch is there: what is mapped and what is kept decides how much stays resident.
        bound_heap()
        if plan.device.startswith("cuda"):
            os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        import_torch(plan.products)
        mark = lap("import_torch_s", mark)
        share = self._join(load)
        mark = lap("workers_s", mark)
        from specmemo_chat.chat.conversation import Conversation
        from specmemo_chat.chat.history import History
        from specmemo_chat.drafters import make_drafter
        from specmemo_chat.engine.calibration import CostRecord
        from specmemo_chat.engine.engine import Engine
        from specmemo_chat.engine.proof import check_cap, prove
        from specmemo_chat.models.allocator import DeviceMemory
        from specmemo_chat.models.loading import load_target
        from specmemo_chat.models.tokenizer import ChatTokenizer, import_transformers, read_template

        import_transformers(plan.target)
        mark = lap("import_transformers_s", mark)
        tokenizer = ChatTokenizer(plan.target, trust_remote_code=load.trust_remote_code)
        template = read_template(load.chat_template, tokenizer)
        mark = lap("tokenizer_s", mark)
        self._memory = DeviceMemory(plan.device, plan.graph_bytes)
        self._memory.enforce(plan.cap_bytes)
        # What reading a tokenizer took is a part of the weights' memory again.
        trim_heap()
        with own_mappings():
            target = load_target(
                plan.target,
                dtype=plan.dtype,
                compute=plan.kv_dtype,
                device=plan.device,
                trust_remote_code=load.trust_remote_code,
                planned_bytes=plan.terms.target_weights,
                **({"share": share} if share is not None else {}),
            )
        mark = lap("weights_s", mark)
        if self._leader is not None:
            target = self._leader.lead(target)
        with own_mappings():
            drafter = make_drafter(plan, target)
            self._engine = Engine(target, drafter, plan)
        tokenizer.check(template, target.eos_ids)
        history = History(tokenizer, template, target.eos_ids, load.system)
        self._conversation = Conversation(self._engine, tokenizer, history, measure=self._measure)
        mark = lap("arena_s", mark)
        if drafter is not None:
            # Before the peak is read: what measuring takes for a moment belongs to loading.
            self._costs = CostRecord(self._engine, platformdirs.user_cache_path("specmemo", appauthor=False))
            self._costs.load(mark - self._started)
            lap("step_times_s", mark)
        # What loading took for a moment counts against the cap, but is not generation memory.
        self._load_peak_bytes = max(worker.peak_bytes for worker in self._workers())
        check_cap(plan, self._load_peak_bytes, "loading the model")
        yield Progress("rehearsal", 0, 0)
        proof = prove(self._engine, Measurements(platformdirs.user_cache_path("specmemo", appauthor=False)),
                      lambda: max(worker.peak_bytes for worker in self._workers()), self._reset_peaks)  # fmt: skip
        self._runtime_bytes = proof.runtime
        if proof.rehearsed:
            self._load_peak_bytes = max(self._load_peak_bytes, proof.peak)
        for note in (*target.notes, proof.note, self._engine.graph_problem):
            if note:
                yield Note(note)
        trim_heap()
        mark = lap("rehearsal_s", mark)
        self._reset_peaks()
        self._workers()  # a plan that was proven earlier: what came late counts here too
        self._load_s = time.perf_counter() - self._started
        yield Ready(
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            drafter=drafter.name if drafter is not None else "none",
            context_tokens=plan.context_tokens,
            load_s=self._load_s,
            timings=timings,
            reasoning_open=history.opens_reasoning(),
        )

    def _reset_peaks(self) -> None:
        if self._memory is not None:
            self._memory.reset_peak()
        if self._leader is not None:
            self._leader.reset_peaks()

    def _join(self, load: Load) -> Share | None:
        """This worker's share of the model, with the other workers waiting for its orders; None where it is alone."""
        if self._lost is None:
            return None
        from specmemo_chat.host.leader import Leader
        from specmemo_chat.host.place import Place

        self._leader = Leader(load, Place.from_environment(), self._lost)
        return self._leader.place.share

    def leave(self) -> None:
        """Send the other workers home."""
        if self._leader is not None:
            self._leader.leave()

    def _measure(self) -> Memory:
        plan = self._plan
        # Plan and cap are per worker: so is the peak, of the worker that took the most.
        peak = max(worker.peak_bytes for worker in self._workers())
        return Memory(
            peak_bytes=max(peak, self._load_peak_bytes),
            generation_bytes=max(0, peak - self._runtime_bytes - plan.terms.weights),
            planned_bytes=plan.total_bytes,
            planned_generation_bytes=plan.generation_bytes,
            cap_bytes=plan.cap_bytes,
        )

    def _workers(self) -> list[ProcessMemory]:
        """What each worker takes and took at its peak, in the order of their ranks."""
        memory = self._memory
        own = ProcessMemory(
            memory.now() if memory is not None else meter.rss_bytes(),
            memory.peak() if memory is not None else meter.peak_rss_bytes(),
        )
        return [own, *(self._leader.measure() if self._leader is not None else ())]

    def _inspect(self, context: Outlook, engine: Engine) -> Inspection:
        return Inspection(context, self._measure(), meter.rss_bytes(), tuple(self._workers()), engine.report())
