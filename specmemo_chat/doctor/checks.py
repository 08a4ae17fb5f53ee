"""What `specmemo doctor` finds out, and the order in which it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from specmemo_chat.doctor.findings import Finding

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
    from specmemo_chat.doctor import hub, machine, torch_stack

    devices = torch_stack.Machine()
    return {
        "packages": machine.packages,
        "configuration": machine.configuration,
        "folders": machine.folders,
        "disk": machine.disk,
        "sessions": machine.sessions,
        "model": machine.bundled_model,
        "GGUF": machine.gguf_models,
        "memory": devices.memory,
        "gpu": devices.gpus,
        "torch": devices.torch,
        "products": devices.products,
        "gloo": devices.gloo,
        "nccl": devices.nccl,
        "hub": lambda: hub.hub(offline=offline),
        "terminal": machine.terminal,
    }
