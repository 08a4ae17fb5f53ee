"""`--nnodes`, `--rdzv-endpoint` and `--node-rank`: the machines that share one model."""

from __future__ import annotations

import contextlib
import socket

from specmemo_chat.cli.flags import ModelChoice
from specmemo_chat.errors import UsageError
from specmemo_chat.host.torchrun import Nodes


def find_nodes(choice: ModelChoice) -> Nodes:
    """The machines of the command line; `--gpus` counts the workers of all of them. Raises UsageError for flags that
    make no sense together."""
    count, endpoint = choice.nnodes, choice.rdzv_endpoint
    if count == 1:
        if endpoint or choice.node_rank:
            raise UsageError("--rdzv-endpoint and --node-rank are for several machines", "give --nnodes too")
        return Nodes()
    example = f"for example --gpus {2 * count} --nnodes {count} --rdzv-endpoint HOST:29400"
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--nnodes {count} needs --rdzv-endpoint HOST:PORT, not {endpoint!r}", example)
    if choice.gpus % count:
        raise UsageError(f"--gpus {choice.gpus} are not shared out evenly by --nnodes {count}", example)
    rank = choice.node_rank
    if rank is None:
        rank = 0 if _is_here(host) else 1
        if rank and count > 2:
            raise UsageError(f"{host} is another machine: which of the {count} is this one?", "give --node-rank N")
    if rank >= count:
        raise UsageError(f"--node-rank {rank}: {count} machines are numbered from 0", f"give at most {count - 1}")
    return Nodes(count, rank, endpoint)


def _is_here(host: str) -> bool:
    """Whether the name or address is one of this machine's."""
    with contextlib.suppress(OSError):
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as trial:
                # Only an own address can be bound.
                trial.bind(address)
                return True
    return False
