"""One model on several workers: the first decides, the others carry out the same forwards on their shares.

Worker 0 runs the conversation, the engine and the drafters. Whatever touches the shared-out target (a forward over an
arena, the embedding or the output layer called by a draft head) it first sends to the others as an *order*: tokens,
positions, slots and mask before each forward, and in front of them what happened to the arena since the last one (which
tree nodes were kept, which row was cut or released). So the workers cannot disagree, whatever a drafter or a controller
decides by its clock; a collective that only some workers enter would hang for ever.
"""

from __future__ import annotations

import json
import struct
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, Protocol

import torch
from torch import nn

from specmemo_chat.kv.arena import KVArena
from specmemo_chat.kv.recording import RecordingArena, replay
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.hooks import FeatureTap
from specmemo_chat.models.packing import Packing, Run
from specmemo_chat.models.target import Target

# The first byte of an order, which no JSON message begins with.
ORDER = b"O"
_DTYPES = {str(dtype): dtype for dtype in (torch.int32, torch.int64, torch.float32, torch.bfloat16, torch.float16)}


class Followers(Protocol):
    """How worker 0 reaches the others."""

    def send(self, order: bytes) -> None:
        """Give `order` to every other worker."""
        ...

    def lost(self, error: BaseException) -> NoReturn:
        """A forward that the others have entered failed here: the group cannot go on."""
        ...


class LeadingTarget(Target):
    """The target on worker 0: like a whole one, but its forwards run on every worker."""

    def __init__(self, target: Target, world: int, followers: Followers) -> None:
        super().__init__(target.model, target.eos_ids, tp=world, notes=target.notes)
        self._followers = followers
        self._together = False
        self._events: list[list[Any]] = []
        self._numbers: weakref.WeakKeyDictionary[KVArena, int] = weakref.WeakKeyDictionary()
        self._made = 0
        # A draft head calls these two on their own.
        self.model.set_input_embeddings(_Led(self.model.get_input_embeddings(), "embed", self))
        self.model.set_output_embeddings(_Led(self.model.get_output_embeddings(), "unembed", self))

    def new_arena(self, *sizes: int, **named: Any) -> KVArena:
        """An arena of this worker's share; the others make theirs now."""
        arena = super().new_arena(*sizes, **named, kind=RecordingArena)
        assert isinstance(arena, RecordingArena)
        number, self._made = self._made, self._made + 1
        self._events.append([number, "make", list(sizes), named])
        self._numbers[arena] = number
        weakref.finalize(arena, self._events.append, [number, "drop"])
        # Without a way back to the arena, which would keep it alive.
        arena.note = partial(self._happened, number)
        self._order("arena")
        return arena

    def _happened(self, number: int, name: str, args: tuple[Any, ...]) -> None:
        # What happens inside a forward happens in every worker's.
        if not self._together:
            self._events.append([number, name, list(args)])

    def forward(
        self,
        arena: KVArena,
        batch: Batch,
        *,
        logits: int | list[int] | None = None,
        tap: FeatureTap | None = None,
    ) -> torch.Tensor:
        """See Target.forward."""
        # What may be refused is refused before the others begin.
        arena.window(batch.rows, batch.slots, batch.view, batch.stored)
        arena.reserve(batch.view)
        columns, packed = _packed_mask(batch.mask.cpu())
        packing = batch.packing
        self._order(
            "forward",
            torch.stack((batch.tokens, batch.positions)).to("cpu", torch.int32),
            batch.slots.to("cpu", torch.int32),
            packed,
            arena=self._numbers[arena],
            rows=list(batch.rows),
            view=batch.view,
            prompt=batch.prompt,
            logits=logits,
            counts=list(packing.counts) if packing is not None else [],
            padding=packing.padding if packing is not None else 0,
            runs=[run.told for run in packing.runs] if packing is not None else [],
            least=self.least,
            mask=list(batch.mask.shape),
            columns=columns,
        )
        with self.together():
            return super().forward(arena, batch, logits=logits, tap=tap)

    def lead(self, name: str, values: torch.Tensor) -> None:
        """Have the others call their embedding or output layer on `values`, unless they are in a forward already."""
        if not self._together:
            self._order(name, values.detach().cpu())

    @contextmanager
    def together(self) -> Iterator[None]:
        """What every worker does now; an error in it is the end of the group."""
        before, self._together = self._together, True
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the others wait in a collective
            self._followers.lost(error)
        finally:
            self._together = before

    def _order(self, name: str, *tensors: torch.Tensor, **values: Any) -> None:
        events = self._events.copy()
        # Not replaced: the finalizers of arenas hold this very list.
        del self._events[: len(events)]
        self._followers.send(encode({"order": name, "events": events, **values}, tensors))


class Follower:
    """A worker other than the first: carries out orders on its share."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._arenas: dict[int, KVArena] = {}

    def carry_out(self, order: bytes) -> None:
        """Do what worker 0 is doing; the results are worker 0's."""
        values, tensors = decode(order)
        for number, name, *args in values["events"]:
            self._happened(number, name, args)
        target = self._target
        match values["order"]:
            case "forward":
                self._forward(values, *tensors)
            case "embed":
                target.model.get_input_embeddings()(tensors[0].to(target.device))
            case "unembed":
                target.model.get_output_embeddings()(tensors[0].to(target.device))

    def _happened(self, number: int, name: str, args: list[Any]) -> None:
        if name == "make":
            sizes, named = args
            self._arenas[number] = self._target.new_arena(*sizes, **named)
        elif name == "drop":
            del self._arenas[number]
        else:
            replay(self._arenas[number], name, args[0])

    def _forward(
        self, values: dict[str, Any], integers: torch.Tensor, written: torch.Tensor, packed: torch.Tensor
    ) -> None:
        target = self._target
        tokens, positions = integers.to(target.device, torch.int64).unbind(0)
        slots = written.to(target.device, torch.int64)
        mask = _unpacked_mask(values["mask"], values["columns"], packed).to(target.device)
        packing = None
        if values["counts"]:
            runs = [Run.of(told, target.device) for told in values["runs"]]
            packing = Packing.of(values["counts"], target.device, values["padding"], runs, values["least"])
        batch = Batch(values["rows"], tokens, positions, slots, mask, values["view"], packing, values["prompt"])
        target.forward(self._arenas[values["arena"]], batch, logits=values["logits"])


class _Led(nn.Module):
    """The embedding or the output layer on worker 0."""

    def __init__(self, layer: Any, name: str, target: LeadingTarget) -> None:
        super().__init__()
        self.layer = layer
        self._name = name
        self._target = weakref.ref(target)

    @property
    def weight(self) -> torch.Tensor:
        """This worker's share."""
        weight: torch.Tensor = self.layer.weight
        return weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        target = self._target()
        if target is None:
            raise RuntimeError("the target of this layer is gone")
        target.lead(self._name, values)
        with target.together(), torch.inference_mode():
            out: torch.Tensor = self.layer(values)
        return out


def encode(values: dict[str, Any], tensors: Sequence[torch.Tensor]) -> bytes:
    """An order as bytes: a header in JSON, then the tensors (on the CPU) one after the other."""
    described = [[str(tensor.dtype), list(tensor.shape)] for tensor in tensors]
    header = json.dumps({**values, "tensors": described}).encode()
    blobs = [tensor.contiguous().view(torch.uint8).numpy().tobytes() for tensor in tensors]
    return b"".join((ORDER, struct.pack("<I", len(header)), header, *blobs))


def decode(order: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """What `encode` was given."""
    start = len(ORDER) + 4
    (length,) = struct.unpack_from("<I", order, len(ORDER))
    values: dict[str, Any] = json.loads(order[start : start + length])
    at = start + length
    tensors = []
    for name, shape in values.pop("tensors"):
        dtype = torch.uint8 if name == str(torch.uint8) else _DTYPES[name]
        count = 1
        for size in shape:
            count *= size
        if count:
            tensors.append(
                torch.frombuffer(bytearray(order[at : at + count * dtype.itemsize]), dtype=dtype).view(shape)
            )
        else:
            tensors.append(torch.empty(shape, dtype=dtype))
        at += count * dtype.itemsize
    return values, tensors


def _packed_mask(mask: torch.Tensor) -> tuple[list[int], torch.Tensor]:
    """The columns of a mask that are neither all true in front nor all false behind, eight to a byte: a long context
    costs the order nothing."""
    flat = mask.flatten(0, -2)
    mixed = (~flat.all(0)).nonzero()
    seen = flat.any(0).nonzero()
    last = int(seen[-1]) + 1 if len(seen) else 0
    first = min(int(mixed[0]) if len(mixed) else last, last)
    bits = flat[:, first:last].flatten()
    bits = torch.cat((bits, bits.new_zeros(-len(bits) % 8))).view(-1, 8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8)
    return [first, last], (bits * weights).sum(1, dtype=torch.uint8)


def _unpacked_mask(shape: list[int], columns: list[int], packed: torch.Tensor) -> torch.Tensor:
    """The mask that `_packed_mask` was given."""
    first, last = columns
    mask = torch.zeros(shape, dtype=torch.bool)
    flat = mask.view(-1, shape[-1])
    flat[:, :first] = True
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    flat[:, first:last] = bits.flatten()[: flat.shape[0] * (last - first)].view(flat.shape[0], -1).bool()
    return mask
