"""DeviceInfo: one device before anything is loaded onto it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cuda", "rocm", "mps", "cpu"]


@dataclass(frozen=True)
class DeviceInfo:
    """One device. Bytes are integers; `usable_bytes` is what a plan may spend (free memory less the reserve that
    the platform needs, a container's limit counted). `memory_bandwidth` is bytes/s, 0 where unknown.
    `threads` is how many of a CPU's processors this process may use, 0 of a GPU's.
    `compute_capability` is (major, minor) on CUDA, else None. `native_bf16`: the device multiplies bf16 natively;
    `tiles`: a CPU does it in tiles (AMX)."""

    index: int
    kind: DeviceKind
    name: str
    uuid: str
    total_bytes: int
    free_bytes: int
    usable_bytes: int
    driver: str = ""
    compute_capability: tuple[int, int] | None = None
    memory_bandwidth: int = 0
    native_bf16: bool = False
    threads: int = 0
    tiles: bool = False

    @property
    def multiplies_packed(self) -> bool:
        """There are kernels for weights of 8 and 4 bits: on a processor, on NVIDIA from sm80 on, on ROCm."""
        return self.kind in ("cpu", "rocm") or (self.compute_capability or (0, 0)) >= (8, 0)

    def unpacks(self, precision: str) -> bool:
        """Weights in `precision`, "q8" or "q4", are unpacked for every product; q8 on CUDA is not: torch multiplies
        int8 there."""
        return not self.multiplies_packed and (precision == "q4" or (precision == "q8" and self.kind != "cuda"))

    @property
    def torch_name(self) -> str:
        """The name torch knows the device by: "cpu", "mps", "cuda:1" (ROCm builds say cuda too)."""
        return f"cuda:{self.index}" if self.kind in ("cuda", "rocm") else self.kind
