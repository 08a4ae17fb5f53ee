"""Our own module of Llama-like models gives the logits of transformers' classes, by fused and packed products."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from specmemo_chat.engine.runner import Runner
from specmemo_chat.models.llama.config import FAMILIES
from specmemo_chat.models.matrices.dense import FusedLinear, PackedLinear, dense
from specmemo_chat.models.norms import FusedNorm
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.tree import DraftTree
from tests.models import DEVICE, generate, own, prompts, random_model, target_of

TREE = DraftTree.from_paths(5, [[6, 7], [8, 9, 10], [11]], 8)


def scores(target: Target, prompt: list[int]) -> torch.Tensor:
    """The logits [8, vocab] of a tree after `prompt`."""
    runner = Runner(target, target.new_arena(1, 128, 32, 8))
    with torch.inference_mode():
        runner.prefill(0, prompt)
        return runner.score([0], [TREE], 8).logits[: len(TREE)].float()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_logits_are_those_of_the_plain_modules(model_type: str) -> None:
    model = random_model(model_type, **({"attention_bias": True} if model_type == "llama" else {}))
    fused = own(model)
    prompt = prompts(1, seed=3)[0]
    torch.testing.assert_close(scores(target_of(fused), prompt), scores(target_of(model), prompt), atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_bf16_logits_are_as_near_to_fp32_as_plain_bf16_ones(model_type: str) -> None:
    exact = random_model(model_type, initializer_range=0.05)
    plain = copy.deepcopy(exact).to(torch.bfloat16)
    fused = own(plain)
    # Packed only on a CPU, where bf16 products are native.
    packed = isinstance(fused.model.layers[0].mlp.down_proj, PackedLinear)
    assert packed == (DEVICE == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    prompt = prompts(1, seed=4)[0]
    wanted = scores(target_of(exact), prompt)
    error_plain = (scores(target_of(plain), prompt) - wanted).abs().max()
    error_fused = (scores(target_of(fused), prompt) - wanted).abs().max()
    assert error_fused <= 2 * error_plain + 1e-3


@pytest.mark.parametrize("tied", [False, True])
def test_logits_of_weights_in_8_and_4_bits_are_near(tied: bool) -> None:
    model = random_model("llama", tie_word_embeddings=tied)
    prompt = prompts(1, seed=4)[0]
    exact = scores(target_of(own(model)), prompt)
    errors = [(scores(target_of(own(model, fmt)), prompt) - exact).norm() / exact.norm() for fmt in ("q8", "q4")]
    assert errors[0] < 0.15
    assert errors[0] < errors[1]


NATIVE_BF16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="weights are packed only where bf16 products are native"
)
ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        pytest.param(torch.float32, 1e-5, marks=ONEDNN),
        pytest.param(torch.bfloat16, 0.02, marks=(ONEDNN, NATIVE_BF16)),
    ],
)
def test_a_packed_layer_multiplies_like_a_linear_one(dtype: torch.dtype, tolerance: float, bias: bool) -> None:
    linear = torch.nn.Linear(96, 56, bias=bias).to(dtype)
    packed = PackedLinear(linear.weight.detach(), linear.bias.detach() if bias else None)
    for rows in (1, 3, 17):
        x = torch.randn(2, rows, 96).to(dtype)
        torch.testing.assert_close(packed(x), linear(x), atol=tolerance, rtol=tolerance)
        residual = torch.randn(rows, 56).to(dtype)
        torch.testing.assert_close(
            packed.onto(residual, x[0]), residual + linear(x[0]), atol=2 * tolerance, rtol=tolerance
        )


@ONEDNN
def test_large_fp32_weights_are_packed_and_small_ones_are_not() -> None:
    assert isinstance(dense(torch.zeros(1024, 1024), None), PackedLinear)
    assert isinstance(dense(torch.zeros(1024, 1000), None), FusedLinear)


@pytest.mark.parametrize("outputs", [1024, 1000])
def test_small_wide_weights_are_laid_out_anew_and_say_the_same(outputs: int) -> None:
    weight, x = torch.randn(outputs, 64), torch.randn(3, 64)
    layer = dense(weight, None)
    assert torch.equal(layer.weight, weight)
    # Rows of a page are moved apart.
    assert layer.weight.stride() == (1, 1040 if outputs == 1024 else 1000)
    torch.testing.assert_close(layer(x), x @ weight.t())


def test_greedy_text_is_that_of_generate() -> None:
    for model_type in FAMILIES:
        model: Any = random_model(model_type)
        fused = own(model)
        for prompt in prompts(3, seed=5):
            model.set_attn_implementation("sdpa")
            expected = model.generate(
                torch.tensor([prompt], device=DEVICE),
                attention_mask=torch.ones(1, len(prompt), device=DEVICE),
                max_new_tokens=30,
                do_sample=False,
            )[0, len(prompt) :].tolist()
            assert generate(target_of(fused), prompt, GenerationSettings(max_new_tokens=30)) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tied_output_weights_are_not_copied(dtype: torch.dtype) -> None:
    model = random_model("llama", tie_word_embeddings=True, vocab_size=100).to(dtype)
    before = model.lm_head.weight.clone()
    tied: Any = own(model)
    assert tied.lm_head.weight is tied.get_input_embeddings().weight
    assert torch.equal(tied.lm_head.weight, before)
    assert tied.lm_head(torch.zeros(1, 2, 64, dtype=dtype, device=DEVICE)).shape == (1, 2, 100)


def test_a_product_is_added_onto_the_residual() -> None:
    torch.manual_seed(1)
    # The last two are multiplied by oneDNN.
    for outputs, inputs in ((96, 64), (64, 96), (64, 64), (2048, 520), (520, 2048)):
        for bias in (None, torch.randn(outputs)):
            weight = torch.randn(outputs, inputs) / inputs**0.5
            for ordered in (weight, weight.t().contiguous().t()):
                layer = FusedLinear(torch.nn.Parameter(ordered, requires_grad=False), bias)
                for rows in (1, 5):
                    x, residual = torch.randn(rows, inputs), torch.randn(rows, outputs)
                    wanted = torch.nn.functional.linear(x, weight, bias)
                    torch.testing.assert_close(layer(x[None]), wanted[None], atol=1e-4, rtol=1e-5)
                    torch.testing.assert_close(layer.onto(residual, x), residual + wanted, atol=1e-4, rtol=1e-5)


def test_the_norm_is_that_of_the_definition() -> None:
    torch.manual_seed(2)
    weight = torch.rand(48) + 0.5
    # Small vectors too, of which the epsilon is a part that counts, and none at all.
    for scale in (1.0, 1e-3, 0.0):
        x = scale * torch.randn(2, 3, 48)
        wanted = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight
        torch.testing.assert_close(FusedNorm(weight, 1e-5)(x), wanted)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "dynamic", "factor": 2.0},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_every_kind_of_rotary_embedding_is_kept(rope: dict[str, Any]) -> None:
    model = random_model("llama", rope_parameters={"rope_theta": 10000.0, **rope})
    fused = own(model)
    prompt = prompts(1, seed=6)[0]
    torch.testing.assert_close(scores(target_of(fused), prompt), scores(target_of(model), prompt), atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_hooks_on_layers_and_norm_see_the_same_states(model_type: str) -> None:
    model = random_model(model_type)
    fused = own(model)
    found = []
    for each in (model, fused):
        target = target_of(each)
        runner = Runner(target, target.new_arena(1, 128, 32, 8), (0, 1, target.layers))
        runner.prefill(0, prompts(1, seed=7)[0])
        states = runner.take_features()
        assert states is not None
        found.append(states)
    torch.testing.assert_close(found[1], found[0], atol=2e-4, rtol=1e-5)
