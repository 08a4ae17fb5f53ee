"""The comparison of methods, and the sweep of fixed trees against the controller."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from specmemo_chat.bench.measuring.contest import CONTROL, PLAIN, Record, contest, talk_bytes
from specmemo_chat.bench.measuring.job import ENGINE_METHODS, Job
from specmemo_chat.bench.measuring.library import LOOKUP_TOKENS, GenerateMethod
from specmemo_chat.bench.measuring.methods import EngineMethod, Method
from specmemo_chat.bench.measuring.subject import Report, Subject
from specmemo_chat.engine.calibration import CALIBRATION_S
from specmemo_chat.engine.calibration import measure as calibrate
from specmemo_chat.memory.contract import NODE_BUCKETS, Plan


def make_method(name: str, job: Job, subject: Subject) -> Method:
    """The method of `--methods` called `name`; `control` is plain decoding once more."""
    if name in (*ENGINE_METHODS, CONTROL):
        plan = job.plans[PLAIN if name == CONTROL else name]
        if name == "adaptive":
            return _adaptive(plan, subject)
        return EngineMethod(name, subject.target, subject.drafter(plan), plan, adaptive=False)
    return GenerateMethod(
        name,
        subject.twin,
        subject.target.eos_ids,
        lookup=LOOKUP_TOKENS if name == "transformers-prompt-lookup" else 0,
        assistant=subject.assistant if name == "transformers-assisted" else None,
        script=subject.script,
        context_tokens=job.plans[PLAIN].context_tokens,
    )


def _adaptive(plan: Plan, subject: Subject) -> EngineMethod:
    """The controller, which knows the times of steps as a chat does after loading."""
    method = EngineMethod("adaptive", subject.target, subject.drafter(plan), plan, adaptive=True)
    calibrate(method.engine, CALIBRATION_S)
    return method


def compare(job: Job, subject: Subject, report: Report) -> tuple[dict[str, Any], Record]:
    """`control` and `methods` of the object that `--json` prints (docs/reference.md)."""
    methods = [make_method(name, job, subject) for name in (*job.methods, CONTROL)]
    plan = job.plans[PLAIN]
    record = contest(
        subject, methods, job.talks, job.settings, job.pairs, report,
        context_tokens=plan.context_tokens, seed=job.settings.seed,
    )  # fmt: skip
    del methods
    ratio = record.ratio(CONTROL) if record.talks else None
    found: dict[str, Any] = {
        "control": {"of": [PLAIN, PLAIN], **ratio.as_json()} if ratio is not None else None,
        "methods": {},
    }
    for name in job.methods:
        values = record.summary(name) if record.talks else {}
        if name not in ENGINE_METHODS and not job.settings.greedy:
            # Its random numbers are others: the text must differ.
            values["identical_to_plain"] = None
        values["drafter"] = _drafter(name, job, subject)
        values |= _memory(name, job, subject, record, report)
        found["methods"][name] = values
    return found, record


def _drafter(name: str, job: Job, subject: Subject) -> str:
    if name not in ENGINE_METHODS:
        return {"transformers": "none"}.get(name, name.removeprefix("transformers-"))
    drafters = "+".join(job.plans[name].drafters) or "none"
    return f"{drafters} (replayed)" if subject.replayed and drafters != "none" else drafters


def _memory(name: str, job: Job, subject: Subject, record: Record, report: Report) -> dict[str, Any]:
    """Bytes of the longest conversation, run once more beside a tracker; nothing is timed here."""
    plan = job.plans.get(name)
    planned = {"planned_bytes": plan.total_bytes if plan is not None else None}
    talk = record.longest[1]
    if talk is None or record.interrupted:
        return {"generation_bytes": None, "peak_bytes": None, **planned}
    report(0, 0, f"memory of {name}")
    generation = talk_bytes(
        partial(make_method, name, job, subject), subject, talk, job.settings, job.plans[PLAIN].context_tokens
    )
    # As planned: packed weights cannot be seen.
    weights = job.plans[PLAIN].terms.target_weights + (plan.terms.draft_weights if plan is not None else 0)
    runtime = int(job.environment.get("runtime_bytes", 0))
    return {"generation_bytes": generation, "peak_bytes": generation + weights + runtime, **planned}


def sweep(job: Job, subject: Subject, report: Report) -> tuple[dict[str, Any], Record]:
    """Fixed trees, each twice as large as the one before, against the controller, under the same cap."""
    plan = job.plans["adaptive"]
    sizes = tuple(size for size in plan.node_buckets if size in NODE_BUCKETS)
    methods: list[Method] = []
    for nodes in sizes:
        name = PLAIN if nodes == 1 else f"fixed-{nodes}"
        own = replace(plan, node_buckets=tuple(size for size in sizes if size <= nodes))
        drafter = subject.drafter(own) if nodes > 1 else None
        methods.append(EngineMethod(name, subject.target, drafter, own, adaptive=False))
    methods.append(_adaptive(plan, subject))
    record = contest(
        subject, methods, job.talks, job.settings, job.pairs, report,
        context_tokens=plan.context_tokens, seed=job.settings.seed + 1,
    )  # fmt: skip
    fixed = [method.name for method in methods[:-1]]
    if not record.talks:
        return {"cap_bytes": plan.cap_bytes}, record
    summaries = {method.name: record.summary(method.name) for method in methods}
    speeds = {name: record.ratio(name) for name in fixed}
    best = max(fixed, key=lambda name: ratio.median if (ratio := speeds[name]) is not None else 0.0)
    against = record.ratio("adaptive", best)
    found = {
        "cap_bytes": plan.cap_bytes,
        "planned_bytes": plan.total_bytes,
        "drafter": _drafter("adaptive", job, subject),
        "fixed": {name: summaries[name] for name in fixed},
        "adaptive": summaries["adaptive"],
        "best_fixed": best,
        "adaptive_vs_best_fixed": against.as_json() if against is not None else None,
    }
    return found, record
