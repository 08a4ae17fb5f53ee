"""Products with weights on a GPU: the kernels in Triton's interpreter, what stands in for them by torch on the CPU.

The extra `kernels-test` brings Triton.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import pytest
import torch

from specmemo_chat.models.matrices import gpu, q8
from tests import kernel_checks as checks

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs the extra kernels-test")
interpreted = pytest.mark.skipif(torch.cuda.is_available(), reason="tests/gpu runs the kernels themselves here")


@dataclass(frozen=True)
class Packed:
    """Stands for the kernels' own where Triton is not installed."""

    codes: torch.Tensor
    scales: torch.Tensor | None = None


TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture(scope="module")
def products() -> ModuleType:
    from specmemo_chat.models.matrices import triton_products

    return triton_products


@needs_triton
@interpreted
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_kernels_product_is_torchs(products: ModuleType, fmt: str, dtype: str) -> None:
    for rows, parts in ((1, 1), (20, 2), (40, 1), (130, 1)):
        checks.assert_products(products, fmt, TYPES[dtype], rows, parts)


@needs_triton
@interpreted
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_row_does_not_depend_on_the_rows_beside_it(products: ModuleType, fmt: str, parts: int) -> None:
    checks.assert_rows_independent(products, fmt, torch.float16, parts)


@needs_triton
@interpreted
def test_a_vocabulary_of_an_odd_size(products: ModuleType) -> None:
    packed, values = checks.weight(products, "q8", torch.float32, "cpu", out=4_001, inputs=32)
    x = torch.randn(3, 32)
    assert torch.allclose(products.product(x, packed), x @ values.float().t(), atol=1e-5)


@needs_triton
@interpreted
def test_the_parts_of_a_sum_follow_from_the_matrix_alone(products: ModuleType) -> None:
    assert products.splits(4096, 11_008, 132) == 4
    assert products.splits(4096, 4096, 24) == 1
    assert products.splits(64, 1024, 132) == 1


@needs_triton
def test_every_number_of_tiles_runs_the_same_instructions() -> None:
    """Compiled for devices that are not here: up to 64 rows only tiles of 16 by 8 by 16, as many as there are rows."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernel_compile"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    seen = [line.split() for line in done.stdout.splitlines()]
    assert len(seen) == 6
    for (target, fmt, _, one, kind), (*same, _, four, kinds) in zip(seen[::2], seen[1::2], strict=True):
        assert same == [target, fmt]
        assert kind == kinds == ("v_mfma_f32_16x16x16_bf16" if target == "gfx942" else "mma.sync.aligned.m16n8k16")
        assert int(four) == 4 * int(one) > 0, (target, fmt)


def without_kernels(fmt: str, dtype: torch.dtype) -> tuple[gpu._GpuMatrix, torch.Tensor]:
    """A matrix on a device that has none, and its values in fp64."""
    packed, values = checks.weight(SimpleNamespace(Packed=Packed), fmt, dtype, "cpu")
    matrix = gpu._matrix(packed.codes, packed.scales, checks.given(1, dtype, "cpu")[1])
    assert isinstance(matrix, gpu.IntMatrix if fmt == "q8" else gpu.UnpackedMatrix)
    return matrix, values


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_product_without_kernels_is_torchs(fmt: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_BLOCK", 9 * 4 * checks.INPUTS)
    matrix, values = without_kernels(fmt, TYPES[dtype])
    # Two int8 rows hold an input to a part in 64,000 of the row's largest.
    tolerance = max(checks.TOLERANCE[TYPES[dtype]], 1e-4 if fmt == "q8" else 0)
    for rows in (1, 20, 130):
        x, bias, residual = checks.given(rows, TYPES[dtype], "cpu")
        expected = x.double() @ values.t() + bias.double() + residual.double()
        assert (matrix.onto(residual, x).double() - expected).norm() <= tolerance * expected.norm()
        assert torch.equal(matrix.normed(x[None], lambda x: x)[0], matrix.forward(x))


@pytest.mark.parametrize("fmt", checks.FORMATS)
def test_a_row_without_kernels_does_not_depend_on_the_rows_beside_it(fmt: str) -> None:
    matrix, _ = without_kernels(fmt, torch.bfloat16)
    x, _, residual = checks.given(64, torch.bfloat16, "cpu")
    whole = matrix.onto(residual, x)
    for rows in (1, 3, 16, 17, 40):
        assert torch.equal(matrix.onto(residual[-rows:], x[-rows:]), whole[-rows:])


def test_a_matrix_counts_what_it_holds() -> None:
    codes, scales, minima = torch.zeros((4, 32), dtype=torch.uint8), torch.ones(4, 2), torch.zeros(4, 2)
    matrix = gpu.q4(codes, scales, minima, None)
    assert (matrix.out_features, matrix.in_features, matrix.nbytes) == (4, 64, 4 * 32 + 4 * 2 * 4)
    codes = torch.zeros((4, 32), dtype=torch.int8)
    assert gpu.q8(codes, torch.ones(4), torch.zeros(4)).nbytes == 4 * 32 + 4 * 4 + 4 * 4


def test_what_is_said_where_the_kernels_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("mps")
    assert gpu.kernel_problem(device) == "there are no kernels for mps"
    # The plan says that.
    assert gpu.notes(device, "q4") == ()
    monkeypatch.setattr(gpu, "kernel_problem", lambda device: "Triton fails here: no C compiler")
    (note,) = gpu.notes(device, "q4")
    assert note == (
        "Triton fails here: no C compiler: q4 weights are unpacked at every step, which takes up to twelve times "
        "fp16's time; --dtype q8 is faster"
    )
    assert gpu.notes(device, "bf16") == ()


def test_an_embedding_and_its_output_matrix_are_held_once() -> None:
    made = q8.Q8Builder(6, 32, device=torch.device("cpu"), compute=torch.float32, make=gpu.q8)
    made.put(slice(0, 6), torch.randn(6, 32))
    table, matrix = made.tied()
    assert isinstance(matrix, gpu._GpuMatrix)
    assert isinstance(table, q8.Q8Table)
    assert table.weight is matrix.weight
