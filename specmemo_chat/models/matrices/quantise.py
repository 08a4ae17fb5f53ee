"""Weights onto a grid of 8 or 4 bits by least squared error."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from specmemo_chat.errors import Flag, ModelError, UsageError
from specmemo_chat.memory.matrices import FITTED_VALUES, GROUP

# Shares of a row's or group's range that its codes are first spread over; what lies outside is cut off.
_ROW_RANGES = (1.0, 0.95, 0.9)
_GROUP_RANGES = (1.0, 0.93, 0.86)
# The least step: a row or group of equal values has none.
_LEAST = 1e-30


def to_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`weight` [n, in] as int8 codes [n, in] of -127 to 127 and one fp32 scale a row [n]: code · scale.

    Raises ModelError where a value is not finite.
    """
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scales = torch.empty(len(weight), device=weight.device)
    for rows in _blocks(weight):
        _fit_rows(weight[rows].float(), codes[rows], scales[rows])
    return codes, scales


def _fit_rows(x: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor) -> None:
    largest = _finite(x.abs().amax(1, True))
    gained = torch.full_like(largest, -1.0)
    step = torch.ones_like(largest)
    scratch = torch.empty_like(x)
    for part in _ROW_RANGES:
        tried = largest.mul(part / 127).clamp_min_(_LEAST)
        torch.div(x, tried, out=scratch).round_().clamp_(-127, 127)
        along = torch.linalg.vecdot(x, scratch).unsqueeze_(1)
        size = torch.linalg.vecdot(scratch, scratch).unsqueeze_(1).clamp_min_(1)
        # With the best scale for these codes, along / size, the squared error falls by so much.
        gain = along * along / size
        better = gain > gained
        gained, step = torch.where(better, gain, gained), torch.where(better, tried, step)
    torch.div(x, step, out=scratch).round_().clamp_(-127, 127)
    size = torch.linalg.vecdot(scratch, scratch).clamp_min_(1)
    torch.div(torch.linalg.vecdot(x, scratch), size, out=scales)
    codes.copy_(scratch)


def to_groups(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`weight` [n, in] as uint8 codes [n, in] of 0 to 15 and a scale (that bf16 holds) and minimum in fp32 for each
    group [n, in / 32]: code · scale + minimum.

    Raises ModelError where a value is not finite, UsageError where `in` does not divide by 32.
    """
    n, inputs = weight.shape
    check_groups(n, inputs)
    codes = torch.empty(weight.shape, dtype=torch.uint8, device=weight.device)
    scales = torch.empty((n, inputs // GROUP), device=weight.device)
    minima = torch.empty_like(scales)
    for rows in _blocks(weight):
        fitted = _fit_groups(weight[rows].float().reshape(-1, GROUP))
        codes[rows] = fitted[0].view(-1, inputs)
        scales[rows], minima[rows] = fitted[1].view(-1, inputs // GROUP), fitted[2].view(-1, inputs // GROUP)
    return codes, scales, minima


def _fit_groups(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of groups [n, 32] the codes in fp32, scales [n, 1] and minima [n, 1]."""
    least, largest = x.amin(1, True), x.amax(1, True)
    middle = _finite((least + largest).mul_(0.5))
    spread = (largest - least).clamp_min_(_LEAST)
    # About their middle the sums keep their digits.
    x = x - middle
    total = x.sum(1, True)
    codes, scratch = torch.empty_like(x), torch.empty_like(x)
    gained = torch.full_like(spread, -1.0)
    scale, minimum = torch.ones_like(spread), torch.zeros_like(spread)
    for part in _GROUP_RANGES:
        torch.mul(x, (15 / part) / spread, out=codes).add_(7.5).round_().clamp_(0, 15)
        size = codes.sum(1, True)
        along = torch.mul(codes, x, out=scratch).sum(1, True).addcmul_(size, total, value=-1 / GROUP)
        varied = torch.mul(codes, codes, out=scratch).sum(1, True).addcmul_(size, size, value=-1 / GROUP)
        # The line through codes and values; by it the squared error falls by along · fitted.
        fitted = along / varied.clamp_min_(_LEAST)
        gain = along * fitted
        better = gain > gained
        gained, scale = torch.where(better, gain, gained), torch.where(better, fitted, scale)
        minimum = torch.where(better, (total - size * fitted) / GROUP, minimum)
    scale = scale.clamp_min_(_LEAST).bfloat16().float()
    torch.sub(x, minimum, out=codes).div_(scale).round_().clamp_(0, 15)
    minimum = (total - codes.sum(1, True) * scale).div_(GROUP).add_(middle)
    return codes, scale, minimum


def from_groups(codes: torch.Tensor, scales: torch.Tensor, minima: torch.Tensor) -> torch.Tensor:
    """The values [n, in] in fp32 of codes [n, in] with the scales and minima of their groups [n, in / 32]."""
    values = codes.view(*scales.shape, GROUP).float()
    return values.mul_(scales[..., None]).add_(minima[..., None]).view(codes.shape)


def check_groups(out: int, inputs: int) -> None:
    """Raise UsageError for a matrix whose inputs do not come in groups of 32."""
    if inputs % GROUP:
        raise UsageError(
            f"4 bits are for groups of {GROUP} inputs, and the model has a matrix of {out:,} x {inputs:,}",
            Flag("--dtype", "q8"),
        )


def _finite(extremes: torch.Tensor) -> torch.Tensor:
    """Of the rows' extremes; a value that is not finite shows in them."""
    if not bool(extremes.isfinite().all()):
        raise ModelError("the weights hold values that are not numbers (NaN or infinity)", "download the model again")
    return extremes


def _blocks(weight: torch.Tensor) -> Iterator[slice]:
    step = max(1, FITTED_VALUES["cpu" if weight.device.type == "cpu" else "gpu"] // weight.shape[1])
    return (slice(first, first + step) for first in range(0, len(weight), step))
