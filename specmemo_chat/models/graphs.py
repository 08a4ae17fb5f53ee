"""CUDA graphs of forwards whose shapes repeat: replayed, a step costs the host one call instead of a thousand.

A forward of a 7B model in eager mode launches several hundred kernels from Python, which takes longer than the kernels
themselves. Node counts come from few buckets and views from few steps, so the same shapes come again: the first time a
shape runs eagerly, the second time it is captured, from then on it is replayed.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from specmemo_chat.memory.graphs import GRAPHS_KEPT

Tensors = tuple[torch.Tensor, ...]
Call = Callable[[Tensors], Sequence[torch.Tensor]]


@dataclass
class _Recorded:
    """One shape: its graph (None: seen once, not captured yet), and the parts of the buffers that it reads and
    writes."""

    graph: torch.cuda.CUDAGraph | None = None
    inputs: Tensors = ()
    outputs: Tensors = ()


class GraphPool:
    """Graphs on one CUDA device that share their inputs, scratch and outputs.

    They never run at the same time, and what a run returns is only good until the next one. `inputs` and `outputs` are
    the most bytes of each, of which a call may use only the first few; where a shape needs more it stays eager. `kept`
    graphs stand at the most: the one that was not used for longest goes first.
    """

    def __init__(
        self, device: torch.device, inputs: Sequence[int], outputs: Sequence[int], kept: int = GRAPHS_KEPT
    ) -> None:
        self._device = device
        self._kept = kept
        self._known: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._stamp: Hashable = None
        self._inputs = [torch.zeros(size, dtype=torch.uint8, device=device) for size in inputs]
        self._outputs = [torch.zeros(size, dtype=torch.uint8, device=device) for size in outputs]
        self._recorder = _Recorder(device)
        # Why nothing is captured any more; "" while it is.
        self.problem = ""
        # How many runs were no replays: what they took says nothing about the next ones.
        self.prepared = 0

    @property
    def captured(self) -> int:
        """How many graphs there are."""
        return sum(recorded.graph is not None for recorded in self._known.values())

    @torch.inference_mode()
    def run(self, key: Hashable, stamp: Hashable, call: Call, inputs: Tensors) -> Sequence[torch.Tensor]:
        """`call(inputs)`, which depends on nothing but `key` and what stands in `inputs`; the shapes of these belong to
        the key. `inputs` may be on the host. All graphs are forgotten where `stamp` is not the last one: memory that
        they name has moved."""
        if stamp != self._stamp:
            self._known.clear()
            self._stamp = stamp
        recorded = self._known.get(key)
        if recorded is None:
            if not self.problem:
                self.prepared += 1
                self._known[key] = _Recorded()
                if len(self._known) > self._kept:
                    self._known.popitem(last=False)
            return call(tuple(given.to(self._device) for given in inputs))
        self._known.move_to_end(key)
        if recorded.graph is None:
            if self.problem or not _fit(self._inputs, inputs):
                return call(tuple(given.to(self._device) for given in inputs))
            self.prepared += 1
            recorded.inputs = _parts(self._inputs, inputs)
        for own, given in zip(recorded.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        if recorded.graph is None and not self._capture(recorded, call):
            return call(recorded.inputs)
        assert recorded.graph is not None
        recorded.graph.replay()
        return recorded.outputs

    def _capture(self, recorded: _Recorded, call: Call) -> bool:
        """Capture one shape; False where that cannot be done, for which there is `problem` then."""

        def made() -> None:
            out = call(recorded.inputs)
            if not _fit(self._outputs, out):
                raise RuntimeError("its results are larger than planned")
            recorded.outputs = _parts(self._outputs, out)
            for own, result in zip(recorded.outputs, out, strict=True):
                own.copy_(result)

        try:
            recorded.graph = self._recorder.record(made)
        except RuntimeError as error:
            # Out of memory included: without graphs a step needs less of it.
            self.problem = f"steps run without CUDA graphs: {str(error).splitlines()[0]}"
            self._known.clear()
            return False
        return True


class _Recorder:
    """Captures calls on a stream of its own; their scratch comes from one pool."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        # What cuBLAS keeps for a stream must be there before a capture.
        with torch.cuda.stream(self._stream):
            ones = torch.ones(16, 16, device=device)
            torch.mm(ones, ones)
        # A pool ends with the last of its graphs, and what it held would be lost to the next: this one stays.
        self._first = self.record(lambda: torch.add(ones, 1))

    def record(self, call: Callable[[], object]) -> torch.cuda.CUDAGraph:
        """The graph of what `call` launches; nothing runs. Raises RuntimeError where that cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        with torch.cuda.stream(self._stream):
            # Not by torch.cuda.graph: that gives all cached memory back to the device at every capture.
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                call()
            finally:
                graph.capture_end()
        return graph


def _fit(buffers: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor]) -> bool:
    return all(tensor.nbytes <= buffer.nbytes for tensor, buffer in zip(tensors, buffers, strict=False))


def _parts(buffers: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor]) -> Tensors:
    """The first bytes of the buffers, each in shape and precision of one of `tensors`."""
    return tuple(
        buffer[: math.prod(tensor.shape) * tensor.element_size()].view(tensor.dtype).view(tensor.shape)
        for tensor, buffer in zip(tensors, buffers, strict=False)
    )
