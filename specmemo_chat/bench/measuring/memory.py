"""`bench --memory`: what a conversation takes, and how fast it is, for the baselines and for specmemo.

Same prompts, same weights, in one process. `uncapped` is specmemo with all the memory that the profile gives, `capped`
the same under the cap. Bytes are counted by the tracker, in conversations of their own that nobody times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from specmemo_chat.bench.measuring.baselines import UsualEagle, usual_plan
from specmemo_chat.bench.measuring.contest import Record, contest, one_reply, talk_bytes
from specmemo_chat.bench.measuring.job import Job, MemoryJob
from specmemo_chat.bench.measuring.library import GenerateMethod
from specmemo_chat.bench.measuring.methods import EngineMethod, Method
from specmemo_chat.bench.measuring.saving import savings
from specmemo_chat.bench.measuring.schedule import rounds
from specmemo_chat.bench.measuring.subject import Report, Subject
from specmemo_chat.bench.measuring.tracker import generation_memory
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings

UNCAPPED, CAPPED = "uncapped", "capped"
BASELINES = ("baseline-a", "baseline-b", "baseline-c")
NAMES = (*BASELINES, UNCAPPED, CAPPED)
# New tokens of each of the two replies where a context is filled: the prompts fill it.
FILL_TOKENS = 32


def memory_bench(job: Job, wanted: MemoryJob, subject: Subject, report: Report) -> tuple[dict[str, Any], Record]:
    """The `memory` object of the result."""
    plans = wanted.plans
    context = min(plan.context_tokens for plan in plans.values())
    methods = [_method(name, plans, subject, context) for name in NAMES]
    for method in methods:
        if isinstance(method, EngineMethod) and method.name in (UNCAPPED, CAPPED) and wanted.times is not None:
            method.engine.controller.costs.restore(wanted.times["steps"])
            method.engine.controller.drafts.restore(wanted.times["drafts"])
    record = contest(
        subject, methods, job.talks, job.settings, job.pairs, report,
        context_tokens=context, seed=job.settings.seed + 2, reference=UNCAPPED,
    )  # fmt: skip
    del methods
    found: dict[str, Any] = {
        "subject": wanted.subject,
        "replayed": subject.replayed,
        "acceptance": wanted.shape.source if wanted.shape is not None else None,
        "methods": {name: _speed(name, record) for name in NAMES},
        "computed": wanted.computed,
        "contexts": {},
    }
    talk = record.longest[1]
    if talk is None or record.interrupted:
        return found, record
    taken = {}
    for name in NAMES:
        report(0, 0, f"memory of {name}")
        taken[name] = talk_bytes(partial(_method, name, plans, subject, context), subject, talk, job.settings, context)
    found["conversation"] = _bytes(taken, plans) | {"tokens": record.longest[0], "id": talk.id}
    for size, own in wanted.contexts.items():
        taken = {}
        for name in NAMES:
            report(0, 0, f"memory of {name} at {size} tokens")
            taken[name] = _filled_bytes(partial(_method, name, own, subject, size), subject, size)
        found["contexts"][str(size)] = _bytes(taken, own)
    return found, record


def _method(name: str, plans: dict[str, Plan], subject: Subject, context: int) -> Method:
    """The baseline or specmemo's own, for conversations of `context` tokens."""
    if name in (UNCAPPED, CAPPED):
        plan = plans[name]
        return EngineMethod(name, subject.target, subject.drafter(plan), plan, adaptive=True)
    eos = subject.target.eos_ids
    if name == "baseline-c":
        return GenerateMethod(name, subject.twin, eos, script=subject.script, context_tokens=context)
    plan = usual_plan(replace(plans[UNCAPPED], context_tokens=context))
    return UsualEagle(name, subject.twin, eos, subject.drafter(plan), plan, eager=name == "baseline-a")


def _speed(name: str, record: Record) -> dict[str, Any]:
    if not record.talks:
        return {}
    values = record.summary(name)
    return {
        "tokens_per_second": values["tokens_per_second"],
        "relative_to_uncapped": values["speedup_vs_plain"],
        "mean_acceptance_length": values["mean_acceptance_length"],
        "ttft_s": values["ttft_s"],
        "identical_to_uncapped": values["identical_to_plain"],
    }


def _bytes(taken: dict[str, int], plans: dict[str, Plan]) -> dict[str, Any]:
    return {
        "generation_bytes": taken,
        "planned_generation_bytes": {name: plans[name].generation_bytes for name in (UNCAPPED, CAPPED)},
        "saved": savings(taken),
    }


def _filled_bytes(make: Callable[[], Method], subject: Subject, context: int) -> int:
    """Peak bytes of generation over two turns that fill `context` tokens, by a fresh method."""
    vocab, eos = subject.target.vocab_size, subject.target.eos_ids
    filler = [token for token in range(min(vocab, context + len(eos))) if token not in eos]
    settings = GenerationSettings(max_new_tokens=FILL_TOKENS)

    def filled(start: list[int], tokens: int) -> list[int]:
        return start + [filler[at % len(filler)] for at in range(tokens - len(start))]

    with generation_memory(subject.models, str(subject.target.device)) as measured:
        method = make()
        first = filled([], context // 2 - FILL_TOKENS)
        second = filled(first + list(_reply(method, first, settings)), context - FILL_TOKENS - 1)
        _reply(method, second, settings)
        del method
    return measured.peak_bytes


def _reply(method: Method, prompt: list[int], settings: GenerationSettings) -> tuple[int, ...]:
    return one_reply(rounds([method], 0), prompt, settings)[method.name].tokens
