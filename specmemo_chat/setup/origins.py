"""Which value a chat uses and where it comes from: flag, environment, config.toml, profile, probe, model, default."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.device.probe import probe
from specmemo_chat.device.select import check_name, select
from specmemo_chat.memory.request import auto_dtype
from specmemo_chat.profiles import OLD_PRECISIONS, Profile
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup import planning
from specmemo_chat.setup.flags import PREFIX
from specmemo_chat.sizes import format_size, parse_size

if TYPE_CHECKING:
    from specmemo_chat.setup.flags import ModelChoice
    from specmemo_chat.setup.prepare import Prepared


@dataclass(frozen=True)
class Row:
    """One setting: its value (bytes and tokens as integers), how people write it, and its source in words."""

    name: str
    value: Any
    shown: str
    source: str


def resolved(params: Mapping[str, Any], origins: Mapping[str, str], names: Iterable[str]) -> list[Row]:
    """The settings called `names` of a chat with these parameters; where nobody chose, what profile and probe choose.

    Raises UsageError and DeviceError like `chat` does for a device or profile that is not there.
    """
    check_name(params["device"])
    profiles = planning.own_profiles()
    device = select(probe(), params["device"], params.get("gpus", 1), model=params["model"]).first
    profile, reason = planning.choose_profile(params["profile"], device, profiles)
    return [
        _row(name, params[name], _source(name, origins.get(name, "default")), device, profile, reason)
        for name in names
        if name in params
    ]


def _source(name: str, origin: str) -> str:
    return f"environment ({PREFIX}{name.upper()})" if origin == "environment" else origin


def _row(name: str, value: Any, source: str, device: DeviceInfo, profile: Profile, reason: str) -> Row:
    """The setting's row; None and "auto" mean that nobody chose."""
    chosen = getattr(value, "value", value)
    chosen = OLD_PRECISIONS.get(chosen, chosen) if name == "dtype" else chosen
    if name == "profile" and chosen is None:
        return Row(name, profile.name, profile.name, f"probe ({reason})")
    if name == "device" and chosen == "auto":
        return Row(name, device.torch_name, device.torch_name, "probe")
    if name == "dtype" and chosen == "auto":
        dtype = auto_dtype(device)
        small = device.kind == "cpu" and dtype != "fp32"
        return Row(name, dtype, f"{dtype} (fp32 for the smallest models)" if small else dtype, "probe")
    if name == "max_memory":
        cap = parse_size(chosen) if chosen else profile.cap_for(device)
        return Row(name, cap, format_size(cap), source if chosen else f"profile {profile.name}")
    if name == "ctx_size" and chosen is None:
        return Row(name, profile.context, f"up to {profile.context}", f"profile {profile.name}")
    if name == "temperature" and chosen is None:
        return Row(name, None, "the model's own", "model")
    if name == "seed" and chosen is None:
        return Row(name, None, "fresh where sampled", source)
    return Row(name, chosen, shown(chosen), source)


def shown(value: Any) -> str:
    """A value on one line, as a person would say it."""
    if value is None or value in ([], (), ""):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return " ".join(repr(item) for item in value)
    return str(value)


@dataclass(frozen=True)
class ChatOrigins:
    """Where a chat's settings came from when it began: `sources` by name, and what was asked for."""

    sources: Mapping[str, str]
    choice: ModelChoice

    def of(self, prepared: Prepared, settings: GenerationSettings, chosen: Collection[str]) -> list[Row]:
        """The settings that hold now; `chosen` are those that /set changed."""
        plan, place = prepared.plan, prepared.place
        profile = f"profile {place.profile.name}"
        fallbacks = {
            "draft": ("+".join(plan.drafters) or "none", "plan"),
            "max_memory": (format_size(plan.cap_bytes), profile),
            "ctx_size": (str(plan.context_tokens), profile),
            "profile": (place.profile.name, f"probe ({place.reason})"),
            "device": (plan.device, "probe"),
            "dtype": (plan.dtype, "probe"),
        }
        rows = []
        for name in ("model", "draft", "max_memory", "ctx_size", "profile", "device", "dtype", "gpus"):
            value, first = getattr(prepared.choice, name), getattr(self.choice, name)
            now, fallback = fallbacks.get(name, (shown(value), "default"))
            asked = value not in (None, "auto")
            source = "/model" if value != first else _source(name, self.sources.get(name, "default"))
            rows.append(Row(name, value, now, source if asked and source != "default" else fallback))
        for field in dataclasses.fields(settings):
            source = _source(field.name, self.sources.get(field.name, "default"))
            if field.name in chosen:
                source = "/set"
            elif field.name == "temperature" and source == "default":
                source = "model"
            value = getattr(settings, field.name)
            rows.append(Row(field.name, value, shown(value), source))
        return rows
