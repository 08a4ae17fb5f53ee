"""The optimiser of the bundled model and of draft heads: Muon for the layers' matrices, AdamW for embedding, lm_head
and norms.

Muon (Jordan et al. 2024) orthogonalises the momentum of each matrix by a Newton-Schulz iteration.
torch's own always computes that in bf16; here it is done in fp32 unless the caller runs it under autocast.
"""

from __future__ import annotations

from typing import Any

import torch

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """`matrix` [m, n] with its singular values moved to about 1; fp32."""
    a, b, c = _COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: torch.Tensor = x.T if matrix.shape[0] > matrix.shape[1] else x
    return result


class Muon:
    """Both groups of a module's parameters, each with its learning rate."""

    def __init__(self, model: torch.nn.Module, matrix_rate: float = 0.02, other_rate: float = 3e-3) -> None:
        named = dict(model.named_parameters())
        self._matrices = {
            name: p for name, p in named.items() if p.ndim == 2 and "embed" not in name and "lm_head" not in name
        }
        others = [p for name, p in named.items() if name not in self._matrices]
        self._matrix_rate = matrix_rate
        self._other_rate = other_rate
        self._adam = torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
        self._momentum = {name: torch.zeros_like(p) for name, p in self._matrices.items()}

    @torch.no_grad()
    def step(self, scale: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        """Apply the gradients and clear them. `scale` multiplies both learning rates (the schedule)."""
        for group in self._adam.param_groups:
            group["lr"] = self._other_rate * scale
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        rate = self._matrix_rate * scale
        for name, weight in self._matrices.items():
            gradient = weight.grad
            if gradient is None:
                continue
            average = self._momentum[name].mul_(momentum).add_(gradient)
            update = orthogonalised(gradient.add(average, alpha=momentum))
            weight.mul_(1 - rate * weight_decay)
            weight.add_(update, alpha=-rate * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5)
            weight.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {"adam": self._adam.state_dict(), "momentum": self._momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._adam.load_state_dict(state["adam"])
        for name, tensor in state["momentum"].items():
            self._momentum[name].copy_(tensor)
