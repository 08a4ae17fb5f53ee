"""From the flags of `bench` to a Job: which methods can run with which plans, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specmemo_chat.bench.asking.memory_job import memory_job
from specmemo_chat.bench.asking.shape_case import ShapeCase, shape_case
from specmemo_chat.bench.measuring.job import ENGINE_METHODS, LIBRARY_METHODS, METHODS, Job, MemoryJob, RandomShape
from specmemo_chat.bench.measuring.talks import find_talks
from specmemo_chat.catalog.cache import cached_model
from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.drafters.pairing import check_tokenizers
from specmemo_chat.errors import ModelError, PlanError, UsageError
from specmemo_chat.memory.contract import BYTES_PER_VALUE, Plan
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.decide import decide
from specmemo_chat.setup.fetch import fetch
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.setup.planning import PlanContext
from specmemo_chat.sizes import format_size
from specmemo_chat.terminal.console import Screen

# Runs a job in the measuring process and gives its result.
Run = Callable[[Job], dict[str, Any]]

REPLAYED = "the text is scripted: nothing in it can be looked up or guessed by another model"


@dataclass(frozen=True)
class BenchChoice:
    """The flags of `bench` alone."""

    prompts: str
    methods: str | None
    memory: bool
    sweep: bool
    pairs: int
    threads: int
    assistant: str | None
    shape: str | None
    acceptance: str | None


@dataclass(frozen=True)
class _Case:
    """A job's plans and reasons, and what they were made of."""

    plans: dict[str, Plan]
    reasons: dict[str, str]
    settings: GenerationSettings
    place: PlanContext
    shape: ShapeCase | None = None
    assistant: str | None = None


def make_job(wanted: BenchChoice, choice: ModelChoice, sampling: SamplingChoice, screen: Screen, run: Run) -> Job:
    """The job. Checks run cheapest first. `run` runs another one, whose result this one's plans need. Raises UsageError
    for flags that make no sense, the errors of a plan and of a download like `chat`."""
    asked = _methods(wanted.methods)
    if wanted.shape is not None and choice.model != "pocket":
        raise UsageError("--shape and --model were both given", "give one: a shape has random weights")
    if wanted.acceptance is not None and wanted.shape is None and not wanted.memory:
        raise UsageError("--acceptance is for replays", "give it with --shape or --memory")
    talks = find_talks(wanted.prompts, sampling.seed or 0)
    if wanted.shape is not None:
        case = _random_shape(wanted, choice, sampling, screen)
    else:
        case = _real_model(wanted, choice, sampling, screen)
    compare = bool(wanted.methods) or not (wanted.memory or wanted.sweep)
    case = _without_second_copy(case) if compare and set(asked) & set(LIBRARY_METHODS) else case
    if wanted.sweep and "adaptive" not in case.plans:
        raise UsageError(f"--sweep: {case.reasons['adaptive']}", "leave out --draft none")
    job = Job(
        plans=case.plans,
        methods=tuple(name for name in METHODS if name in asked and name not in case.reasons),
        settings=case.settings,
        talks=talks,
        prompts=wanted.prompts,
        pairs=wanted.pairs,
        threads=wanted.threads,
        system=choice.system,
        chat_template=choice.chat_template,
        trust_remote_code=choice.trust_remote_code,
        assistant=case.assistant,
        not_run={name: reason for name, reason in case.reasons.items() if name in asked} if compare else {},
        compare=compare,
        sweep=wanted.sweep,
        shape=case.shape.random if case.shape is not None else None,
        environment=_place(case),
    )
    return replace(job, memory=_memory(wanted, choice, case, job, run)) if wanted.memory else job


def _methods(given: str | None) -> tuple[str, ...]:
    """The names of --methods; plain is what all are compared with."""
    if given is None:
        return METHODS
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        what = f"{unknown[0]!r} is no method" if unknown else "no method is named"
        raise UsageError(f"--methods: {what}", f"methods are {', '.join(METHODS)}")
    return ("plain", *(name for name in names if name != "plain"))


def _place(case: _Case) -> dict[str, object]:
    plan = next(iter(case.plans.values()))
    return {
        "model": plan.model,
        "draft": next((own.draft for own in case.plans.values() if own.draft), None),
        "acceptance": case.shape.random.source if case.shape is not None else None,
        "device_memory_bytes": case.place.device.total_bytes,
        "profile": plan.profile,
        "context_tokens": plan.context_tokens,
        "cap_bytes": plan.cap_bytes,
    }


def _real_model(wanted: BenchChoice, choice: ModelChoice, sampling: SamplingChoice, screen: Screen) -> _Case:
    plan, settings, _, place, _ = decide(choice, sampling, screen, None)
    quiet = Screen(quiet=True)
    # The same context for all: a smaller draft must not buy a longer one.
    same = replace(choice, ctx_size=plan.context_tokens)

    def with_draft(draft: str) -> Plan:
        return decide(replace(same, draft=draft), sampling, quiet, None)[0]

    plans, reasons = {"plain": with_draft("none")}, {}
    heads = [name for name in plan.drafters if name in ("eagle", "eagle3")]
    if not plan.drafters:
        reasons = dict.fromkeys(ENGINE_METHODS[1:], "--draft none: there is nothing to draft with")
    else:
        plans["ngram"] = plan if plan.drafters == ("ngram",) else with_draft("ngram")
        plans["adaptive"] = plan
        if heads:
            plans["eagle"] = replace(plan, drafters=tuple(heads))
        else:
            reasons["eagle"] = f"no draft head for {plan.model} was given or is known (--draft ID_OR_PATH)"
        if len(plan.drafters) > 1:
            plans["chain"] = plan
        else:
            reasons["chain"] = "a chain needs a draft with weights (--draft ID_OR_PATH)"
    file = Path(plan.target).is_file()
    if plan.dtype not in BYTES_PER_VALUE or choice.trust_remote_code or file:
        what = "remote code" if choice.trust_remote_code else "GGUF files" if file else f"{plan.dtype} weights"
        reasons |= dict.fromkeys(LIBRARY_METHODS, f"not compared with {what}")
        return _Case(plans, reasons, settings, place)
    assistant = _assistant(wanted, plan, place, screen)
    if assistant is None:
        reasons["transformers-assisted"] = "no assistant model was given (--assistant ID_OR_PATH)"
    elif Path(assistant).is_file():
        reasons["transformers-assisted"] = "transformers reads no GGUF file as an assistant"
    return _Case(plans, reasons, settings, place, assistant=assistant)


def _assistant(wanted: BenchChoice, plan: Plan, place: PlanContext, screen: Screen) -> str | None:
    """The folder of the assistant model; a draft model is one. Raises UsageError for another tokenizer."""
    if wanted.assistant is None:
        return plan.draft if "model" in plan.drafters else None
    source = resolve(wanted.assistant)
    folder = source.folder or cached_model(source.hub_id or "")
    if folder is None:
        if place.offline:
            raise ModelError(f"the assistant {source.hub_id} is not on this machine (offline)", "run without --offline")
        folder = fetch(source, screen, code=False)
    check_tokenizers(folder, Path(plan.target))
    return str(folder)


def _random_shape(wanted: BenchChoice, choice: ModelChoice, sampling: SamplingChoice, screen: Screen) -> _Case:
    shape = shape_case(wanted.shape or "", wanted.acceptance, choice, screen)
    settings = GenerationSettings(
        temperature=sampling.temperature or 0.0, seed=sampling.seed or 0, max_new_tokens=sampling.max_new_tokens
    )
    plans = {"plain": shape.plan(draft=False), "eagle": shape.plan(), "adaptive": shape.plan()}
    reasons = dict.fromkeys(("ngram", "chain", "transformers-prompt-lookup", "transformers-assisted"), REPLAYED)
    if plans["plain"].dtype not in BYTES_PER_VALUE:
        reasons["transformers"] = f"not compared with {plans['plain'].dtype} weights"
    return _Case(plans, reasons, settings, shape.place, shape)


def _without_second_copy(case: _Case) -> _Case:
    """transformers' methods need the weights once more, unmodified; where there is no room they are left out."""
    plan = next(iter(case.plans.values()))
    weights, usable = plan.terms.target_weights, case.place.device.usable_bytes
    if plan.total_bytes + weights <= usable:
        return case
    reason = f"a second copy of the weights ({format_size(weights)}) does not fit {format_size(usable)}"
    return replace(case, reasons={**dict.fromkeys(LIBRARY_METHODS, reason), **case.reasons})


def _memory(wanted: BenchChoice, choice: ModelChoice, case: _Case, job: Job, run: Run) -> MemoryJob:
    plan = case.plans.get("adaptive", next(iter(case.plans.values())))
    weights, usable = plan.terms.target_weights, case.place.device.usable_bytes
    if 2 * weights + plan.terms.runtime > usable:
        raise PlanError(
            f"--memory runs the baselines beside specmemo: two copies of the weights ({format_size(weights)} each) do "
            f"not fit {format_size(usable)}",
            "give a smaller --shape or --model",
        )

    def measure(plan: Plan, shape: RandomShape | None) -> dict[str, Any]:
        own = replace(job, plans={"adaptive": plan}, shape=shape, compare=False, sweep=False, times=True)
        times: dict[str, Any] = run(own)["times"]
        return times

    return memory_job(plan, case.place, case.shape, wanted.acceptance, choice, job.talks, measure)
