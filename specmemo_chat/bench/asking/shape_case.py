"""`bench --shape`: a model with random weights in place of a trained one, with a head whose acceptance is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from specmemo_chat.bench.measuring.job import RandomShape
from specmemo_chat.catalog.aliases import find_alias, load_catalog
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.catalog.damage import read_object
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.probe import probe
from specmemo_chat.device.select import check_name, select
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.memory.acceptance import first_choice
from specmemo_chat.memory.contract import Dtype, Plan
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.plan import refusal, solve
from specmemo_chat.memory.request import auto_dtype, compute_dtype, in_own_precision
from specmemo_chat.setup import planning
from specmemo_chat.setup.draft import published_head
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.planning import PlanContext
from specmemo_chat.terminal.console import Screen

SIZES = {"1.1b": "tinyllama-1.1b-chat", "7b": "llama-2-7b-chat"}
# What the fits of memory/acceptance.py are fitted to.
PUBLISHED = {
    "eagle": "EAGLE-2 on MT-Bench with Llama-2-70B-chat, 4.48 tokens a step with 60 nodes",
    "eagle3": "EAGLE-3 on MT-Bench with Llama-3.1-8B, 6.13 tokens a step with 60 nodes",
}
HEAD = "a head with random weights"
# Contexts that are measured go up to here, whatever the shape was trained for: positions are only numbers.
LONGEST = 8192


@dataclass(frozen=True)
class ShapeCase:
    """A random shape and where it is to run."""

    random: RandomShape
    spec: ModelSpec
    kind: str
    place: PlanContext

    def plan(self, *, draft: bool = True) -> Plan:
        """The plan with the head, or plain. Raises PlanError."""
        request = self.place.request
        if not draft:
            request = replace(request, draft="none", head=None)
        outcome = solve(self.spec, self.place.device, self.place.profile, request)
        if not outcome.fits:
            raise refusal(self.random.name, outcome)
        return replace(outcome.plan, drafters=(self.kind,) if draft else ())


def shape_case(name: str, acceptance: str | None, choice: ModelChoice, screen: Screen) -> ShapeCase:
    """The case of `--shape NAME` on the device that the flags choose. Raises UsageError for a shape that is not known,
    PlanError where it does not fit."""
    request = planning.check_flags(choice)
    check_name(choice.device)
    profiles = planning.own_profiles()
    selection = select(probe(), choice.device, 1, model=name)
    if selection.note:
        screen.note(selection.note)
    device = selection.first
    profile, reason = planning.choose_profile(choice.profile, device, profiles)
    config, head_config = _configs(name)
    dtype = request.dtype or auto_dtype(device, spec_from_config(name, name, config))
    place = planning.plan_context(choice, replace(request, dtype=dtype), device, profile, reason)
    case = replayed_case(name, config, head_config, acceptance, place)
    case.plan()
    return case


def replayed_case(
    name: str, config: Mapping[str, Any], head_config: Mapping[str, Any], acceptance: str | None, place: PlanContext
) -> ShapeCase:
    """The case of these two configs in a situation that was looked at before."""
    config = {**config, "max_position_embeddings": LONGEST}
    spec = spec_from_config(name, f"random weights of the shape {name}", config)
    head = parse(head_config)
    values, source = acceptance_of(acceptance or head.kind)
    dtype: Dtype = place.request.dtype or auto_dtype(place.device, spec)
    compute = compute_dtype(dtype, place.device)
    shape = replace(in_own_precision(head_shape(head, HEAD, compute), place.device), computed=compute)
    random = RandomShape(name, dict(config), dict(head_config), values, source)
    # A head that was named stays: nothing else is replayed.
    place = replace(place, request=replace(place.request, dtype=dtype, draft=HEAD, head=shape))
    return ShapeCase(random, spec, head.kind, place)


def acceptance_of(given: str) -> tuple[tuple[float, ...], str]:
    """The probabilities by depth that `--acceptance` means, and where they come from. Raises UsageError."""
    if given in PUBLISHED:
        return (first_choice(given),), f"replayed: fitted to {PUBLISHED[given]}"
    try:
        values = tuple(float(part) for part in given.split(","))
    except ValueError:
        values = ()
    if not values or not all(0.0 <= value <= 1.0 for value in values):
        raise UsageError(
            f"--acceptance {given} is neither {' nor '.join(PUBLISHED)} nor a list of probabilities",
            "give them by depth, for example --acceptance 0.75,0.7,0.65",
        )
    return values, "replayed: given by --acceptance"


def one_layer(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of an EAGLE head for a model of `config`: one layer of its own shape."""
    return {**config, "model_type": "llama", "num_hidden_layers": 1, "bias": True}


def _configs(name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    entry = find_alias(SIZES.get(name.lower(), name))
    if entry is not None and entry.config:
        head = published_head(entry) if entry.draft_config else one_layer(entry.config)
        return entry.config, head
    path = Path(name).expanduser()
    if path.suffix.lower() == ".json" and path.is_file():
        config = read_object(path)
        return config, one_layer(config)
    known = ", ".join([*SIZES, *(alias for alias, entry in load_catalog().items() if entry.config)])
    if path.suffix.lower() == ".json":
        raise ModelError(f"--shape {name}: there is no such file", "give the path of a config.json")
    raise UsageError(f"--shape {name} is not known", f"give a config.json, or one of {known}")
