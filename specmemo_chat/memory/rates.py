"""How long this processor's products of weights took, by precision and rows: measured by models/matrices/rates.py in a
process of its own, and kept in the cache folder."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.device.info import DeviceInfo

Measured = Mapping[str, tuple[tuple[int, float], ...]]


@dataclass(frozen=True)
class Rates:
    """`seconds` of a product for each value of the weight: by precision pairs (rows, seconds), rows ascending.
    `bandwidth` bytes/s of a copy, `compute` operations/s of a product in fp32. `product` says how q8 is multiplied."""

    seconds: Measured
    bandwidth: int
    compute: int
    product: str = ""

    def knows(self, dtype: str) -> bool:
        return dtype in self.seconds

    def of(self, dtype: str, rows: int) -> float:
        """Seconds a value for `rows` rows: read off the line between those that were measured; beyond them every row
        costs what it cost there. Raises KeyError for a precision that was not measured."""
        points = self.seconds[dtype]
        at = bisect.bisect_left(points, (rows, 0.0))
        if at == 0:
            return points[0][1]
        if at == len(points):
            return points[-1][1] * rows / points[-1][0]
        (low, before), (high, after) = points[at - 1], points[at]
        return before + (after - before) * (rows - low) / (high - low)

    def shared(self, workers: int) -> Rates:
        """Of one of so many workers at the same time."""
        seconds = {
            dtype: tuple((rows, taken * workers) for rows, taken in points) for dtype, points in self.seconds.items()
        }
        return Rates(seconds, self.bandwidth // workers, self.compute // workers, self.product)


def rates_file(folder: Path, device: DeviceInfo) -> Path:
    """Where they are kept for this processor, its threads and the versions of what multiplies."""
    versions = []
    for name in ("specmemo", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(importlib.metadata.version(name))
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    key = json.dumps([device.name, device.threads, device.native_bf16, isa, versions])
    return folder / f"products-{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"


def read_rates(values: Any) -> Rates | None:
    """The rates in the object that the measuring process printed; None where it is no such object."""
    try:
        found = {
            str(name): tuple(sorted((int(rows), float(seconds)) for rows, seconds in points))
            for name, points in values["products"].items()
        }
        bandwidth, compute = int(values["bandwidth"]), int(values["compute"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    sound = found and all(points and points[0][0] > 0 and points[0][1] > 0 for points in found.values())
    said = str(values.get("product", ""))
    return Rates(found, bandwidth, compute, said) if sound and bandwidth > 0 and compute > 0 else None


def kept_rates(file: Path) -> Rates | None:
    """What was measured before; None where nothing was, or it cannot be read."""
    try:
        return read_rates(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def keep_rates(file: Path, rates: Rates) -> None:
    """Write them, whole or not at all; a folder that cannot be written is left: it is only a cache."""
    written = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number, written = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with open(number, "w", encoding="utf-8") as stream:
            values = {"bandwidth": rates.bandwidth, "compute": rates.compute, "product": rates.product}
            json.dump(values | {"products": rates.seconds}, stream)
        os.replace(written, file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(written)
