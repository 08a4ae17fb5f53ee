"""Memory policies as TOML files: how much of a device to spend, and on what. Keys are strict.

A file has `summary` and the tables `match` (which devices it is for), `policy` (limits of a plan) and, optionally,
`device` (facts, so that a plan can be made for a device that is not here). Sizes are written like "256MiB", the
bandwidth like "672GB/s"; a number without its unit is an error.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import format_size, parse_size
from specmemo_chat.texts import read_text

_PACKAGE = Path(__file__).resolve().parent
DeviceKind = Literal["cuda", "rocm", "mps", "cpu"]
KINDS = ("cuda", "rocm", "mps", "cpu")
PRECISIONS = ("bf16", "fp16", "fp32", "q8", "q4")
# What bitsandbytes called them, whose weights earlier versions had.
OLD_PRECISIONS = {"int8": "q8", "nf4": "q4"}
# Two devices of one model differ by what firmware keeps for itself.
MEMORY_TOLERANCE = 0.06


@dataclass(frozen=True)
class DeviceFacts:
    """A device that need not be here. `memory` is bytes, `bandwidth` bytes/s and `compute` operations/s of dense
    matrices in half precision, both 0 where not given; `count` is how many of it the machine has."""

    kind: DeviceKind
    name: str
    memory: int
    bandwidth: int = 0
    compute: int = 0
    compute_capability: tuple[int, int] | None = None
    count: int = 1


class Device(Protocol):
    """What a policy needs to know of a device; `device.info.DeviceInfo` has it."""

    @property
    def kind(self) -> DeviceKind: ...
    @property
    def name(self) -> str: ...
    @property
    def total_bytes(self) -> int: ...
    @property
    def usable_bytes(self) -> int: ...


@dataclass(frozen=True)
class Profile:
    """A policy. `precisions` are those the planner may fall back to by itself; `context` and `tree_nodes` are what it
    aims at, their minimums how far it may go down before it refuses. `cap` is 0 where `cap_fraction` decides. `notes`
    are sentences for the user about the file."""

    name: str
    summary: str
    match_kind: str
    match_names: tuple[str, ...]
    cap_fraction: float
    cap: int
    reserve: int
    context: int
    context_minimum: int
    tree_nodes: int
    tree_nodes_minimum: int
    tree_depth: int
    tree_width: int
    prefill_chunk: int
    prefill_chunk_minimum: int
    growth_tokens: int
    precisions: tuple[str, ...]
    facts: DeviceFacts | None = None
    notes: tuple[str, ...] = ()

    def cap_for(self, device: Device) -> int:
        """Bytes that a plan for `device` may take where the user names no cap."""
        cap = self.cap or int(device.total_bytes * self.cap_fraction)
        return max(0, min(cap, device.usable_bytes - self.reserve))


def renamed(precision: str) -> str:
    """What to say to somebody who wrote an old name."""
    return f"{precision} is called {OLD_PRECISIONS[precision]} now"


def profile_folder() -> Path:
    """The profiles that came with specmemo: in the package of a wheel, beside it in a working copy."""
    shipped = _PACKAGE / "profiles_data"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "profiles"


def load_profiles(own: Path | None = None) -> dict[str, Profile]:
    """All profiles by name; one of the user's (`own` folder) replaces a shipped one of the same name.

    Raises UsageError with file and line where a file is wrong.
    """
    profiles: dict[str, Profile] = {}
    for folder in (profile_folder(), own):
        if folder is not None and folder.is_dir():
            for path in sorted(folder.glob("*.toml")):
                profiles[path.stem] = read_profile(path)
    return profiles


def get_profile(name: str, profiles: dict[str, Profile]) -> Profile:
    """The profile of this name. Raises UsageError with the names there are."""
    if name not in profiles:
        raise UsageError(f"there is no profile {name!r}", f"profiles: {', '.join(profiles)}")
    return profiles[name]


def match_profile(device: Device, profiles: dict[str, Profile]) -> tuple[Profile, str]:
    """The profile for a device, and why: its name, else the largest of its kind that its memory covers.

    Of two that match alike the later one wins: the user's own come after the shipped ones.
    """
    of_kind = [profile for profile in reversed(profiles.values()) if profile.match_kind == device.kind]
    by_name = [
        (len(name), profile)
        for profile in of_kind
        for name in profile.match_names
        if name.lower() in device.name.lower() and _holds(device, profile)
    ]
    if by_name:
        profile = max(by_name, key=lambda pair: pair[0])[1]
        return profile, f"the device is called {device.name}"
    sized = [(profile.facts.memory, profile) for profile in of_kind if profile.facts and _holds(device, profile)]
    if sized and device.kind != "cpu":
        profile = max(sized, key=lambda pair: pair[0])[1]
        return profile, f"nearest in memory to {device.name} with {format_size(device.total_bytes)}"
    if device.kind == "cpu" and "cpu" in profiles:
        return profiles["cpu"], "the device is the processor"
    return get_profile("default", profiles), f"no profile knows {device.name}"


def _holds(device: Device, profile: Profile) -> bool:
    """The device has the memory that the profile counts on."""
    return profile.facts is None or device.total_bytes >= profile.facts.memory * (1 - MEMORY_TOLERANCE)


class _Reader:
    """Takes known keys out of one file's tables; what is left over is an error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._text = read_text(path, f"the profile {path}")
            self.values = tomllib.loads(self._text)
        except (OSError, ValueError) as error:
            raise UsageError(f"the profile {path} cannot be read: {error}") from error

    def error(self, table: str, key: str, problem: str, remedy: str | None = None) -> UsageError:
        place = f"{self._path}:{self._line(table, key)}"
        return UsageError(f"{place}: {f'[{table}] ' if table else ''}{key}: {problem}", remedy)

    def _line(self, table: str, key: str) -> int:
        inside = ""
        for number, line in enumerate(self._text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
                inside = header[1]
                if key == inside:
                    return number
            elif inside == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return number
        return 1

    def table(self, name: str, known: set[str]) -> dict[str, Any]:
        values = self.values.get(name, {})
        if not isinstance(values, dict):
            raise self.error("", name, "must be a table")
        for key in values:
            if key not in known:
                raise self.error(name, key, "is not a known key", f"known are {', '.join(sorted(known))}")
        return values

    def take(self, table: str, values: dict[str, Any], key: str, kind: type, default: Any = None) -> Any:
        """The value of a key; ints stand for floats. Raises where it is missing or of another type."""
        if key not in values:
            if default is None:
                raise self.error("", table, f"lacks the key {key!r}")
            return default
        value = values[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(table, key, f"{value!r} is not of the type {kind.__name__}")
        return value

    def size(self, table: str, values: dict[str, Any], key: str, default: str | None = None) -> int:
        """A size with its unit, like "256MiB"."""
        return self._sized(table, key, self.take(table, values, key, str, default))

    def rate(self, table: str, values: dict[str, Any], key: str) -> int:
        """Bytes a second, like "672GB/s"; 0 where the key is missing."""
        text = self.take(table, values, key, str, "0")
        if text != "0" and not text.endswith("/s"):
            raise self.error(table, key, f"{text!r} is not a size a second", 'write for example "672GB/s"')
        return self._sized(table, key, text.removesuffix("/s"))

    def _sized(self, table: str, key: str, text: str) -> int:
        if text == "0":
            return 0
        if text.strip().replace(".", "").isdigit():
            raise self.error(table, key, f"{text!r} has no unit", f'write for example "{text.strip()}MiB"')
        try:
            return parse_size(text)
        except UsageError as error:
            raise self.error(table, key, error.message, error.remedy) from error

    def count(self, table: str, values: dict[str, Any], key: str, default: int | None = None) -> int:
        number = self.take(table, values, key, int, default)
        if number < 1:
            raise self.error(table, key, f"{number} is less than 1")
        return int(number)

    def texts(self, table: str, values: dict[str, Any], key: str) -> tuple[str, ...]:
        items = self.take(table, values, key, list, [])
        if not all(isinstance(item, str) for item in items):
            raise self.error(table, key, "is not a list of texts")
        return tuple(items)


_POLICY_COUNTS = (
    "context", "context_minimum", "tree_nodes", "tree_nodes_minimum", "tree_depth", "tree_width",
    "prefill_chunk", "prefill_chunk_minimum", "growth_tokens",
)  # fmt: skip


def read_profile(path: Path) -> Profile:
    """One TOML file. Raises UsageError with file and line for unknown keys, wrong types and wrong sizes."""
    reader = _Reader(path)
    for key in reader.values:
        if key not in ("summary", "match", "policy", "device"):
            raise reader.error("", key, "is not a known key", "known are summary, match, policy, device")
    match = reader.table("match", {"kind", "names"})
    policy = reader.table("policy", {"cap_fraction", "cap", "reserve", "precisions", *_POLICY_COUNTS})
    if "cap" in policy and "cap_fraction" in policy:
        raise reader.error("policy", "cap", "stands beside cap_fraction", "keep one of the two")
    fraction = reader.take("policy", policy, "cap_fraction", float, 1.0 if "cap" in policy else None)
    if not 0 < fraction <= 1:
        raise reader.error("policy", "cap_fraction", f"{fraction} is not between 0 and 1")
    written = reader.texts("policy", policy, "precisions")
    precisions = tuple(OLD_PRECISIONS.get(precision, precision) for precision in written)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise reader.error("policy", "precisions", f"{precision!r} is none of {', '.join(PRECISIONS)}")
    kind = reader.take("match", match, "kind", str, "")
    if kind and kind not in KINDS:
        raise reader.error("match", "kind", f"{kind!r} is none of {', '.join(KINDS)}")
    counts = {key: reader.count("policy", policy, key) for key in _POLICY_COUNTS}
    for key in ("context", "tree_nodes", "prefill_chunk"):
        if counts[f"{key}_minimum"] > counts[key]:
            raise reader.error("policy", f"{key}_minimum", f"{counts[f'{key}_minimum']} is more than {key}")
    return Profile(
        name=path.stem,
        summary=reader.take("", reader.values, "summary", str, path.stem),
        match_kind=kind,
        match_names=reader.texts("match", match, "names"),
        cap_fraction=fraction,
        cap=reader.size("policy", policy, "cap", "0"),
        reserve=reader.size("policy", policy, "reserve", "0"),
        precisions=precisions,
        facts=_facts(reader) if "device" in reader.values else None,
        notes=tuple(f"the profile {path}: {renamed(name)}" for name in written if name in OLD_PRECISIONS),
        **counts,
    )


def _facts(reader: _Reader) -> DeviceFacts:
    known = {"kind", "name", "memory", "bandwidth", "compute", "compute_capability", "count"}
    values = reader.table("device", known)
    kind = reader.take("device", values, "kind", str)
    if kind not in KINDS:
        raise reader.error("device", "kind", f"{kind!r} is none of {', '.join(KINDS)}")
    capability = reader.take("device", values, "compute_capability", str, "")
    if capability and not re.fullmatch(r"\d+\.\d+", capability):
        raise reader.error("device", "compute_capability", f'{capability!r} is not written like "8.6"')
    major, _, minor = capability.partition(".")
    return DeviceFacts(
        kind=kind,
        name=reader.take("device", values, "name", str),
        memory=reader.size("device", values, "memory"),
        bandwidth=reader.rate("device", values, "bandwidth"),
        compute=reader.count("device", values, "compute") if "compute" in values else 0,
        compute_capability=(int(major), int(minor)) if capability else None,
        count=reader.count("device", values, "count", 1),
    )
