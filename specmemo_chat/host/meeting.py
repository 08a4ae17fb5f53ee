"""torchrun's static rendezvous, which does not wait for the other machines: worker 0 does, and can name the missing."""

from __future__ import annotations

from torch.distributed import DistNetworkError, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousParameters, rendezvous_handler_registry
from torch.distributed.elastic.rendezvous.api import RendezvousInfo
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous
from torch.distributed.elastic.rendezvous.utils import parse_rendezvous_endpoint

from specmemo_chat.errors import WorkerError
from specmemo_chat.host.place import MEETING_TIMEOUT

BACKEND = "specmemo"


class Meeting(StaticTCPRendezvous):
    """The store is on machine 0, the others try to reach it for MEETING_TIMEOUT."""

    def get_backend(self) -> str:
        return BACKEND

    def next_rendezvous(self) -> RendezvousInfo:
        """Raises WorkerError where the port is taken on machine 0, or not reached from another one."""
        here = self.rank == 0
        if not self._store:
            try:
                self._store = TCPStore(
                    self.master_addr,
                    self.master_port,
                    self.world_size,
                    here,
                    self.timeout,
                    wait_for_workers=False,
                    multi_tenant=True,
                )
            except DistNetworkError as error:
                where = f"port {self.master_port} of {self.master_addr}"
                how = "cannot be used" if here else f"was not reached for {self.timeout.total_seconds():.0f} s"
                raise WorkerError(f"{where} {how}: {str(error).splitlines()[0]}") from error
        return super().next_rendezvous()


def _create(parameters: RendezvousParameters) -> RendezvousHandler:
    host, port = parse_rendezvous_endpoint(parameters.endpoint, -1)
    timeout = int(MEETING_TIMEOUT.total_seconds())
    rank = int(parameters.get("rank"))
    return Meeting(host, port, rank, parameters.max_nodes, parameters.run_id, timeout)


def register() -> None:
    """Make the backend known to torchrun, for this process."""
    rendezvous_handler_registry.register(BACKEND, _create)
