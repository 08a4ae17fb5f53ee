"""What `chat`, `batch` and `plan` decide alike: request, profile, the model's shape, the plan, and what to advise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import platformdirs

from specmemo_chat.catalog.access import gate_is_closed, is_offline, licence_steps, nearest_open_model
from specmemo_chat.catalog.aliases import CatalogEntry
from specmemo_chat.catalog.cache import WEIGHT_INDEXES, cached_model, cached_snapshot, draft_at_hand, missing_files
from specmemo_chat.catalog.config import spec_from_folder
from specmemo_chat.catalog.damage import check_kind, shards_of
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import Flag, ModelError, PlanError, UsageError, Words
from specmemo_chat.memory.contract import Dtype
from specmemo_chat.memory.measured import Measurements
from specmemo_chat.memory.plan import Outcome, refusal, solve
from specmemo_chat.memory.request import PlanRequest, auto_dtype, compute_dtype, in_own_precision
from specmemo_chat.profiles import OLD_PRECISIONS, Profile, get_profile, load_profiles, match_profile, renamed
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.sizes import parse_size

APP = "specmemo"
DRAFTS = {"auto": "what the plan chooses", "none": "plain decoding", "ngram": "from the conversation's own text"}
DTYPES: dict[str, Dtype] = {dtype: dtype for dtype in get_args(Dtype)} | {"int8": "q8", "nf4": "q4"}


@dataclass(frozen=True)
class PlanContext:
    """Where a model is to run: device, policy (and why this one), request, and whether the network may be used."""

    device: DeviceInfo
    profile: Profile
    reason: str
    request: PlanRequest
    offline: bool
    trust_remote_code: bool

    def solve(self, spec: ModelSpec) -> Outcome:
        known = Measurements(platformdirs.user_cache_path(APP, appauthor=False))
        return solve(spec, self.device, self.profile, self.request, runtimes=known.runtime)

    def fits(self, entry: CatalogEntry) -> bool:
        """A catalog model fits here with the same request; a context that it does not have is cut to what it has."""
        spec = entry.spec()
        request = replace(self.request, context=min(self.request.context, spec.max_context))
        if request.head_may_go:
            # It is another model's.
            request = replace(request, head=None)
        try:
            return solve(spec, self.device, self.profile, request).fits
        except UsageError:
            return False

    def nearest(self, spec: ModelSpec) -> str:
        """The catalog model without a gate that fits here and is nearest in size to `spec`."""
        return nearest_open_model(spec.parameters, self.fits)


def check_flags(choice: ModelChoice) -> PlanRequest:
    """The request of the command line. Raises UsageError for values that no model and no device could make sense of."""
    if choice.chat_template not in ("auto", "none") and not Path(choice.chat_template).is_file():
        raise UsageError(
            f"the chat template {choice.chat_template} is no file",
            Flag("--chat-template", "auto"),
            "give the path of a Jinja file",
        )
    return PlanRequest(
        max_memory=parse_size(choice.max_memory) if choice.max_memory else 0,
        context=choice.ctx_size or 0,
        dtype=DTYPES.get(choice.dtype),
        draft=choice.draft,
        rows=choice.rows,
        tp=choice.gpus,
        nodes=choice.nnodes,
        notes=(f"--dtype {renamed(choice.dtype)}",) if choice.dtype in OLD_PRECISIONS else (),
    )


def own_profiles() -> dict[str, Profile]:
    """The shipped profiles and the user's own in the configuration folder."""
    return load_profiles(platformdirs.user_config_path(APP, appauthor=False) / "profiles")


def choose_profile(name: str | None, device: DeviceInfo, profiles: dict[str, Profile]) -> tuple[Profile, str]:
    """The profile that the user named, else the one that matches the device; and why."""
    if name is not None:
        return get_profile(name, profiles), "chosen by --profile"
    return match_profile(device, profiles)


def absent_gpus_profile(count: int, profiles: dict[str, Profile]) -> str:
    """The profile to plan with for `count` GPUs that are not here: one that describes so many, else a common one."""
    many = [profile for profile in profiles.values() if profile.facts and profile.facts.count >= count > 1]
    return many[0].name if many else "h100-80gb"


def plan_context(
    choice: ModelChoice, request: PlanRequest, device: DeviceInfo, profile: Profile, reason: str
) -> PlanContext:
    return PlanContext(device, profile, reason, request, is_offline(choice.offline), choice.trust_remote_code)


def with_draft(choice: ModelChoice, place: PlanContext, source: ModelSource, spec: ModelSpec) -> PlanContext:
    """The situation with the shape of the draft: the one that the user named, and where they leave the choice to us
    the model's own head, if it is on this machine. As it is for a draft without weights."""
    name: str | None = choice.draft
    if choice.draft == "auto" and source.entry is not None:
        name = draft_at_hand(source.entry)
    if name is None or name in DRAFTS:
        return place
    from specmemo_chat.setup.draft import find_draft

    dtype = compute_dtype(place.request.dtype or auto_dtype(place.device, spec), place.device)
    head = find_draft(name, spec, dtype, offline=place.offline)
    return replace(place, request=replace(place.request, head=in_own_precision(head, place.device)))


def local_folder(source: ModelSource) -> Path | None:
    """Where the whole model lies on this machine, None where it must be downloaded first. Raises ModelError for a
    folder that lacks files."""
    if source.folder is None:
        return cached_model(source.hub_id or "")
    if source.folder.is_file():
        return source.folder
    check_kind(source.folder)
    missing = missing_files(source.folder) if (source.folder / "config.json").is_file() else []
    if missing and (not any(source.folder.glob("pytorch_model*.bin")) or "model.safetensors" not in missing):
        raise _incomplete(source.folder, missing)
    return source.folder


def _incomplete(folder: Path, missing: list[str]) -> ModelError:
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return ModelError(f"{folder} is not complete: {', '.join(missing[:3])}{more} missing", "copy or download it again")


def planning_folder(source: ModelSource) -> Path | None:
    """The folder whose config a plan is made from: a plan needs no weights, so they may be missing, but not in part."""
    folder = source.folder
    if folder is None:
        return cached_model(source.hub_id or "")
    for index in (folder / name for name in WEIGHT_INDEXES if folder.is_dir()):
        shards = shards_of(index)
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing and len(missing) < len(shards):
            raise _incomplete(folder, missing)
    return folder


def find_spec(source: ModelSource, folder: Path | None, place: PlanContext) -> ModelSpec:
    """The model's shape: from its folder, the catalog, what is cached, or (last) its config on the hub."""
    anything = place.trust_remote_code
    if folder is not None:
        return spec_from_folder(source.name, folder, any_architecture=anything)
    if source.entry is not None:
        return source.entry.spec(source.name)
    hub_id = source.hub_id or ""
    snapshot = cached_snapshot(hub_id) if hub_id == source.repository else None
    if snapshot is not None and (snapshot / "config.json").is_file():
        spec = spec_from_folder(source.name, snapshot, any_architecture=anything)
    elif place.offline:
        raise ModelError(
            f"{source.name} is not on this machine, and the network must not be used (offline)",
            Words("run once without --offline", f"in a shell: specmemo models pull {hub_id}"),
            "give the folder of a model that is here",
        )
    else:
        from specmemo_chat.catalog.download import remote_config

        with remote_config(source) as config:
            spec = spec_from_folder(source.name, config, any_architecture=anything)
    return replace(spec, location=hub_id)


def refuse(source: ModelSource, spec: ModelSpec, outcome: Outcome, place: PlanContext, *, local: bool) -> PlanError:
    """The error for a plan that does not fit: the smallest fix, and where it applies the way through the gate."""
    error = refusal(spec.name, outcome)
    if not local and gate_is_closed(source):
        gate = f"It is gated too, and there is no Hugging Face token on this machine: {licence_steps(source)}."
        other = Flag("--model", place.nearest(spec), "without a gate and fitting here")
        return PlanError(f"{error.message} {gate}", outcome.fix, other)
    if isinstance(outcome.fix, Flag):
        return error
    return PlanError(error.message, outcome.fix, Flag("--model", place.nearest(spec), "one that fits"))
