"""What `specmemo doctor` finds out, and the order in which it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

# note: it works, within a limit that the user may want to know. broken: something that should work does not.
Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` is empty where nothing is to be done."""

    name: str
    status: Status
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        values = {"name": self.name, "status": self.status, "detail": self.detail}
        return values | ({"remedy": self.remedy} if self.remedy else {})


Check = Callable[[], Iterator[Finding]]


def examine(checks: dict[str, Check]) -> Iterator[Finding]:
    """Every finding, in order. A check that fails itself is a finding too: on a broken machine anything may."""
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - the doctor must not die of what it looks for
            yield Finding(
                name,
                "broken",
                f"could not be checked: {type(error).__name__}: {error}",
                "report this with the output of `specmemo doctor --debug`",
            )


def all_checks(*, offline: bool) -> dict[str, Check]:
    """The checks by name, what everything else needs first."""
    from specmemo_chat.cli import doctor_hub, doctor_machine, doctor_torch

    machine = doctor_torch.Machine()
    return {
        "packages": doctor_machine.packages,
        "configuration": doctor_machine.configuration,
        "folders": doctor_machine.folders,
        "disk": doctor_machine.disk,
        "sessions": doctor_machine.sessions,
        "model": doctor_machine.bundled_model,
        "memory": machine.memory,
        "gpu": machine.gpus,
        "torch": machine.torch,
        "gloo": machine.gloo,
        "nccl": machine.nccl,
        "hub": lambda: doctor_hub.hub(offline=offline),
        "terminal": doctor_machine.terminal,
    }
