"""The measuring process: `python -m specmemo_chat.bench.measuring.process`.

Reads one job (a line of JSON) from standard input and writes lines of JSON to standard output: `{"progress": [done,
total, what]}`, `{"note": text}`, and last `{"result": {...}}` or `{"error": {"message", "remedy", "exit_code"}}`.
Standard input then stays open: it closes when the parent is gone, and this process leaves. An interrupt (SIGINT) ends
the measurement early; what there is comes as the result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from dataclasses import replace
from typing import Any, TextIO

from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.device.lifeline import leave_with_parent
from specmemo_chat.errors import SpecmemoError
from specmemo_chat.memory import meter


def main() -> None:
    # What libraries print must not stand between our lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = Job.from_json(json.loads(sys.stdin.readline()))
    leave_with_parent()
    try:
        _send(out, {"result": run(job, lambda *progress: _send(out, {"progress": progress}))})
    except SpecmemoError as error:
        values = {"message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
        _send(out, {"error": {**values, "traceback": traceback.format_exc()}})
    except KeyboardInterrupt:
        _send(out, {"error": {"message": "interrupted before anything was measured", "remedy": None, "exit_code": 130}})


def run(job: Job, report: Any) -> dict[str, Any]:
    """Everything that the job asks for. Raises SpecmemoError where it cannot be done."""
    report(0, 0, "loading")
    from specmemo_chat.models.threads import import_torch

    import_torch()
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    from specmemo_chat.bench.measuring.compare import compare, sweep
    from specmemo_chat.bench.measuring.environment import environment
    from specmemo_chat.bench.measuring.memory import memory_bench
    from specmemo_chat.bench.measuring.steps import engine_times, longest_prompt, step_times
    from specmemo_chat.bench.measuring.subject import Subject

    plan = next(iter(job.plans.values()))
    place = {**environment(plan.device), **job.environment, "dtype": plan.dtype}
    # On a GPU the plan's own term: the driver's count has other processes in it.
    place["runtime_bytes"] = meter.rss_bytes() if plan.device == "cpu" else plan.terms.runtime
    job = replace(job, environment=place)
    result: dict[str, Any] = {
        "schema": 1,
        "environment": place,
        "settings": job.settings.as_json(),
        "prompts": {"source": job.prompts, "conversations": len(job.talks)},
        "replayed": job.shape is not None,
        "notes": [],
        "not_run": job.not_run,
        "interrupted": False,
        "control": None,
        "methods": {},
    }

    def made(shape: Any, plans: dict[str, Any]) -> Subject:
        draft = next((own for own in plans.values() if own.draft is not None), None)
        return Subject(
            next(iter(plans.values())), shape, draft_plan=draft, assistant=job.assistant, system=job.system,
            chat_template=job.chat_template, trust_remote_code=job.trust_remote_code,
        )  # fmt: skip

    def ended(record: Any) -> bool:
        result["notes"] += [note for note in record.notes if note not in result["notes"]]
        result["interrupted"] = result["interrupted"] or record.interrupted
        return bool(result["interrupted"])

    if job.text:
        from specmemo_chat.bench.measuring.perplexity import perplexity

        return {"schema": 1, "environment": place, "text": job.prompts, **perplexity(job, report)}
    if job.times:
        return {"times": engine_times(job.plans["adaptive"], made(job.shape, job.plans), report)}
    if job.compare or job.sweep:
        subject = made(job.shape, job.plans)
        if job.compare:
            found, record = compare(job, subject, report)
            result |= found
            if ended(record):
                return result
        if job.sweep:
            result["sweep"], record = sweep(job, subject, report)
            if ended(record):
                return result
            try:
                prompt = longest_prompt(subject, job.talks, plan.context_tokens // 2)
                result["steps"] = step_times(job.plans["adaptive"], subject, prompt, report)
            except KeyboardInterrupt:
                result["interrupted"] = True
                return result
        del subject
    if job.memory is not None:
        subject = made(job.memory.shape, job.memory.plans)
        result["memory"], record = memory_bench(job, job.memory, subject, report)
        ended(record)
    return result


def _send(out: TextIO, values: dict[str, Any]) -> None:
    out.write(json.dumps(values) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
