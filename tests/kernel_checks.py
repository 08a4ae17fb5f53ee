"""What the Triton kernels must give on any device: unit tests run it in Triton's interpreter, tests/gpu on a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

# Neither is a multiple of a kernel's tile; inputs are one of 32.
OUT, INPUTS = 100, 160
FORMATS = ("dense", "q8", "q4")
# Relative errors of results that are rounded once. The interpreter cuts values short in bf16.
TOLERANCE = {torch.float32: 1e-6, torch.float16: 5e-4, torch.bfloat16: 8e-3}


def weight(products: Any, fmt: str, dtype: torch.dtype, device: str, out: int = OUT, inputs: int = INPUTS) -> Any:
    """A random weight in a format as `Packed`, and its values in fp64."""
    drawn = torch.Generator().manual_seed(out + inputs)
    if fmt == "dense":
        values = torch.randn(out, inputs, generator=drawn).to(dtype)
        return products.Packed(values.to(device)), values.double()
    if fmt == "q8":
        codes = torch.randint(-127, 128, (out, inputs), dtype=torch.int8, generator=drawn)
        scales = torch.rand(out, generator=drawn) / 127
        return products.Packed(codes.to(device), scales.to(device)), codes.double() * scales.double()[:, None]
    codes = torch.randint(0, 16, (out, inputs // 32, 2, 16), dtype=torch.uint8, generator=drawn)
    scales, minima = torch.rand(2, out, inputs // 32, generator=drawn).bfloat16()
    minima = -8 * minima
    values = codes.double() * scales.double()[..., None, None] + minima.double()[..., None, None]
    halves = torch.stack((scales, minima), -1).view(torch.int32)[..., 0]
    pairs = (codes[:, :, 0] | codes[:, :, 1] << 4).flatten(1)
    # The kernel multiplies by values of the computation's precision.
    return products.Packed(pairs.to(device), halves.to(device)), values.flatten(1).to(dtype).double()


def given(rows: int, dtype: torch.dtype, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, bias and residual."""
    drawn = torch.Generator().manual_seed(0)
    shapes = ((OUT,), (rows, INPUTS), (rows, OUT))
    bias, x, residual = (torch.randn(shape, generator=drawn).to(device, dtype) for shape in shapes)
    return x, bias, residual


def assert_products(products: Any, fmt: str, dtype: torch.dtype, rows: int, parts: int, device: str = "cpu") -> None:
    """A product with bias and residual is torch's of the unpacked weight in fp64; one without either too."""
    packed, values = weight(products, fmt, dtype, device)
    x, bias, residual = given(rows, dtype, device)
    whole = products.product(x, replace(packed, bias=bias, splits=parts), residual)
    bare = products.product(x, replace(packed, splits=parts))
    right = functional.linear(x.double().cpu(), values)
    for got, expected in ((bare, right), (whole, right + bias.double().cpu() + residual.double().cpu())):
        assert got.dtype == dtype
        assert (got.double().cpu() - expected).norm() <= TOLERANCE[dtype] * expected.norm()


def assert_rows_independent(
    products: Any, fmt: str, dtype: torch.dtype, parts: int, device: str = "cpu", most: int = 64
) -> None:
    """Any number of rows, in any order, gives each row the same bits."""
    packed, _ = weight(products, fmt, dtype, device)
    x, bias, residual = given(most, dtype, device)
    packed = replace(packed, bias=bias, splits=parts)
    whole = products.product(x, packed, residual)
    for rows in (1, 15, 17, 40):
        order = torch.randperm(most, generator=torch.Generator().manual_seed(rows))[:rows].to(device)
        assert torch.equal(products.product(x[order], packed, residual[order]), whole[order]), rows
