"""The footprint against calculations by hand: every number below is worked out from the shapes, not by the program."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.memory.activations import Forward, layers_peak
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import (
    Shape,
    footprint,
    grown,
    growth_transient,
    next_capacity,
    runtime_bytes,
    total,
)
from specmemo_chat.memory.matrices import matrix_bytes, packing_bytes, table_bytes
from specmemo_chat.memory.terms import Terms
from specmemo_chat.memory.weights import draft_weights, target_weights
from specmemo_chat.sizes import MIB
from specmemo_chat.terminal import plan_render
from tests.models import random_model, target_of


def spec(name: str) -> ModelSpec:
    return load_catalog()[name].spec()


def shape(model: ModelSpec, **changes: object) -> Shape:
    """4,096 tokens of context, trees of 64 nodes, chunks of 512, in fp16."""
    base = Shape(model, "fp16", "fp16", context=4096, nodes=64, chunk=512, runtime=640 * MIB)
    return replace(base, **changes)  # type: ignore[arg-type]


# Per layer: attention matrices, MLP matrices, norms; then embedding, output head, last norm.
LLAMA_2_7B = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008 + 2 * 4096) + 2 * 32000 * 4096 + 4096
LLAMA_31_8B = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096) + 2 * 128256 * 4096 + 4096
# Explicit head_dim: 16 heads of 128 are wider than the hidden size of 1,024. Norms of queries and keys. Tied.
QWEN3_06B = 28 * (1024 * 2048 * 2 + 2 * 1024 * 1024 + 3 * 1024 * 3072 + 2 * 1024 + 2 * 128) + 151936 * 1024 + 1024
# Biases of the q, k and v projections. Tied.
QWEN25_05B = 24 * (2 * 896 * 896 + 2 * 896 * 128 + 896 + 2 * 128 + 3 * 896 * 4864 + 2 * 896) + 151936 * 896 + 896


@pytest.mark.parametrize(
    ("name", "parameters", "kv_per_token"),
    [
        # 2 · layers · kv_heads · head_dim · 2 bytes.
        ("llama-2-7b-chat", LLAMA_2_7B, 524_288),
        ("llama-3.1-8b", LLAMA_31_8B, 2 * 32 * 8 * 128 * 2),
        ("qwen3-0.6b", QWEN3_06B, 2 * 28 * 8 * 128 * 2),
        ("qwen2.5-0.5b-instruct", QWEN25_05B, 2 * 24 * 2 * 64 * 2),
    ],
)
def test_weights_and_kv_by_hand(name: str, parameters: int, kv_per_token: int) -> None:
    model = spec(name)
    assert model.parameters == parameters
    assert target_weights(model, "fp16", "fp16") == 2 * parameters
    assert target_weights(model, "fp32", "fp32") == 4 * parameters
    assert model.kv_bytes_per_token(2) == kv_per_token
    assert footprint(shape(model)).target_kv == 4096 * kv_per_token


def test_llama_2_7b_whole() -> None:
    """All terms of the plan for a Titan RTX, by hand; issue 3 allows 2 %."""
    terms = footprint(shape(spec("llama-2-7b-chat")))
    assert terms.target_weights == 13_476_831_232
    capacity = 4352  # 4,096 + 64, rounded up to steps of 256
    by_hand = {
        "target_weights": 13_476_831_232,
        "draft_weights": 0,
        "target_kv": 524_288 * 4096,
        "tree_slots": 524_288 * (capacity - 4096),
        "draft_kv": 0,
        # Token ids; the mask as truth values and as fp16, 4,096 slots; rotary tables, embeddings and the residual; and
        # in the MLP the layer's input, gate, up and their product.
        "prefill_activations": 512 * (5 * 8 + 4096 * 3 + 2 * (2 * 128 + 2 * 4096) + 2 * (4096 + 3 * 11008)),
        # A tree of 64 nodes, the logits after them and the growth of a layer come when that is free again.
        "verify_activations": 0,
        "logits": 0,
        "draft_features": 0,
        "growth_transient": 0,
        "runtime": 640 * MIB,
    }
    assert terms == Terms(**by_hand)
    assert total(shape(spec("llama-2-7b-chat"))) == sum(by_hand.values())


def test_terms_have_fixed_names_in_a_fixed_order_and_words_for_people() -> None:
    names = [
        "target_weights", "draft_weights", "target_kv", "tree_slots", "draft_kv", "prefill_activations",
        "verify_activations", "logits", "draft_features", "growth_transient", "runtime",
    ]  # fmt: skip
    assert [name for name, _ in footprint(shape(spec("qwen3-0.6b")))] == list(plan_render.TERMS) == names
    terms = Terms(**{name: 1 << at for at, name in enumerate(names)})
    assert [size for _, _, size in plan_render.term_rows(terms, color=False)] == list(terms.as_json().values())
    assert terms.total == terms.generation + terms.weights + terms.runtime == (1 << len(names)) - 1
    assert [label for label, _, _ in plan_render.term_rows(Terms(logits=1), color=True)] == ["logits"]


def test_a_plan_crosses_the_link_with_its_terms_and_a_misspelt_one_is_an_error() -> None:
    plan = Plan("m", "m", "cpu", "fp32", 100, 0, Terms(target_weights=5, logits=3), node_buckets=(1, 2))
    values = json.loads(json.dumps(plan.as_json()))
    assert Plan.from_json(values) == plan
    values["terms"]["target_wieghts"] = values["terms"].pop("target_weights")
    with pytest.raises(TypeError, match="target_wieghts"):
        Plan.from_json(values)


def test_tied_embeddings_are_counted_once() -> None:
    model = spec("qwen3-0.6b")
    untied = replace(model, tied_embeddings=False)
    assert target_weights(untied, "fp16", "fp16") - target_weights(model, "fp16", "fp16") == 2 * 151936 * 1024


def test_rows_multiply_what_each_row_has() -> None:
    one, ten = shape(spec("llama-3.1-8b")), shape(spec("llama-3.1-8b"), rows=10)
    before, after = dict(footprint(one)), dict(footprint(ten))
    for term in ("target_kv", "tree_slots"):
        assert after[term] == 10 * before[term], term
    for term in ("target_weights", "prefill_activations", "runtime"):
        assert after[term] == before[term], term
    assert growth_transient(ten) == 10 * growth_transient(one)


def test_moments_that_never_come_together_are_not_added() -> None:
    """A tree of 64 nodes over a vocabulary of 128,256 words needs more than a chunk of 32 tokens: its logits count
    what is beyond that chunk, and together they are the larger of the two."""
    terms = footprint(shape(spec("llama-3.1-8b"), chunk=32))
    vocab, text = 128256, 4096 + 64
    # fp16 logits after every node; for 32 nodes at once scores, their sorted copy, indices and sums in fp32, and the
    # text before each.
    drawn = 64 * (vocab * 2 + 64) + 32 * (8 * text + 26 * vocab)
    moments = ("prefill_activations", "verify_activations", "logits", "growth_transient")
    assert sum(dict(terms)[moment] for moment in moments) == drawn
    assert 0 < terms.prefill_activations < terms.logits < drawn


def test_tiles_pack_the_keys_and_values_of_one_layer() -> None:
    small = replace(spec("llama-2-7b-chat"), hidden=128, heads=4, kv_heads=2, head_dim=80, intermediate=64)
    plain = Forward(small, "bf16", 2, tokens=32, rows=3, view=1024, fused=True, threads=2)
    packed = replace(plain, tiles=True)
    # Keys in their width and values in whole blocks of 64; and a block of 512 keys for each thread.
    assert layers_peak(packed) - layers_peak(plain) == 2 * (3 * 2 * 1024 * (80 + 128) + 2 * 512 * 80)
    # Not for fewer queries than 64 (two heads share a key), and not in fp32.
    assert layers_peak(replace(packed, tokens=31)) == layers_peak(replace(plain, tokens=31))
    exact = replace(plain, dtype="fp32", value_bytes=4)
    assert layers_peak(replace(exact, tiles=True)) == layers_peak(exact)


def test_an_arena_that_is_whole_at_load_never_grows() -> None:
    assert footprint(shape(spec("llama-2-7b-chat"), allocate_at_load=True)).growth_transient == 0


def test_70b_on_eight_workers() -> None:
    """17.2 GB a rank: everything is shared out but the norms."""
    model = spec("llama-2-70b-chat")
    norms = 80 * 2 * 8192 + 8192
    rank = 2 * ((model.parameters - norms) // 8 + norms)
    assert target_weights(model, "bf16", "bf16", tp=8) == rank
    assert rank == pytest.approx(17.2e9, rel=0.005)
    assert model.kv_bytes_per_token(2, 8) == 2 * 80 * 1 * 128 * 2


def test_a_tied_head_is_shared_out_with_the_embedding() -> None:
    model = spec("llama-3.2-1b")
    norms = 16 * 2 * 2048 + 2048
    assert target_weights(model, "bf16", "bf16", tp=8) == 2 * ((model.parameters - norms) // 8 + norms)


def test_packed_matrices() -> None:
    assert matrix_bytes(11008, 4096, "q8", "cuda:0") == 11008 * 4096 + 4 * 11008
    # oneDNN's tiles of 64 by 64, and a sum an output.
    assert matrix_bytes(100, 100, "q8") == 128 * 128 + 4 * 128 + 4 * 100
    # Half a byte a value, scale and minimum in bf16 for 32 values.
    assert matrix_bytes(11008, 4096, "q4") == 11008 * 4096 // 2 + 4 * 11008 * 4096 // 32
    # On a processor outputs come in multiples of 64.
    assert matrix_bytes(33, 64, "q4") == 64 * 32 + 4 * 64 * 2
    assert matrix_bytes(33, 64, "q4", "cuda:0") == 33 * 32 + 4 * 33 * 2
    assert table_bytes(32000, 64, "q4") == table_bytes(32000, 64, "q8") == 32000 * (64 + 4)


def test_a_packed_model_keeps_norms_and_has_its_ends_in_q8() -> None:
    model = spec("llama-2-7b-chat")
    kept = 2 * (32 * 2 * 4096 + 4096)
    ends = 2 * 32000 * (4096 + 4)
    values = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    scales = 32 * 4 * (4 * 4096 + 2 * 11008 + 4096)
    assert target_weights(model, "q8", "fp16") == kept + ends + values + scales
    assert target_weights(model, "q4", "fp16") == kept + ends + values // 2 + values // 8


def test_a_tied_output_matrix_is_a_copy_where_it_is_packed_for_a_processor() -> None:
    model = spec("qwen3-0.6b")
    on_gpu, on_cpu = (target_weights(model, "q4", "bf16", cpu=cpu) for cpu in (False, True))
    # Its codes, scales and sums.
    assert on_cpu - on_gpu == 151936 * (1024 + 8)
    assert target_weights(model, "bf16", "bf16", cpu=True) == target_weights(model, "bf16", "bf16")


def test_packing_the_largest_matrix_counts_where_it_is_the_most() -> None:
    """An output matrix of 128,256 words is packed beside all weights, before there is any arena."""
    small = shape(spec("llama-3.1-8b"), dtype="q8", context=64, chunk=32, nodes=1, growth=64, threads=2)
    terms = footprint(small)
    assert terms.generation == packing_bytes(128256, 4096, "q8") == 128256 * 4096
    # A whole context takes more, and it comes when the weights are packed.
    assert footprint(replace(small, context=8192, allocate_at_load=True)).growth_transient == 0


def test_an_eagle_head_by_hand() -> None:
    """EAGLE-1 for Llama-2-7B: fc with its bias, one layer without its first norm; no embedding, no output
    head, but the map of the vocabulary."""
    model = spec("llama-2-7b-chat")
    head = DraftShape(
        "eagle", replace(model, layers=1), "fp16", vocab=32000, target_hidden=4096, feature_count=1, fc_bias=True
    )
    parameters = 2 * 4096 * 4096 + 4096 + 4 * 4096 * 4096 + 3 * 4096 * 11008 + 4096
    assert draft_weights(head) == 2 * parameters + 8 * 32000
    with_head, without = footprint(shape(model, draft=head)), footprint(shape(model))
    # 4,096 tokens and 7 levels of 8 nodes, rounded up to steps of 256.
    assert with_head.draft_kv == 2 * 1 * 4096 * 2 * 4352
    # One hidden state for each token of the largest forward, and for 64 that wait.
    assert with_head.draft_features == 4096 * 2 * (512 + 64)
    assert without.draft_kv == without.draft_features == 0


def test_an_eagle_3_head_by_hand() -> None:
    """EAGLE-3 for Llama-3.1-8B: fc of three features, q/k/v of twice the width, four norms, an output head
    of 32,000 words with its map."""
    model = replace(spec("llama-3.1-8b"), layers=1)
    head = DraftShape("eagle3", model, "bf16", vocab=32000, target_hidden=4096, feature_count=3)
    attention = 2 * 4096 * (4096 + 2 * 1024) + 4096 * 4096
    parameters = 3 * 4096 * 4096 + attention + 3 * 4096 * 14336 + 4 * 4096 + 32000 * 4096
    assert draft_weights(head) == 2 * parameters + 8 * 32000
    terms = footprint(shape(spec("llama-3.1-8b"), draft=head))
    assert terms.draft_features == 3 * 4096 * 2 * (512 + 64)


def test_the_larger_of_two_arenas_decides_the_transient() -> None:
    """Qwen2.5-7B has 4 key-value heads of 128; a head with 32 of them has the larger layer."""
    head = DraftShape("eagle", replace(spec("llama-2-7b-chat"), layers=1), "fp16")
    # Old keys (or values) beside the new: at most all but a step of 64.
    assert growth_transient(shape(spec("qwen2.5-7b-instruct"), draft=head)) == 4096 * 2 * (4352 - 64)


def test_a_draft_model_is_counted_whole() -> None:
    small = spec("qwen2.5-0.5b-instruct")
    assert draft_weights(DraftShape("model", small, "bf16")) == 2 * QWEN25_05B
    terms = footprint(shape(spec("qwen2.5-7b-instruct"), draft=DraftShape("model", small, "bf16")))
    assert terms.draft_kv == 2 * 24 * 2 * 64 * 2 * 4352
    assert terms.draft_features == 0


def test_the_runtime_is_assumed_until_it_is_measured() -> None:
    assert runtime_bytes("cuda", 32000) == 640 * MIB
    # On the processor the tokenizer is in the same memory.
    assert runtime_bytes("cpu", 32000) == 420 * MIB + 768 * 32000


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": True}, {"attention_bias": True}], ids=str)
def test_what_transformers_builds_takes_the_bytes_that_were_planned(
    architecture: str, changes: dict[str, bool]
) -> None:
    model = random_model(architecture, **changes)
    config = {**model.config.to_dict(), "model_type": architecture}
    described = spec_from_config("m", "m", config)
    # A tied weight is one parameter.
    assert target_weights(described, "fp32", "fp32") == sum(parameter.nbytes for parameter in model.parameters())


def test_the_arena_takes_the_bytes_that_were_planned(llama: Any) -> None:
    described = spec_from_config("m", "m", {**llama.config.to_dict(), "model_type": "llama"})
    planned = Shape(described, "fp32", "fp32", context=300, nodes=16, chunk=64, runtime=0, rows=3, growth=32)
    arena = target_of(llama).new_arena(3, 300, 32, 16, allocate_at_load=True)
    terms = footprint(planned)
    assert terms.target_kv + terms.tree_slots == arena.nbytes
    # While it grows, the keys or the values of one layer are there twice, the old ones a step smaller at least.
    assert growth_transient(planned) == arena.nbytes // described.layers // 2 * (320 - 32) // 320


@pytest.mark.parametrize("growth", [16, 64, 256])
def test_an_arena_grows_by_an_eighth_in_few_copies(growth: int) -> None:
    copied, capacity = 0, growth
    for tokens in range(1, 20_001):
        if tokens > capacity:
            before, capacity = capacity, next_capacity(capacity, tokens, growth)
            copied += before
            assert capacity - before <= max(64, before // 8 + 64)
            assert capacity % min(growth, 64) == 0
    # Not more than an eighth and a step beyond what is needed, and every token is copied nine times on the average.
    assert capacity <= 20_000 * 9 / 8 + 64
    assert copied <= 9 * 20_000


def test_a_grown_shape_has_the_arena_of_its_conversation() -> None:
    whole = shape(spec("llama-2-7b-chat"))
    assert (grown(whole, 600).capacity, grown(whole, 100).capacity) == (704, 256)
    assert 4064 <= grown(whole, 4000).capacity <= whole.capacity
    assert total(grown(whole, 600)) < total(whole)
