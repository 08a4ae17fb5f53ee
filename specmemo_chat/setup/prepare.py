"""What a command needs before it can talk to a model: the decisions (setup/decide.py), a client, the state folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

# The rest is imported where it is needed: `--help` must come at once.
if TYPE_CHECKING:
    from specmemo_chat.host.client import ChatClient
    from specmemo_chat.host.executor import Executor
    from specmemo_chat.host.requests import Load
    from specmemo_chat.host.torchrun import Nodes
    from specmemo_chat.memory.contract import Plan
    from specmemo_chat.memory.plan import Outcome
    from specmemo_chat.settings import GenerationSettings
    from specmemo_chat.setup.fetch import Listener
    from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
    from specmemo_chat.setup.planning import PlanContext

# Above this the worker's log of earlier runs is thrown away.
LOG_LIMIT = 1 << 20
# The typed lines of all chats, in the state folder.
HISTORY = "history"


@dataclass(frozen=True)
class Prepared:
    """Everything is decided and the model is on this machine; nothing is loaded yet. `choice` and `sampling` are what
    the user asked for, `place` is what the plan was made for and `outcome` how, `nodes` the machines that share the
    model."""

    plan: Plan
    settings: GenerationSettings
    load: Load
    place: PlanContext
    outcome: Outcome
    choice: ModelChoice
    sampling: SamplingChoice
    nodes: Nodes


def prepare(
    choice: ModelChoice,
    sampling: SamplingChoice,
    listener: Listener,
    *,
    before_download: Callable[[], None] | None = None,
    freed: int = 0,
) -> Prepared:
    """Decide, and download where necessary. Raises the errors of specmemo_chat/errors.py; notes go to `listener`.

    `before_download` is called when all else is decided: there the input is checked. `freed`: bytes that a running
    worker gives back before this model is loaded.
    """
    from specmemo_chat.setup.decide import decide
    from specmemo_chat.setup.nodes import find_nodes

    nodes = find_nodes(choice)
    plan, settings, load, place, outcome = decide(choice, sampling, listener, before_download, freed=freed)
    if nodes.count > 1:
        workers = f"machine {nodes.rank} of {nodes.count}, {len(load.devices)} of {plan.tp} workers"
        if nodes.rank:
            listener.note(f"{workers}: they serve the command on {nodes.endpoint} until it ends; Ctrl-C ends them")
        else:
            listener.note(f"{workers}: the same command must run on the other machines; they meet at {nodes.endpoint}")
    return Prepared(plan, settings, load, place, outcome, choice, sampling, nodes)


def start_client(prepared: Prepared) -> ChatClient:
    """A client whose worker, or workers, start with the first request."""
    from specmemo_chat.host.client import ChatClient

    return ChatClient(lambda: _start(prepared), prepared.load)


def _start(prepared: Prepared) -> Executor:
    from specmemo_chat.host.executor import WorkerExecutor
    from specmemo_chat.host.torchrun import TorchrunExecutor

    if prepared.plan.tp == 1:
        return WorkerExecutor(_worker_log())
    return TorchrunExecutor(prepared.load, prepared.nodes, _worker_log())


def lend_workers(prepared: Prepared) -> None:
    """Run this machine's workers for the chat or batch on the first machine until it ends. Raises WorkerError."""
    from specmemo_chat.host.torchrun import serve_node

    serve_node(prepared.load, prepared.nodes, _worker_log())


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
