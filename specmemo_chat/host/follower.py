"""A worker other than the first of its group: loads its share and carries out worker 0's orders."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from dataclasses import asdict, replace
from typing import Any, NoReturn

from specmemo_chat.device.heap import bound_heap
from specmemo_chat.errors import SpecmemoError, pack
from specmemo_chat.host import requests
from specmemo_chat.host.leader import ADDRESS_KEY, LISTENER_KEY
from specmemo_chat.host.link import Link, LinkClosedError
from specmemo_chat.host.listener import LOOPBACK, Peer, connect
from specmemo_chat.host.place import Place, join, lacks_memory, meeting_store, speak_by
from specmemo_chat.host.requests import Load, Request
from specmemo_chat.memory.meter import ProcessMemory

# Where a collective fails, another worker has mostly ended, and worker 0 sees so by that one's link. That one is to be
# named, so an error of this worker waits for so long.
_CAUSE_S = 2.0


def follow(own: Request) -> NoReturn:
    """Serve worker 0 until it sends this worker home or is gone. `own` is how this machine loads the model: its folder
    and devices, which may be others than worker 0's."""
    link: Link | None = None
    try:
        from specmemo_chat.models.threads import import_torch

        place = Place.from_environment()
        bound_heap()
        if isinstance(own, Load) and own.plan.device.startswith("cuda"):
            os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        import_torch(own.plan.products if isinstance(own, Load) else None)
        store = meeting_store()
        port, key = json.loads(store.get(LISTENER_KEY))
        # By the name that this machine already reaches the meeting store by: worker 0 may call its machine otherwise.
        host = os.environ["MASTER_ADDR"] if place.nodes > 1 else LOOPBACK
        peer = connect(host, port, bytes.fromhex(key))
        link = peer.link
        hello = {"rank": place.rank, "world": place.world, "pid": os.getpid(), "host": socket.gethostname()}
        link.send({"event": "Hello", **hello})
        threading.Thread(target=_beat, args=(link,), name="heartbeat", daemon=True).start()
        _serve(peer, place, store, own)
    except LinkClosedError:
        print("worker 0 is gone", file=sys.stderr)
    except Exception as error:  # noqa: BLE001 - the boundary of the process: reported to worker 0 with its traceback
        traceback.print_exc()
        if link is not None:
            _report(link, error)
    sys.stderr.flush()
    os._exit(1)


def _serve(peer: Peer, place: Place, store: Any, own: Request) -> None:
    link = peer.link
    load = requests.decode(link.receive() or {})
    if not isinstance(load, Load) or not isinstance(own, Load):
        raise TypeError("the first request of every worker is Load")
    device = own.devices[place.local_rank]
    plan = replace(load.plan, target=own.plan.target, device=device)
    from specmemo_chat.models.allocator import DeviceMemory
    from specmemo_chat.models.loading import load_target
    from specmemo_chat.models.mirror import ORDER, Follower

    memory = DeviceMemory(device)
    memory.enforce(plan.cap_bytes)
    target = load_target(
        plan.target,
        dtype=plan.dtype,
        compute=plan.kv_dtype,
        device=device,
        share=place.share,
        planned_bytes=plan.terms.target_weights,
    )
    follower = Follower(target)
    link.send({"event": "Loaded"})
    speak_by(peer.here if place.node else store.get(ADDRESS_KEY).decode())
    join(place, store, device)
    while True:
        message = link.receive_bytes()
        if message is None:
            continue
        if message.startswith(ORDER):
            follower.carry_out(message)
            continue
        question = json.loads(message)
        values: dict[str, int] = {}
        match question["request"]:
            case "Measure":
                values = asdict(ProcessMemory(memory.now(), memory.peak()))
            case "ResetPeak":
                memory.reset_peak()
            case "Leave":
                os._exit(0)
            case other:
                raise ValueError(f"worker 0 sent the request {other!r}")
        link.send({"event": "Measured", "number": question["number"], "values": values})


def _report(link: Link, error: Exception) -> None:
    """Tell worker 0 why this worker ends."""
    known = error if isinstance(error, SpecmemoError) else None
    if known is None and not lacks_memory(error):
        time.sleep(_CAUSE_S)
    message = {
        "event": "Failed",
        "message": known.message if known is not None else f"{type(error).__name__}: {error}",
        "remedies": pack(known.remedies) if known is not None else ["see the worker's log"],
        "exit_code": known.exit_code if known is not None else 1,
    }
    with contextlib.suppress(LinkClosedError):
        link.send(message)


def _beat(link: Link) -> None:
    link.beat()
    # Whatever the main thread waits for, there is nobody left to wait with.
    os._exit(1)
