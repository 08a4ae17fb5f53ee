"""Compiles the kernels for GPUs that are not here and counts the matrix instructions: `python -m tests.kernel_compile`.

A line each: target, kernel, tiles of rows, instructions, their kinds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from specmemo_chat.models.matrices import triton_products as products

TARGETS = {
    "sm80": GPUTarget("cuda", 80, 32),
    "sm90": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
# Whole instructions of tensor cores, by their first parts.
INSTRUCTION = re.compile(r"mma\.sync\.aligned\.\w+|wgmma\.mma_async|tcgen05\.mma|v_mfma_\w+")
CODES = {"dense": (torch.bfloat16, "*bf16"), "q8": (torch.int8, "*i8"), "q4": (torch.uint8, "*u8")}


def compiled(kernel: Any, types: dict[str, str | None], constants: dict[str, Any], target: str, options: Any) -> str:
    """The assembler text of a kernel. `types` of its tensors (None: not given) and integers; these and addresses are
    multiples of 16."""
    names = [parameter.name for parameter in kernel.params]
    constants = {**constants, **{name: None for name, kind in types.items() if kind is None}}
    even = [at for at, name in enumerate(names) if name not in {*constants, "rows", "steps"}]
    source = ASTSource(
        kernel,
        {name: "constexpr" if name in constants else types[name] for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        {(at,): [["tt.divisibility", 16]] for at in even},
    )
    if target.startswith("gfx"):
        options = options | {"num_stages": 2}
    made = triton.compile(source, target=TARGETS[target], options=options)
    return str(made.asm["amdgcn" if target.startswith("gfx") else "ptx"])


def product(fmt: str, rows: int, target: str) -> str:
    """The product of so many rows in bf16 with a residual."""
    codes, pointer = CODES[fmt]
    tile, options = products.tiling(rows, torch.bfloat16, codes)
    types = {"x": "*bf16", "codes": pointer, "groups": "*i32" if fmt == "q4" else None, "bias": None,
             "factors": "*fp32" if fmt == "q8" else None, "residual": "*bf16", "out": "*bf16",
             "rows": "i32", "outs": "i32", "inputs": "i32", "steps": "i32"}  # fmt: skip
    return compiled(products._multiply, types, tile | {"DOT": tl.bfloat16}, target, options)


def report(target: str, name: str, tiles: int, text: str) -> None:
    found = INSTRUCTION.findall(text)
    print(target, name, tiles, len(found), *sorted(set(found)))


def main(targets: Sequence[str]) -> None:
    for target in targets:
        fmt = "q8" if target == "sm80" else "q4"
        for tiles in (1, 4):
            report(target, fmt, tiles, product(fmt, 16 * tiles, target))


if __name__ == "__main__":
    main(("sm80", "sm90", "gfx942"))
