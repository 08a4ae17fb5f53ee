"""What the Triton kernels share: the precision that tiles are multiplied in and how far loads run ahead."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

# TRITON_INTERPRET=1: kernels run in numpy on a CPU, whose products of bf16 tiles are wrong.
INTERPRETED: bool = triton.knobs.runtime.interpret
# Tiles in flight; AMD's compiler has its own pipeline, of two.
STAGES = 2 if torch.version.hip else 4

_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


def dot_type(dtype: torch.dtype) -> Any:
    """The precision that tiles of `dtype` are multiplied in; sums are fp32."""
    return tl.float32 if INTERPRETED else _TYPES[dtype]
