"""What devices were measured to take before any weights, and which plans were proven there; kept between starts."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.contract import Dtype, Plan
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.sizes import MIB

FILE = "memory.json"
# What one start differs from the next: 1 in 64 of the runtime, and at least 4 MiB.
_SPREAD, _LEAST = 64, 4 * MIB
# Of so many plans of a model the runtime is remembered; the next one counts the most of these.
_PLANS = 8
# Fields of a plan that do not change what it takes.
_IRRELEVANT = ("cap_bytes", "concessions", "profile", "model", "target", "measured_as")


def runtime_key(
    device: DeviceInfo, spec: ModelSpec, tp: int, dtype: Dtype, draft: DraftShape | None, products: int = 0
) -> str:
    """Under which the runtime of a worker is remembered: the device and its threads, the versions of all that is
    loaded, the shapes and precisions of model and draft, how many workers share, and the products that stay prepared:
    they are a part of it."""
    values = {
        "device": [device.kind, device.name, device.threads, device.tiles, device.native_bf16],
        "versions": _versions(),
        "model": [dtype, tp, _shape_of(spec)],
        "products": products,
        "draft": [draft.kind, draft.dtype, draft.vocab, draft.feature_count, _shape_of(draft.spec)] if draft else None,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def _shape_of(spec: ModelSpec) -> dict[str, Any]:
    """All of `spec` that is not where it lies."""
    return {name: value for name, value in asdict(spec).items() if name not in ("name", "location", "checkpoint_bytes")}


@functools.cache
def _versions() -> tuple[str, ...]:
    """Read once: a start plans for every model of the catalog, and each reading parses the packages' whole metadata."""
    versions = [platform.python_version()]
    for name in ("specmemo", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(importlib.metadata.version(name))
    return tuple(versions)


def plan_key(plan: Plan) -> str:
    """The same for all plans that take the same bytes on the same device. The runtime is left out: it is what is
    measured."""
    values = {name: value for name, value in plan.as_json().items() if name not in _IRRELEVANT}
    values["terms"] = {name: size for name, size in plan.terms if name != "runtime"}
    return hashlib.sha256(json.dumps([plan.measured_as, values], sort_keys=True).encode()).hexdigest()[:32]


class Measurements:
    """The file in the cache folder `folder`. One that cannot be read counts as empty, one that cannot be written is
    left: then a start measures again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def runtime(self, key: str) -> int | None:
        """What a plan should count as runtime, None where it was never measured: the most that the last plans took,
        and a little for what one start differs from the next."""
        plans = self._read()["runtime"].get(key)
        known = max(map(_number, plans.values()), default=0) if isinstance(plans, dict) else 0
        return known + max(_LEAST, known // _SPREAD) if known else None

    def proven(self, plan: Plan) -> tuple[int, int] | None:
        """(peak, runtime) bytes that the rehearsal of such a plan measured, None where there was none."""
        entry = self._read()["proven"].get(plan_key(plan))
        if not isinstance(entry, list) or len(entry) != 2:
            return None
        peak, runtime = _number(entry[0]), _number(entry[1])
        return (peak, runtime) if peak and runtime else None

    def remember(self, plan: Plan, peak: int, runtime: int) -> None:
        """The rehearsal of `plan` took `peak` bytes at the most, of which `runtime` are neither weights nor planned
        generation memory."""
        values, key = self._read(), plan_key(plan)
        if plan.measured_as:
            before = values["runtime"].get(plan.measured_as)
            plans = {name: size for name, size in before.items() if name != key} if isinstance(before, dict) else {}
            values["runtime"][plan.measured_as] = dict([*plans.items(), (key, runtime)][-_PLANS:])
        values["proven"][key] = [peak, runtime]
        written = ""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            number, written = tempfile.mkstemp(dir=self._path.parent, prefix=FILE)
            with open(number, "w", encoding="utf-8") as file:
                json.dump(values, file)
            os.replace(written, self._path)
        except OSError:
            # A full disk: the next start would leave another one.
            with contextlib.suppress(OSError):
                os.unlink(written)

    def _read(self) -> dict[str, dict[str, Any]]:
        empty: dict[str, dict[str, Any]] = {"runtime": {}, "proven": {}}
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return empty
        if not isinstance(values, dict):
            return empty
        return {name: part if isinstance(part := values.get(name), dict) else {} for name in empty}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
