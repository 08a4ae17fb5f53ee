"""The optimiser of training."""

from __future__ import annotations

import pytest
import torch

from specmemo_chat.distill.training.optimizer import orthogonalised


@pytest.mark.parametrize("shape", [(64, 32), (32, 64), (48, 48)])
def test_orthogonalised_moves_singular_values_to_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape), generator=generator))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape), generator=generator))
    # Singular values over a factor of 30.
    values = torch.logspace(-1.5, 0, min(shape))
    result = orthogonalised(3.0 * left @ torch.diag(values) @ right.T)
    assert result.shape == shape
    kept = left.T @ result @ right
    torch.testing.assert_close(kept, torch.diag(kept.diagonal()), atol=1e-4, rtol=0)
    assert kept.diagonal().min() > 0.65
    assert kept.diagonal().max() < 1.3
