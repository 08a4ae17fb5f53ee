"""Products that take more than their result: what oneDNN keeps of them is bound, and none copies a whole matrix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from benchmarks.prediction import SHAPES, allocated_peak
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.memory.footprint import Shape, footprint
from specmemo_chat.memory.products import PRODUCT_BYTES
from specmemo_chat.models.batch import Batch
from specmemo_chat.models.library import FlatLinear
from specmemo_chat.models.matrices.dense import FusedLinear
from specmemo_chat.models.prepared import fill_products
from tests.models import own, random_model, target_of

# Products of one matrix with 90 numbers of rows. A worker that keeps 24 of them has what those take, and not 50 MB.
SCRIPT = """
import json
from specmemo_chat.device.heap import bound_heap, trim_heap
from specmemo_chat.memory import meter
from specmemo_chat.models.threads import import_torch

bound_heap()
import_torch(24)
import torch
from specmemo_chat.models.matrices.dense import PackedLinear, dense

layer, x = dense(torch.randn(2048, 512), None), torch.randn(90, 512)
assert isinstance(layer, PackedLinear)

def taken():
    trim_heap()
    return meter.rss_bytes()

for rows in range(1, 31):
    layer(x[:rows])
full = taken()
for rows in range(31, 91):
    layer(x[:rows])
print(json.dumps(taken() - full))
"""


def test_what_stays_prepared_is_bound() -> None:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("torch has no oneDNN")
    environment = {key: value for key, value in os.environ.items() if not key.endswith("CACHE_CAPACITY")}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(result.stdout) < 16 * PRODUCT_BYTES


@pytest.mark.parametrize("kind", ["own", "library"])
def test_a_prefill_in_bf16_copies_no_output_matrix(kind: str) -> None:
    model: Any = random_model("llama", vocab_size=16000, tie_word_embeddings=True).to(torch.bfloat16)
    if kind == "own":
        model = own(model)
    else:
        model.lm_head.__class__ = FlatLinear
    target = target_of(model)
    arena = target.new_arena(1, 64, 64, 0)
    tokens, slots = torch.arange(5, 25)[None], torch.arange(20)[None]
    mask = torch.ones(20, 64, dtype=torch.bool).tril()[None, None]

    def prefill() -> None:
        target.forward(arena, Batch([0], tokens, slots, slots, mask, 64), logits=1)

    prefill()
    matrix: torch.Tensor = model.get_input_embeddings().weight
    assert allocated_peak(prefill) < matrix.nbytes / 2


def test_the_plan_counts_what_stays_prepared_until_it_is_measured() -> None:
    spec = spec_from_config("m", "m", SHAPES["110M"])
    shape = Shape(spec, "bf16", "bf16", context=1024, nodes=32, chunk=256, runtime=1000, threads=2)
    # Five matrices, twelve node counts and four chunks.
    assert shape.products == 5 * (12 + 4)
    assert footprint(shape).runtime == 1000 + shape.products * PRODUCT_BYTES
    assert footprint(Shape(**{**vars(shape), "measured": True})).runtime == 1000
    # In fp32 those of 4 MiB and more: gate with up, down, and the output matrix.
    in_fp32 = Shape(**{**vars(shape), "dtype": "fp32", "compute": "fp32"})
    assert in_fp32.products == 3 * 16
    assert Shape(**{**vars(shape), "threads": 0}).products == 0


def test_products_are_prepared_up_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model = own(random_model("llama", tie_word_embeddings=False))
    ran: list[tuple[int, int, int]] = []

    def run(module: Any, x: torch.Tensor) -> None:
        ran.append((module.in_features, module.out_features, len(x)))

    fill_products(model, 12)
    for module in model.modules():
        if isinstance(module, FusedLinear):
            module.prepares = True
    monkeypatch.setattr(FusedLinear, "forward", run)
    fill_products(model, 12)
    assert 12 <= len(ran) < 12 + 5
    assert len(set(ran)) == len(ran)
