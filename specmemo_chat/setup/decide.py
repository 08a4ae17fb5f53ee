"""From the flags to a plan, with the model on this machine.

Checks run cheapest first: flags, devices, plan, access, download.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from specmemo_chat.catalog.access import check_access
from specmemo_chat.catalog.cache import cached_model
from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.catalog.resolve import ModelSource, resolve
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import probe
from specmemo_chat.device.select import check_name, select
from specmemo_chat.errors import Flag, ModelError, UsageError, Words
from specmemo_chat.host.requests import Load
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.workers import tightest
from specmemo_chat.profiles import Profile
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup import planning
from specmemo_chat.setup.fetch import Listener, fetch
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.setup.planning import PlanContext


def decide(
    choice: ModelChoice,
    sampling: SamplingChoice,
    listener: Listener,
    before_download: Callable[[], None] | None,
    *,
    freed: int = 0,
) -> tuple[Plan, GenerationSettings, Load, PlanContext, Outcome]:
    """Plan, settings, the first request, what the plan was made for, and how. Raises the errors of
    specmemo_chat/errors.py; notes go to `listener`. `freed`: bytes that a running worker gives back before the plan is
    carried out."""
    settings = _settings(sampling, sampling.temperature or 0.0, 0)
    request = planning.check_flags(choice)
    check_name(choice.device)
    profiles = planning.own_profiles()
    devices = _devices(choice, profiles, listener)
    device = tightest(devices)
    device = replace(
        device,
        free_bytes=min(device.total_bytes, device.free_bytes + freed),
        usable_bytes=min(device.total_bytes, device.usable_bytes + freed),
    )
    profile, reason = planning.choose_profile(choice.profile, device, profiles)
    place = planning.plan_context(choice, request, device, profile, reason)
    source = resolve(choice.model)
    folder = planning.local_folder(source)
    spec = planning.find_spec(source, folder, place)
    place = planning.with_draft(choice, place, source, spec)
    outcome = _plan(source, spec, place, local=folder is not None)
    if folder is None:
        check_access(source, offline=place.offline, fit=outcome.sentence, nearest=place.nearest(spec))
    if before_download is not None:
        before_download()
    if folder is None:
        folder = fetch(source, listener, code=choice.trust_remote_code)
        # The downloaded config decides, should it differ from the catalog's.
        outcome = _plan(source, planning.find_spec(source, folder, place), place, local=True)
    for sentence in (*outcome.notes, *(f"to fit the memory: {text}" for text in outcome.plan.concessions)):
        listener.note(sentence)
    plan = replace(outcome.plan, target=str(folder), draft=_draft_folder(outcome.plan, place, listener))
    workers = tuple(each.torch_name for each in devices) if plan.tp > 1 else ()
    temperature = sampling.temperature if sampling.temperature is not None else model_temperature(folder)
    seed = sampling.seed if sampling.seed is not None else (secrets.randbelow(1 << 31) if temperature else 0)
    settings = replace(settings, temperature=temperature, seed=seed)
    load = Load(plan, choice.system, choice.chat_template, choice.trust_remote_code, workers)
    return plan, settings, load, place, outcome


def model_temperature(folder: Path) -> float:
    """The temperature of the model's generation config: 0 where it does not sample or says nothing."""
    try:
        if folder.is_file():
            said = read_gguf(folder, words=False).metadata.get("general.sampling.temp", 0.0)
            return GenerationSettings(temperature=round(float(said), 6)).temperature
        values = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        if not values.get("do_sample", False):
            return 0.0
        return GenerationSettings(temperature=float(values.get("temperature", 1.0))).temperature
    except (OSError, ValueError, AttributeError, TypeError, UsageError):
        return 0.0


def _devices(choice: ModelChoice, profiles: dict[str, Profile], listener: Listener) -> tuple[DeviceInfo, ...]:
    """The devices of this machine's workers."""
    absent = planning.absent_gpus_profile(choice.gpus, profiles)
    here = choice.gpus // choice.nnodes
    selection = select(probe(), choice.device, here, model=choice.model, plan_profile=absent)
    if selection.note:
        listener.note(selection.note)
    return selection.devices


def _plan(source: ModelSource, spec: ModelSpec, place: PlanContext, *, local: bool) -> Outcome:
    outcome = place.solve(spec)
    if not outcome.fits:
        raise planning.refuse(source, spec, outcome, place, local=local)
    return outcome


def _draft_folder(plan: Plan, place: PlanContext, listener: Listener) -> str | None:
    """The local folder of the plan's draft, downloaded where it is not here; None where the draft has no weights."""
    if plan.draft is None:
        return None
    source = resolve(plan.draft)
    if source.folder is not None:
        return str(source.folder)
    with_tokenizer = "model" in plan.drafters
    folder = cached_model(source.hub_id or "", tokenizer=with_tokenizer)
    if folder is None and place.offline:
        raise ModelError(
            f"the draft {source.hub_id} is not on this machine, and the network must not be used (offline)",
            Words("run once without --offline", f"in a shell: specmemo models pull {source.hub_id}"),
            Flag("--draft", "ngram"),
        )
    return str(folder or fetch(source, listener, code=False, tokenizer=with_tokenizer))


def _settings(sampling: SamplingChoice, temperature: float, seed: int) -> GenerationSettings:
    """The flags as settings. Raises UsageError for values out of range."""
    return GenerationSettings(
        temperature=temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repeat_penalty=sampling.repeat_penalty,
        seed=sampling.seed if sampling.seed is not None else seed,
        exact=sampling.exact == "on",
        max_new_tokens=sampling.max_new_tokens,
        stop=sampling.stop,
    )
