"""`specmemo models`: the catalog and the cache: what there is, what fits here, what it costs, and away with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specmemo_chat.cli import completion, options
from specmemo_chat.errors import ModelError, PlanError, UsageError
from specmemo_chat.setup.flags import Color, ModelChoice

if TYPE_CHECKING:
    from specmemo_chat.catalog.resolve import ModelSource
    from specmemo_chat.catalog.spec import ModelSpec
    from specmemo_chat.setup.planning import PlanContext
    from specmemo_chat.terminal.console import Screen

HELP = "Models: what there is and what fits here; download, delete."

Name = Annotated[str, typer.Argument(help="Alias or hub id.", autocompletion=completion.models, show_default=False)]


@dataclass(frozen=True)
class Line:
    """One model of the list. `size` is bytes on disk where it is here, else about the download; `fits` is None where
    its shape is not known; `problem` says why a model that is here cannot be used; `dtype` is the plan's precision."""

    name: str
    hub_id: str
    parameters: int
    size: int
    state: str
    licence: str
    gated: bool
    draft: str
    draft_state: str
    fits: bool | None
    smallest_fix: str
    problem: str = ""
    dtype: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "hub_id": self.hub_id,
            "parameters": self.parameters,
            "size_bytes": self.size,
            "state": self.state,
            "licence": self.licence,
            "gated": self.gated,
            "draft": self.draft or None,
            "draft_state": self.draft_state or None,
            "fits": self.fits,
            "dtype": self.dtype or None,
            **({"smallest_fix": self.smallest_fix} if self.smallest_fix else {}),
            **({"problem": self.problem} if self.problem else {}),
        }


@options.takes(*options.MODEL[1:], "json", "color", "debug")
def ls(
    context: typer.Context,
    here: Annotated[bool, typer.Option("--here", help="Only what is on this machine.")] = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    debug: options.Debug = False,
) -> None:
    """List models: size, licence, known draft, and whether they fit on this machine."""
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value)
    choice = ModelChoice.of(context.params)
    place = _place(choice)
    lines = [line for line in _lines(place) if not here or line.state != "absent"]
    if json:
        screen.print_json(
            {
                "schema": 1,
                "device": place.device.torch_name,
                "profile": place.profile.name,
                "cap_bytes": place.request.max_memory or place.profile.cap_for(place.device),
                "models": [line.as_json() for line in lines],
            }
        )
    else:
        _print(screen, lines, place)


def _place(choice: ModelChoice) -> PlanContext:
    """Where a model would run, as `chat` decides it."""
    from specmemo_chat.device.probe import probe
    from specmemo_chat.device.select import check_name, select
    from specmemo_chat.setup import planning

    request = planning.check_flags(choice)
    check_name(choice.device)
    profiles = planning.own_profiles()
    selection = select(probe(), choice.device, choice.gpus, model=choice.model)
    profile, reason = planning.choose_profile(choice.profile, selection.first, profiles)
    return planning.plan_context(choice, request, selection.first, profile, reason)


def _lines(place: PlanContext) -> list[Line]:
    from specmemo_chat.catalog.aliases import load_catalog
    from specmemo_chat.catalog.cache import cached_gguf
    from specmemo_chat.catalog.inventory import download_bytes, stored, stored_models

    lines = []
    known = {"": None}
    for entry in load_catalog().values():
        known[entry.hub_id] = known[entry.draft] = None
        spec = entry.spec()
        found = stored(entry.hub_id)
        size = found.size if found is not None and found.complete else download_bytes(entry)
        state = "bundled" if entry.bundled else _state(entry.hub_id)
        fits, fix, dtype = _fit(place, spec)
        lines.append(
            Line(
                entry.name, entry.hub_id, spec.parameters, size, state, entry.licence, entry.gated,
                entry.draft, _state(entry.draft) if entry.draft else "", fits, fix, dtype=dtype,
            )
        )  # fmt: skip
    for found in stored_models():
        files = cached_gguf(found.hub_id)
        for hub_id, path in files.items():
            spec_of, problem = _of_folder(hub_id, path)
            parameters, size = (spec_of.parameters, spec_of.checkpoint_bytes) if spec_of is not None else (0, 0)
            fits, fix, dtype = _fit(place, spec_of) if spec_of is not None else (None, "", "")
            lines.append(Line(hub_id, hub_id, parameters, size, "here", "", False, "", "", fits, fix, problem, dtype))
        if found.hub_id not in known and not files:
            spec_of, problem = _cached(found.hub_id)
            parameters = spec_of.parameters if spec_of is not None else 0
            fits, fix, dtype = _fit(place, spec_of) if spec_of is not None else (None, "", "")
            lines.append(
                Line(
                    found.hub_id, found.hub_id, parameters, found.size, _state(found.hub_id), "", False, "", "", fits,
                    fix, problem, dtype,
                )
            )  # fmt: skip
    return lines


def _state(hub_id: str) -> str:
    """ "here", "partly" or "absent"."""
    from specmemo_chat.catalog.inventory import stored

    found = stored(hub_id)
    return "absent" if found is None else "here" if found.complete else "partly"


def _fit(place: PlanContext, spec: ModelSpec) -> tuple[bool | None, str, str]:
    """Whether the planner finds a plan for it here, the smallest change that would make it fit, and the precision."""
    request = replace(place.request, context=min(place.request.context, spec.max_context))
    try:
        outcome = replace(place, request=request).solve(spec)
    except UsageError:
        return None, "", ""
    return outcome.fits, "" if outcome.fits else outcome.smallest_fix or "", outcome.plan.dtype


def _cached(hub_id: str) -> tuple[ModelSpec | None, str]:
    """The shape of a cached model that the catalog does not know, or what is the matter with it."""
    from specmemo_chat.catalog.cache import cached_snapshot
    from specmemo_chat.catalog.inventory import is_head

    snapshot = cached_snapshot(hub_id)
    return (None, "") if snapshot is None or is_head(snapshot) else _of_folder(hub_id, snapshot)


def _of_folder(hub_id: str, folder: Path) -> tuple[ModelSpec | None, str]:
    from specmemo_chat.catalog.config import spec_from_folder

    try:
        return spec_from_folder(hub_id, folder), ""
    except (UsageError, ModelError) as error:
        return None, f"{error.message} ({error.remedy})" if error.remedy else error.message


def _print(screen: Screen, lines: list[Line], place: PlanContext) -> None:
    from specmemo_chat.sizes import format_size
    from specmemo_chat.terminal.listing import print_table

    cap = place.request.max_memory or place.profile.cap_for(place.device)
    screen.note(f"{place.device.name}, profile {place.profile.name}: a cap of {format_size(cap)}")
    rows = [
        (
            line.name,
            format_size(line.size) if line.size else "?",
            {"here": "yes", "absent": "-"}.get(line.state, line.state),
            f"in {line.dtype}" if line.fits else "?" if line.fits is None else "no",
            "-" if not line.draft else "head, here" if line.draft_state == "here" else "head",
            line.licence + (" (gated)" if line.gated else ""),
        )
        for line in lines
    ]
    for line in lines:
        if line.problem:
            screen.note(f"{line.name}: {line.problem}")
    print_table(screen, ("NAME", "SIZE", "HERE", "FITS", "DRAFT", "LICENCE"), rows, right="SIZE")


def pull(
    name: Name,
    draft: Annotated[bool, typer.Option("--draft", help="Its published draft head too.")] = False,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Download a model; one that was interrupted goes on where it stopped."""
    from specmemo_chat.catalog.aliases import find_alias, load_catalog
    from specmemo_chat.catalog.resolve import ModelSource, resolve
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value, quiet=quiet)
    source = resolve(name)
    if source.hub_id is None:
        if source.entry is None:
            raise UsageError(f"{name} is a folder of yours, not a download", "give an alias or a hub id")
        # As for a model that is downloaded already: a script that pulls what it needs goes on.
        screen.note(f"{name} is part of specmemo: nothing to download")
        if json:
            screen.print_json({"schema": 1, "models": []})
        return
    entry = find_alias(name)
    if draft and (entry is None or not entry.draft):
        raise UsageError(f"no published draft head is known for {name}", "leave out --draft")
    place = _place(ModelChoice(model=name))
    if entry is None:
        source = _chosen(source, place, screen)
    # A draft head comes without a tokenizer: it speaks its target's.
    tokenizer = source.hub_id not in [known.draft for known in load_catalog().values()]
    pulled = [_pull(source, place, screen, code=trust_remote_code, tokenizer=tokenizer)]
    if draft and entry is not None:
        head = ModelSource(entry.draft, None, entry.draft)
        pulled.append(_pull(head, place, screen, code=False, tokenizer=False))
    if json:
        screen.print_json({"schema": 1, "models": pulled})


def _chosen(source: ModelSource, place: PlanContext, screen: Screen) -> ModelSource:
    """Of a repository with several GGUF models and no other weights the largest that fits here; else as it is."""
    from specmemo_chat.catalog.cache import cached_model
    from specmemo_chat.catalog.config import spec_from_folder
    from specmemo_chat.catalog.download import remote_config, remote_gguf_models
    from specmemo_chat.catalog.gguf_tensors import named_precision
    from specmemo_chat.memory.request import auto_dtype
    from specmemo_chat.sizes import format_size

    name = source.repository
    if source.hub_id != source.repository or place.offline or cached_model(source.repository) is not None:
        return source
    models = remote_gguf_models(source)
    if len(models) < 2:
        return source
    listed = ", ".join(f"{tag} ({format_size(size)})" for tag, size in models.items())
    read = sorted((tag for tag in models if named_precision(tag) is not None), key=lambda tag: -models[tag])
    sources = {tag: replace(source, name=hub_id, hub_id=hub_id) for tag in read for hub_id in [f"{name}:{tag}"]}
    if read:
        # They differ in the types of their tensors only.
        with remote_config(sources[read[-1]]) as header:
            spec = spec_from_folder(name, header)
    for tag in read:
        # As it is: what has to be packed while it loads is no reason to download more.
        found = replace(spec, checkpoint_bytes=models[tag], own_precision=named_precision(tag) or "")
        request = replace(place.request, dtype=auto_dtype(place.device, found))
        if _fit(replace(place, request=request), found)[0]:
            screen.note(f"{name} holds {listed}: {tag} is the largest that fits here")
            return sources[tag]
    raise PlanError(
        f"no GGUF model of {name} fits here, of those that can be read: {listed}",
        *(f"specmemo plan {name}:{tag} tells more" for tag in read[-1:]),
    )


def _pull(source: ModelSource, place: PlanContext, screen: Screen, *, code: bool, tokenizer: bool) -> dict[str, Any]:
    """Download one repository and say what came of it."""
    from specmemo_chat.catalog.access import check_access
    from specmemo_chat.catalog.cache import cached_model
    from specmemo_chat.catalog.inventory import stored
    from specmemo_chat.setup.fetch import fetch
    from specmemo_chat.sizes import format_size

    hub_id = source.hub_id or ""
    before = stored(hub_id)
    already = cached_model(hub_id, tokenizer=tokenizer)
    if already is None:
        entry = source.entry
        fit, nearest = "", "pocket"
        if entry is not None:
            fits, fix, dtype = _fit(place, entry.spec())
            fit = f"It fits here, in {dtype}." if fits else f"It does not fit here as it is ({fix})."
            nearest = place.nearest(entry.spec())
            if not fits:
                screen.note(f"{source.name} does not fit here as it is: {fix}")
        check_access(source, offline=place.offline, fit=fit, nearest=nearest)
        already = fetch(source, screen, code=code, tokenizer=tokenizer)
    after = stored(hub_id)
    size = after.size if after is not None else 0
    fetched = max(0, size - (before.size if before is not None else 0))
    screen.note(
        f"{source.hub_id}: {format_size(size)} at {already}" if fetched else f"{source.hub_id} is here: {already}"
    )
    return {
        "name": source.name,
        "hub_id": hub_id,
        "folder": str(already),
        "size_bytes": size,
        "downloaded_bytes": fetched,
    }


def rm(
    names: Annotated[
        list[str], typer.Argument(help="Aliases or hub ids.", autocompletion=completion.models, show_default=False)
    ],
    yes: options.Yes = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Delete downloaded models from the Hugging Face cache, which other programs may share."""
    from specmemo_chat.catalog.aliases import find_alias
    from specmemo_chat.catalog.inventory import remove, stored
    from specmemo_chat.catalog.resolve import resolve
    from specmemo_chat.sizes import format_size
    from specmemo_chat.terminal.console import Screen

    screen = Screen(color.value, quiet=quiet)
    found = {}
    for name in names:
        source = resolve(name)
        if source.hub_id is None:
            what = "is part of specmemo" if source.entry is not None else "is a folder of yours"
            raise UsageError(f"{name} {what}, not a download", "`specmemo models ls --here` lists the downloads")
        model = stored(source.hub_id)
        if model is None:
            raise ModelError(f"{name} is not on this machine", "`specmemo models ls --here` lists what is")
        found[source.hub_id] = model
    total = sum(model.size for model in found.values())
    if not yes:
        for model in found.values():
            screen.note(f"  {model.hub_id}: {format_size(model.size)} in {model.folder}")
        options.confirm(f"Delete this? It frees {format_size(total)}; other programs may use the same cache.")
    for model in found.values():
        remove(model)
    for hub_id in found:
        entry = find_alias(hub_id)
        head = entry.draft if entry is not None else ""
        left = stored(head) if head and head not in found else None
        if left is not None:
            screen.note(f"its draft head stays ({format_size(left.size)}): specmemo models rm {head}")
    screen.note(f"{format_size(total)} freed")
    if json:
        screen.print_json({"schema": 1, "removed": sorted(found), "freed_bytes": total})
