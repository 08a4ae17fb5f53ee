"""RMSNorm as each device does it fastest, with the results of transformers' own."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class GpuNorm(nn.Module):
    """RMSNorm over the last dimension, in fp32 inside, by torch's one kernel for it. `weight` + `offset` is [..,
    width]."""

    def __init__(self, weight: torch.Tensor, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        # A sum is rounded by nobody.
        self._weight = weight.float() + offset if offset else weight
        self._dtype = weight.dtype
        self._eps = eps
        self.device = weight.device
        self.nbytes = self._weight.nbytes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., width] to the same."""
        weight = self._weight
        if weight.dtype != x.dtype:
            return functional.rms_norm(x.float(), weight.shape, weight, self._eps).to(self._dtype)
        if weight.dim() == 1:
            return functional.rms_norm(x, weight.shape, weight, self._eps)
        return functional.rms_norm(x, weight.shape[-1:], None, self._eps) * weight


class FusedNorm(nn.Module):
    """RMSNorm over the last dimension, in fp32 inside: x / sqrt(mean(x²) + eps) · weight, by the vector's own norm:
    x / hypot(|x|, least) · scale. `weight` + `offset` is [.., width]."""

    def __init__(self, weight: torch.Tensor, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        width = weight.shape[-1]
        self._dtype = weight.dtype
        self.device = weight.device
        self.scale = (weight.float() + offset) * math.sqrt(width)
        self.nbytes = self.scale.nbytes
        self.least = torch.tensor(math.sqrt(width * eps))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., width] to the same."""
        if self._dtype == torch.float32:
            return x.div(torch.hypot(torch.linalg.vector_norm(x, 2, -1, True), self.least)).mul_(self.scale)
        # A copy to begin with: sums over values of less precision take several calls for each.
        exact = x.float()
        exact.div_(torch.hypot(torch.linalg.vector_norm(exact, 2, -1, True), self.least)).mul_(self.scale)
        return exact.to(self._dtype)


def norm_of(weight: torch.Tensor, eps: float, offset: float = 0.0) -> FusedNorm | GpuNorm:
    """The fastest RMSNorm known for the device of `weight` [.., width]; `offset` is added to the weight."""
    return (FusedNorm if weight.device.type == "cpu" else GpuNorm)(weight, eps, offset)
