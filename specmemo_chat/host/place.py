"""A worker's place among the workers that torchrun started, and torch's process group between them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psutil

from specmemo_chat.models.parallel import Share

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

# A worker waits for another in a collective at most so long. Heartbeats notice the dead and the silent much sooner.
COLLECTIVE_TIMEOUT = timedelta(seconds=60)
# To meet the others, on this machine or several.
MEETING_TIMEOUT = timedelta(seconds=600)


@dataclass(frozen=True)
class Place:
    """Worker `rank` of `world`, number `local_rank` of the `local_world` on its machine; `nodes` machines."""

    rank: int
    world: int
    local_rank: int
    local_world: int
    nodes: int

    @classmethod
    def from_environment(cls) -> Place:
        """What torchrun tells its workers."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
        return cls(*(int(os.environ[name]) for name in names))

    @property
    def node(self) -> int:
        """The number of its machine; all have equally many workers."""
        return self.rank // self.local_world

    @property
    def share(self) -> Share:
        return Share(self.rank, self.world)


def meeting_store() -> Store:
    """The key-value store at which the workers find each other. Imports torch."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(iter(rendezvous("env://", timeout=MEETING_TIMEOUT)))[0]
    return store


def speak_by(address: str) -> None:
    """Have gloo use the network interface with this address. By itself it publishes the address of the machine's own
    name, which other machines cannot reach where /etc/hosts says 127.0.1.1, and which need not be known at all."""
    address = address.partition("%")[0]
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address.partition("%")[0] == address for each in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def lacks_memory(error: BaseException) -> bool:
    """Whether this worker's own memory is the cause. Torch has a type for it, NCCL only a text."""
    return isinstance(error, MemoryError) or "out of memory" in str(error)


def join(place: Place, store: Store, device: str) -> None:
    """Become a member of torch's process group: NCCL (RCCL on ROCm) between GPUs, gloo between processors."""
    import torch
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    options: dict[str, Any] = {"backend": "gloo"}
    if device != "cpu":
        torch.cuda.set_device(device)
        options = {"backend": "nccl", "device_id": torch.device(device)}
    dist.init_process_group(
        store=PrefixStore("collectives", store),
        rank=place.rank,
        world_size=place.world,
        timeout=COLLECTIVE_TIMEOUT,
        **options,
    )
