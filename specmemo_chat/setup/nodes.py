"""`--nnodes`, `--rdzv-endpoint` and `--node-rank`: the machines that share one model."""

from __future__ import annotations

import contextlib
import socket

from specmemo_chat.errors import UsageError
from specmemo_chat.host.torchrun import Nodes
from specmemo_chat.setup.flags import ModelChoice


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
    bracketed = host.startswith("[") and host.endswith("]")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--nnodes {count} needs --rdzv-endpoint HOST:PORT, not {endpoint!r}", example)
    if ":" in host and not bracketed:
        raise UsageError(f"--rdzv-endpoint {endpoint}: where does the address end?", f"write [{host}]:{port}")
    host = host[1:-1] if bracketed else host
    if choice.gpus % count:
        raise UsageError(f"--gpus {choice.gpus} are not shared out evenly by --nnodes {count}", example)
    here = _is_here(host)
    rank = choice.node_rank
    if rank is None:
        rank = 0 if here else 1
        if rank and count > 2:
            raise UsageError(f"{host} is another machine: which of the {count} is this one?", "give --node-rank N")
    if rank >= count:
        raise UsageError(f"--node-rank {rank}: {count} machines are numbered from 0", f"give at most {count - 1}")
    return Nodes(count, rank, endpoint)


def _is_here(host: str) -> bool:
    """Whether the name or address is one of this machine's. Raises UsageError for one that nobody knows."""
    try:
        addresses = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter: it can be no name, as a..b
        raise UsageError(
            f"this machine does not know the host {host!r} of --rdzv-endpoint ({getattr(error, 'strerror', error)})",
            "give machine 0's address in its place",
        ) from None
    for family, kind, protocol, _name, address in addresses:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as trial:
            # Only an own address can be bound.
            trial.bind(address)
            return True
    return False
