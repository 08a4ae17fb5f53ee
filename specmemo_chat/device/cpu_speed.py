"""How fast this processor reads memory and multiplies, measured in a fraction of a second with numpy. Torch is not
needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from specmemo_chat.sizes import MIB

# Larger than most processors' caches.
BLOCK = 96 * MIB
SIDE = 768
REPEATS = 3


def measure_bandwidth(threads: int, free_bytes: int) -> int:
    """Bytes/s of a copy on `threads` threads, reads and writes counted (the COPY of the STREAM benchmark). Each
    thread's own time counts, so that what else the processor does is not in it. It takes at most a quarter of
    `free_bytes`."""
    import numpy

    block = min(BLOCK, free_bytes // 8)
    sources = [numpy.ones(max(1, block // threads // 8)) for _ in range(threads)]
    targets = [numpy.zeros_like(source) for source in sources]
    size = 2 * sources[0].nbytes

    def copy(pair: tuple[Any, Any]) -> float:
        begin = time.thread_time()
        # numpy gives up the interpreter's lock while it copies.
        numpy.copyto(*pair)
        return size / max(time.thread_time() - begin, 1e-9)

    with ThreadPoolExecutor(threads) as pool:
        pairs = list(zip(targets, sources, strict=True))
        return int(max(sum(pool.map(copy, pairs)) for _ in range(1 + REPEATS)))


def measure_compute() -> int:
    """Operations/s of a matrix product in fp32, by numpy's BLAS."""
    import numpy

    matrix = numpy.ones((SIDE, SIDE), dtype=numpy.float32)
    return int(2 * SIDE**3 / _fastest(lambda: matrix @ matrix))


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few runs: whatever else the machine does only adds to them."""
    work()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return max(min(times), 1e-9)
