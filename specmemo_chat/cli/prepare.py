"""What a command needs before it can talk to a model: the decisions (cli/decide.py), a client, the state folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

# The rest is imported where it is needed: `--help` must come at once.
if TYPE_CHECKING:
    from specmemo_chat.cli.console import Screen
    from specmemo_chat.cli.options import ModelChoice, SamplingChoice
    from specmemo_chat.host.client import ChatClient
    from specmemo_chat.host.requests import Load
    from specmemo_chat.memory.contract import Plan
    from specmemo_chat.settings import GenerationSettings

# Above this the worker's log of earlier runs is thrown away.
LOG_LIMIT = 1 << 20


@dataclass(frozen=True)
class Prepared:
    """Everything is decided and the model is on this machine; nothing is loaded yet."""

    plan: Plan
    settings: GenerationSettings
    load: Load


def prepare(
    choice: ModelChoice, sampling: SamplingChoice, screen: Screen, *, before_download: Callable[[], None] | None = None
) -> Prepared:
    """Decide, and download where necessary. Raises the errors of CONTRACT.md's exit codes; notes go to `screen`.

    `before_download` is called when all else is decided: there the input is checked.
    """
    from specmemo_chat.cli.decide import decide

    plan, settings, load = decide(choice, sampling, screen, before_download)
    return Prepared(plan, settings, load)


def start_client(prepared: Prepared) -> ChatClient:
    """A client whose worker starts with the first request."""
    from specmemo_chat.host.client import ChatClient
    from specmemo_chat.host.executor import WorkerExecutor

    # CUDA numbers the cards by speed unless told otherwise; the plan's index is NVML's, in the order of the bus.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return ChatClient(lambda: WorkerExecutor(_worker_log()), prepared.load)


def state_folder() -> Path:
    """Where history and logs are kept; it need not exist."""
    import platformdirs

    return platformdirs.user_state_path("specmemo", appauthor=False)


def _worker_log() -> Path | None:
    """The private file that a worker's stderr goes to; None where the state folder cannot be written."""
    path = state_folder() / "worker.log"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            if file.tell() > LOG_LIMIT:
                file.truncate(0)
    except OSError:
        return None
    return path
