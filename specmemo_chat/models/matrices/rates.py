"""How fast this processor multiplies by weights, measured in a fraction of a second by
`python -m specmemo_chat.models.matrices.rates NATIVE_BF16`, a process of its own because the terminal's never imports
torch. It prints one object:

    {"bandwidth": bytes/s, "compute": operations/s, "product": how q8 is multiplied,
     "products": {precision: [[rows, seconds a value], ..]}}
"""

from __future__ import annotations

import json
import sys
import time

import torch

from specmemo_chat.device.cpu_speed import measure_bandwidth, measure_compute
from specmemo_chat.device.probe import cpu_threads, probe_cpu
from specmemo_chat.memory.matrices import matrix_bytes
from specmemo_chat.models.matrices.base import Matrix
from specmemo_chat.models.matrices.choice import builder
from specmemo_chat.models.matrices.products import q8_product
from specmemo_chat.models.threads import threads_each

# So many matrices of this side are multiplied by in turns: together they are more than most caches hold.
SIDE, COPIES = 2048, 4
ROWS = (1, 2, 4, 8, 16, 32, 64, 256)
# A precision that takes so long for one turn is not measured with more rows.
LONGEST_S = 0.1
REPEATS = 3


def measure(precisions: tuple[str, ...], compute: torch.dtype, side: int = SIDE) -> dict[str, list[list[float]]]:
    """Seconds a value by precision and rows on one thread, for inputs in `compute` (of fp32 weights: fp32)."""
    torch.set_num_threads(1)
    found: dict[str, list[list[float]]] = {}
    with torch.inference_mode():
        for precision in precisions:
            dtype = torch.float32 if precision == "fp32" else torch.bfloat16 if precision == "bf16" else compute
            matrices = [_random(precision, dtype, side, seed) for seed in range(COPIES)]
            found[precision] = points = []
            for rows in ROWS:
                seconds = _fastest(matrices, torch.randn((rows, side), dtype=torch.float32).to(dtype))
                points.append([rows, seconds / (COPIES * side * side)])
                if seconds > LONGEST_S:
                    break
            # More rows take no less: where they did, something else was in the caches during the others.
            for before, after in zip(points[-2::-1], points[:0:-1], strict=True):
                before[1] = min(before[1], after[1])
    return found


def on_threads(seconds: float, precision: str, threads: int, bandwidth: int) -> float:
    """Seconds a value where so many threads share a product that takes one of them `seconds`: together they read no
    faster than the memory's `bandwidth`."""
    return max(seconds / threads, matrix_bytes(SIDE, SIDE, precision) / SIDE**2 / bandwidth)


def _random(precision: str, dtype: torch.dtype, side: int, seed: int) -> Matrix:
    made = builder(precision, side, side, device=torch.device("cpu"), compute=dtype)
    generator = torch.Generator().manual_seed(seed)
    if precision == "q4":
        # On its grid already: scales need no search.
        codes = torch.randint(0, 16, (side, side), dtype=torch.uint8, generator=generator)
        scales = torch.full((side, side // 32), 0.01)
        made.put_groups(slice(0, side), codes, scales, -8 * scales)
    else:
        made.put(slice(0, side), torch.randn((side, side), generator=generator))
    return made.finish(None)


def _fastest(matrices: list[Matrix], x: torch.Tensor) -> float:
    """Seconds of the fastest turn, of this thread's own time: what else the processor does is not in it."""
    times = []
    for turn in range(1 + REPEATS):
        begin = time.thread_time()
        for matrix in matrices:
            matrix.forward(x)
        times.append(time.thread_time() - begin)
        if turn and times[-1] > LONGEST_S:
            break
    return max(min(times[1:]), 1e-9)


def main(native_bf16: bool) -> None:
    """Measure with the threads that a chat has, and print."""
    threads = threads_each(1)
    bandwidth = measure_bandwidth(cpu_threads(), probe_cpu().free_bytes)
    products = {
        precision: [[rows, on_threads(seconds, precision, threads, bandwidth)] for rows, seconds in points]
        for precision, points in measure(
            ("fp32", "bf16", "q8", "q4"), torch.bfloat16 if native_bf16 else torch.float32
        ).items()
    }
    values = {"bandwidth": bandwidth, "compute": measure_compute(), "product": q8_product().said, "products": products}
    print(json.dumps(values))


if __name__ == "__main__":
    main(sys.argv[1] == "True")
