"""Weights in 8 and 4 bits: grids of least error, products that do not depend on the rows beside a row."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.memory.matrices import matrix_bytes, tied_bytes
from specmemo_chat.models.matrices import gpu, q4, q8
from specmemo_chat.models.matrices.choice import TableBuilder, builder
from specmemo_chat.models.matrices.products import q8_product
from specmemo_chat.models.matrices.q4 import Q4Builder
from specmemo_chat.models.matrices.quantise import from_groups, to_groups, to_rows
from specmemo_chat.models.norms import FusedNorm

CPU = torch.device("cpu")
PRODUCTS: dict[str, Callable[..., Any]] = {
    "w8a8": q8.IntegerProduct,
    "w8a8 coarse": functools.partial(q8.IntegerProduct, fine=False),
    "w8a7": functools.partial(q8.IntegerProduct, zero=64),
    "int8pack": q8.MixedProduct,
    "unpacked": gpu.q8,
}
COMPUTED = (torch.float32, torch.bfloat16)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def built(fmt: str, weight: torch.Tensor, compute: torch.dtype = torch.float32, **more: Any) -> Any:
    made = builder(fmt, *weight.shape, device=CPU, compute=compute, **more)
    made.put(slice(0, len(weight)), weight)
    return made.finish(None)


def built_as(name: str, weight: torch.Tensor) -> Any:
    made = q8.Q8Builder(*weight.shape, device=CPU, compute=torch.float32, make=PRODUCTS[name])
    made.put(slice(0, len(weight)), weight)
    return made.finish(None)


def error(result: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((result.float() - wanted).norm() / wanted.norm())


def values_of(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return codes.float() * scales[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_lose_less_than_by_rounding_to_their_largest_value(dtype: torch.dtype) -> None:
    weight = random(40, 300).to(dtype)
    plain = weight.float().abs().amax(1) / 127
    rounded = values_of((weight.float() / plain[:, None]).round(), plain)
    codes, scales = to_rows(weight)
    assert codes.dtype == torch.int8
    assert int(codes.min()) >= -127
    assert error(values_of(codes, scales), weight.float()) < error(rounded, weight.float())


def test_groups_lose_less_than_by_spreading_codes_over_their_range() -> None:
    weight = random(40, 320)
    grouped = weight.view(40, 10, 32)
    least = grouped.amin(-1, True)
    step = (grouped.amax(-1, True) - least) / 15
    rounded = ((grouped - least) / step).round() * step + least
    codes, scales, minima = to_groups(weight)
    assert int(codes.max()) <= 15
    assert torch.equal(scales, scales.bfloat16().float())
    assert error(from_groups(codes, scales, minima), weight) < 0.95 * error(rounded.view(weight.shape), weight)


def test_weights_on_a_4_bit_grid_stay_on_it() -> None:
    codes = torch.randint(0, 16, (50, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    codes[:, ::32], codes[:, 1::32] = 0, 15
    scales = random(50, 2).abs().add_(0.01).bfloat16().float()
    minima = random(50, 2, seed=2)
    weight = from_groups(codes, scales, minima)
    again = to_groups(weight)
    assert torch.equal(again[0], codes)
    assert torch.equal(again[1], scales)
    torch.testing.assert_close(again[2], minima, rtol=1e-4, atol=1e-4)
    made = builder("q4", 50, 64, device=CPU, compute=torch.bfloat16)
    made.put_groups(slice(0, 50), codes, scales, minima)
    x = random(3, 64).bfloat16()
    assert error(made.finish(None).forward(x), x.float() @ weight.t()) < 0.01


@pytest.mark.parametrize("origin", [0, 8])
def test_a_finer_scale_is_rounded_about_the_middle(origin: int) -> None:
    """GGUF files have scales in fp16: rounded about code 0, all of a group's values would move the same way."""
    codes = torch.randint(0, 16, (256, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    scales = random(256, 2).abs().add_(0.01).half().float()
    minima = -8 * scales
    made = Q4Builder(256, 64, device=CPU, make=lambda groups, bias: groups, origin=origin)
    made.put_groups(slice(0, 256), codes, scales, minima)
    groups: Any = made.finish()
    assert torch.equal(groups.values(), codes)
    about = groups.values().view(256, 2, 32).float() - origin
    values = (about * groups.scales.float()[..., None] + groups.offsets.float()[..., None]).view(256, 64)
    naive = from_groups(codes, scales.bfloat16().float(), minima)
    wanted = from_groups(codes, scales, minima)
    assert error(values, wanted) < 0.7 * error(naive, wanted)


@pytest.mark.parametrize("fmt", ["q8", "q4"])
def test_equal_values_and_zeros_are_kept(fmt: str) -> None:
    weight = torch.zeros(64, 64)
    weight[1] = 0.5
    x = torch.ones(2, 64)
    result = built(fmt, weight).forward(x)
    torch.testing.assert_close(result, x @ weight.t(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("fmt", ["q8", "q4"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_numbers_are_refused(fmt: str, value: float) -> None:
    weight = random(8, 64)
    weight[3, 40] = value
    with pytest.raises(ModelError, match="not numbers"):
        built(fmt, weight)


def test_4_bits_want_inputs_by_32() -> None:
    with pytest.raises(UsageError, match="groups of 32 inputs, and the model has a matrix of 64 x 100"):
        builder("q4", 64, 100, device=CPU, compute=torch.float32)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_q8_are_near(name: str) -> None:
    if name.startswith("w8a8") and q8_product().name != "w8a8":
        pytest.skip("sums of 8-bit inputs saturate on this processor")
    weight, x = random(70, 96), random(5, 96, seed=1)
    matrix = built_as(name, weight)
    assert error(matrix.forward(x), x @ weight.t()) < 0.015
    assert error(matrix.onto(random(5, 70, seed=2), x), random(5, 70, seed=2) + x @ weight.t()) < 0.015
    norm = FusedNorm(random(96, seed=3), 1e-5)
    assert error(matrix.normed(x, norm), norm(x) @ weight.t()) < 0.015


def test_fine_inputs_keep_small_channels_beside_a_large_one() -> None:
    weight, x = random(64, 256), random(4, 256, seed=1)
    x[:, 7] = 60.0
    weight[:, 7] = 0.0
    wanted = x @ weight.t()
    coarse, fine = (error(built("q8", weight, fine=fine).forward(x), wanted) for fine in (False, True))
    assert fine < 0.02
    assert coarse > 0.05 or q8_product().name != "w8a8"


@pytest.mark.parametrize("compute", COMPUTED)
@pytest.mark.parametrize("fmt", ["q8", "q4"])
@pytest.mark.parametrize("shape", [(96, 64), (200, 1536), (2001, 96)])
def test_a_row_is_the_same_bit_by_bit_beside_any_others(fmt: str, shape: tuple[int, int], compute: torch.dtype) -> None:
    weight = random(*shape)
    norm = FusedNorm(random(shape[1], seed=3).to(compute), 1e-5)
    for fine in (False, True) if fmt == "q8" else (False,):
        matrix = built(fmt, weight, compute, fine=fine)
        x, residual = random(64, shape[1], seed=1).to(compute), random(64, shape[0], seed=2).to(compute)
        whole = matrix.forward(x), matrix.onto(residual, x), matrix.normed(x, norm)
        for rows in (1, 2, 3, 5, 8, 15, 16, 31, 33, 63):
            last = slice(64 - rows, 64)
            assert torch.equal(matrix.forward(x[last]), whole[0][last]), rows
            assert torch.equal(matrix.onto(residual[last], x[last]), whole[1][last]), rows
            assert torch.equal(matrix.normed(x[last], norm), whole[2][last]), rows


@pytest.mark.parametrize("compute", COMPUTED)
def test_a_prompt_in_4_bits_is_near_a_step_and_the_same_in_any_chunks(compute: torch.dtype) -> None:
    weight, x = random(320, 2048 * 2), random(200, 2048 * 2, seed=1).to(compute)
    matrix = built("q4", weight, compute)
    with q4.reading(True):
        chunk = matrix.forward(x)
        assert torch.equal(matrix.forward(x[:60]), chunk[:60])
    step = matrix.forward(x)
    assert torch.equal(matrix.forward(x[:1]), step[:1])
    assert not torch.equal(chunk, step)
    assert error(chunk, step.float()) < 0.01


def test_the_layout_of_the_operator_is_known_here() -> None:
    assert q4._layout() is not None


@pytest.mark.parametrize("fmt", ["q8", "q4"])
def test_a_matrix_holds_what_the_plan_counts(fmt: str) -> None:
    for out, inputs in ((64, 64), (320, 576), (1001, 96)):
        held, planned = built(fmt, random(out, inputs)).nbytes, matrix_bytes(out, inputs, fmt)
        assert held <= planned
        assert held == planned or (fmt == "q8" and q8_product().name == "int8pack") or "AVX2" in _isa()
    made = TableBuilder(fmt, 1001, 96, device=CPU, compute=torch.float32)
    assert sum(part.nbytes for part in made.tied()) <= tied_bytes(1001, 96, fmt)


@pytest.mark.parametrize("fmt", ["q8", "q4"])
def test_rows_come_in_blocks_at_any_places_with_a_bias(fmt: str) -> None:
    weight, bias, x = random(100, 64), random(100, seed=1), random(3, 64, seed=2)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))
    whole = built(fmt, weight)
    made = builder(fmt, 100, 64, device=CPU, compute=torch.float32)
    for first in range(0, 100, 30):
        made.put(order[first : first + 30], weight[order[first : first + 30]])
    matrix = made.finish(bias)
    assert torch.equal(matrix.forward(x), whole.forward(x) + bias)
    assert torch.equal(matrix.forward(x[None])[0], matrix.forward(x))
    assert matrix.nbytes == whole.nbytes + bias.nbytes


def test_rows_on_a_4_bit_grid_become_rows_of_8_bits() -> None:
    codes, scales, minima = to_groups(random(64, 64))
    made = builder("q8", 64, 64, device=CPU, compute=torch.float32)
    made.put_groups(slice(0, 64), codes, scales, minima)
    x = random(3, 64, seed=1)
    assert error(made.finish(None).forward(x), x @ from_groups(codes, scales, minima).t()) < 0.015


@pytest.mark.parametrize("compute", COMPUTED)
def test_an_embedding_and_its_output_matrix_have_the_same_values(compute: torch.dtype) -> None:
    weight = random(200, 64)
    made = TableBuilder("q8", 200, 64, device=CPU, compute=compute)
    made.put(slice(0, 200), weight)
    table, matrix = made.tied()
    tokens = torch.tensor([[0, 7, 199], [5, 5, 1]])
    rows = table.forward(tokens)
    assert rows.shape == (2, 3, 64)
    assert rows.dtype == compute
    assert error(rows, weight[tokens]) < 0.01
    unit = torch.eye(64).to(compute)
    assert error(matrix.forward(unit).t()[tokens], rows.float()) < 0.01


def test_an_unpacked_q4_has_the_same_values() -> None:
    weight, x = random(64, 96), random(3, 96, seed=1)
    made = q4.Q4Builder(64, 96, device=CPU, make=lambda groups, bias: gpu.q4(*groups, bias), origin=0)
    made.put(slice(0, 64), weight)
    assert error(made.finish(None).forward(x), built("q4", weight).forward(x)) < 0.02


def test_results_that_overflow_show() -> None:
    x = random(2, 64)
    x[1, 3] = float("inf")
    norm = FusedNorm(torch.ones(64), 1e-5)
    for fmt in ("q8", "q4"):
        matrix = built(fmt, random(64, 64))
        for result in (matrix.forward(x), matrix.normed(x, norm), matrix.onto(torch.zeros(2, 64), x)):
            assert bool(result[0].isfinite().all())
            assert not bool(result[1].isfinite().any())


def _isa() -> str:
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "") + os.environ.get("ATEN_CPU_CAPABILITY", "")


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_processors_without_integer_instructions(isa: str) -> None:
    env = os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.strip() in ("w8a7", "int8pack")


if __name__ == "__main__":
    for product in PRODUCTS:
        if not product.startswith("w8a8"):
            test_products_of_q8_are_near(product)
    for precision in COMPUTED:
        for some in ("q8", "q4"):
            test_a_row_is_the_same_bit_by_bit_beside_any_others(some, (200, 1536), precision)
        test_a_prompt_in_4_bits_is_near_a_step_and_the_same_in_any_chunks(precision)
    test_the_layout_of_the_operator_is_known_here()
    print(q8_product().name)
