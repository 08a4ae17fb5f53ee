"""The planner over random shapes, caps and flags: refused or within the cap, never beside the user's request, and what
it names as a fix fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import PlanError, UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.concessions import in_precision, other_precisions
from specmemo_chat.memory.contract import NODE_BUCKETS, Plan
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import Shape, total
from specmemo_chat.memory.inverse import SMALLEST_CONTEXT, largest_chunk, largest_context, largest_tree
from specmemo_chat.memory.plan import Outcome, make_plan, refusal, solve
from specmemo_chat.memory.request import PlanRequest, auto_dtype, in_groups, in_own_precision, start
from specmemo_chat.profiles import Profile, load_profiles
from specmemo_chat.sizes import GIB, MIB, parse_size

PROFILES = load_profiles()
TITAN = PROFILES["titan-rtx-24gb"]
LLAMA = load_catalog()["llama-2-7b-chat"].spec()


def gpu(memory: int = 24 * GIB, capability: tuple[int, int] = (8, 6)) -> DeviceInfo:
    return DeviceInfo(0, "cuda", "a GPU", "u", memory, memory, memory, compute_capability=capability)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    kv_heads = draw(st.sampled_from([1, 2, 4, 8, 32]))
    heads = kv_heads * draw(st.sampled_from([1, 2, 4, 8]))
    head_dim = draw(st.sampled_from([16, 64, 80, 128]))
    return ModelSpec(
        name="random",
        location="random",
        model_type="llama",
        hidden=draw(st.integers(1, 64)) * 64,
        layers=draw(st.integers(1, 80)),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=draw(st.integers(1, 220)) * 64,
        vocab=draw(st.integers(10, 160_000)),
        max_context=draw(st.integers(64, 131_072)),
        tied_embeddings=draw(st.booleans()),
        qkv_bias=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@st.composite
def heads_of(draw: st.DrawFn, spec: ModelSpec) -> DraftShape | None:
    kind = draw(st.sampled_from(["eagle", "eagle3", "model", None]))
    if kind is None:
        return None
    return DraftShape(
        kind,
        replace(spec, layers=1, location="a head"),
        draw(st.sampled_from(["bf16", "fp32"])),
        vocab=min(32000, spec.vocab),
        target_hidden=spec.hidden,
        feature_count={"eagle": 1, "eagle3": 3, "model": 0}[kind],
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[ModelSpec, DeviceInfo, Profile, PlanRequest]:
    spec = draw(specs())
    kind = draw(st.sampled_from(["cuda", "rocm", "mps", "cpu"]))
    memory = draw(st.integers(1, 1000)) * 256 * MIB
    device = DeviceInfo(
        0, kind, "a device", "u", memory, memory, draw(st.integers(0, memory)),
        compute_capability=draw(st.sampled_from([(7, 5), (8, 0)])) if kind == "cuda" else None,
        native_bf16=draw(st.booleans()),
    )  # fmt: skip
    profile = replace(
        PROFILES[draw(st.sampled_from(sorted(PROFILES)))],
        precisions=tuple(draw(st.lists(st.sampled_from(["bf16", "q8", "q4"]), unique=True, max_size=3))),
    )
    draft = draw(st.sampled_from(["auto", "none", "ngram", "a head"]))
    head = draw(heads_of(spec)) if draft in ("auto", "a head") else None
    tp = draw(st.sampled_from([tp for tp in (1, 2, 4, 8) if spec.kv_heads % tp == 0 and spec.intermediate % tp == 0]))
    dtypes = [None, "bf16", "fp16", "fp32", "q8"] + (["q4"] if in_groups(spec, tp) else [])
    request = PlanRequest(
        max_memory=draw(st.one_of(st.just(0), st.integers(1, 2 * memory))),
        context=draw(st.one_of(st.just(0), st.integers(min(16, spec.max_context), spec.max_context))),
        dtype=draw(st.sampled_from(dtypes)),  # type: ignore[arg-type]
        draft=draft,
        rows=draw(st.integers(1, 16)),
        tp=tp,
        head=head,
        gpus_available=draw(st.sampled_from([1, 8])),
    )
    return spec, device, profile, request


def as_shape(plan: Plan, outcome: Outcome) -> Shape:
    """The shape that arena and drafters would build from the plan alone."""
    return replace(
        outcome.shape,
        dtype=plan.dtype,
        context=plan.context_tokens,
        nodes=plan.tree_nodes,
        chunk=plan.prefill_chunk,
        rows=plan.rows,
        tp=plan.tp,
        growth=plan.growth_tokens,
        allocate_at_load=plan.allocate_at_load,
    )


@settings(max_examples=300, deadline=None)
@given(cases())
def test_a_plan_is_refused_or_within_the_cap(case: tuple[ModelSpec, DeviceInfo, Profile, PlanRequest]) -> None:
    spec, device, profile, request = case
    outcome = solve(spec, device, profile, request)
    plan = outcome.plan
    assert plan.total_bytes == plan.terms.total == total(as_shape(plan, outcome))
    assert outcome.fits == (plan.total_bytes <= plan.cap_bytes)
    assert plan.cap_bytes <= device.usable_bytes
    if request.max_memory:
        assert plan.cap_bytes <= request.max_memory
    # What the user set stays.
    if request.context:
        assert plan.context_tokens == request.context
    if request.dtype:
        assert plan.dtype == request.dtype
    if request.draft == "none":
        assert (plan.drafters, plan.tree_nodes) == ((), 1)
    if request.draft == "a head" and request.head is not None:
        assert plan.drafters == ("ngram", request.head.kind)
        assert plan.draft == "a head"
    assert (plan.rows, plan.tp) == (request.rows, request.tp)
    assert plan.context_tokens <= spec.max_context
    assert outcome.fits == (outcome.smallest_fix is None)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_nothing_is_conceded_without_need(case: tuple[ModelSpec, DeviceInfo, Profile, PlanRequest]) -> None:
    spec, device, profile, request = case
    outcome = solve(spec, device, profile, request)
    aim = replace(start(spec, device, profile, request), allocate_at_load=True)
    if total(aim) <= outcome.plan.cap_bytes:
        assert outcome.fits
        assert outcome.plan.concessions == ()
    elif outcome.fits:
        assert outcome.plan.concessions
    else:
        # Refused: not even the least of everything that may be conceded fits.
        for shape in (aim, *other_precisions(aim, device, profile, request)):
            least = replace(
                shape,
                chunk=min(aim.chunk, profile.prefill_chunk_minimum),
                nodes=min(aim.nodes, profile.tree_nodes_minimum),
                draft=None if request.head_may_go or aim.draft is None else replace(aim.draft, dtype="q8"),
            )
            assert total(least) > outcome.plan.cap_bytes
        # The context is cut in the last of them only.
        shorter = aim.context if request.context else min(aim.context, profile.context_minimum)
        assert total(replace(least, context=shorter)) > outcome.plan.cap_bytes


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_smallest_fix_fits(case: tuple[ModelSpec, DeviceInfo, Profile, PlanRequest]) -> None:
    spec, device, profile, request = case
    fix = solve(spec, device, profile, request).smallest_fix
    if fix is None or not fix.startswith("--"):
        return
    flag, value = fix.split()
    if flag == "--ctx-size":
        mended = replace(request, context=int(value))
    elif flag == "--max-memory":
        mended = replace(request, max_memory=parse_size(value))
    elif flag == "--gpus":
        mended = replace(request, tp=int(value))
    else:
        assert flag == "--dtype"
        mended = replace(request, dtype=value)  # type: ignore[arg-type]
    assert solve(spec, device, profile, mended).fits


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    spec, device, profile, request = draw(cases())
    return replace(start(spec, device, profile, request), allocate_at_load=draw(st.booleans()))


@settings(max_examples=200, deadline=None)
@given(shapes(), st.integers(0, 64 * GIB))
def test_the_inverse_is_tight(shape: Shape, cap: int) -> None:
    """What is found fits, and one step more would not."""
    limit = shape.spec.max_context
    context = largest_context(shape, cap, limit)
    assert context <= limit
    if context:
        assert total(replace(shape, context=context)) <= cap
    following = max(context + 1, SMALLEST_CONTEXT)
    if following <= limit:
        assert total(replace(shape, context=following)) > cap

    chunk = largest_chunk(shape, cap, 4096)
    if chunk:
        assert total(replace(shape, chunk=chunk)) <= cap
    if chunk < 4096:
        assert total(replace(shape, chunk=chunk + 1)) > cap

    tree = largest_tree(shape, cap, 64)
    if tree:
        assert total(replace(shape, nodes=tree)) <= cap
    for nodes in NODE_BUCKETS:
        if nodes > tree:
            assert total(replace(shape, nodes=nodes)) > cap


@settings(max_examples=100, deadline=None)
@given(shapes(), st.integers(0, 64 * GIB))
def test_the_inverse_takes_exactly_what_a_plan_takes(shape: Shape, spare: int) -> None:
    """With a cap of just what the shape takes, the inverse gives back its own sizes or more."""
    cap = total(shape)
    assert largest_context(shape, cap, shape.spec.max_context) >= shape.context or shape.context < SMALLEST_CONTEXT
    assert largest_chunk(shape, cap + spare, max(4096, shape.chunk)) >= shape.chunk
    assert largest_tree(shape, cap, 64) >= shape.nodes


def test_concessions_come_in_their_order() -> None:
    """As the cap sinks: graphs go, the chunk shrinks, then the tree, the head goes, then precision and context."""
    head = DraftShape("eagle", replace(LLAMA, layers=1, location="a head"), "fp32")
    profile = replace(TITAN, precisions=("q8",))
    device = gpu()
    order: list[str] = []
    for megabytes in range(19_000, 8_000, -20):
        request = PlanRequest(max_memory=megabytes * MIB, head=head, dtype=None)
        outcome = solve(LLAMA, device, profile, request)
        if not outcome.fits:
            break
        for sentence in outcome.plan.concessions:
            kind = " ".join(word for word in sentence.split() if word.isalpha())[:9]
            if kind not in order:
                order.append(kind)
    assert order == ["steps wit", "prefill i", "draft tre", "the draft", "drafts fr", "weights i", "a context"]


def test_the_issues_own_case() -> None:
    """`plan llama-2-7b-chat --device titan-rtx-24gb --dtype fp16 --max-memory 6GiB` is refused with a fix that fits."""
    facts = TITAN.facts
    assert facts is not None
    device = described_device(facts)
    with pytest.raises(PlanError) as caught:
        make_plan(LLAMA, device, TITAN, PlanRequest(max_memory=6 * GIB, dtype="fp16"))
    assert caught.value.exit_code == 3
    assert "6.0 GiB" in caught.value.message
    fix = caught.value.remedy or ""
    assert fix.startswith("--max-memory ")
    plan = make_plan(LLAMA, device, TITAN, PlanRequest(max_memory=parse_size(fix.split()[1]), dtype="fp16"))
    # One MiB less would not do.
    less = PlanRequest(max_memory=plan.cap_bytes - MIB, dtype="fp16")
    assert not solve(LLAMA, device, TITAN, less).fits


def test_the_fixes() -> None:
    device = gpu(8 * GIB)
    # A context that the user set too long.
    assert (solve(LLAMA, gpu(16 * GIB), TITAN, PlanRequest(context=4096, dtype="bf16")).smallest_fix or "").startswith(
        "--ctx-size "
    )
    # Weights that are too large for the device at all, in the precision that the user set.
    assert solve(LLAMA, device, TITAN, PlanRequest(dtype="bf16")).smallest_fix == "--dtype q4"
    # More workers can help too.
    two = PlanRequest(tp=2, gpus_available=8, dtype="bf16")
    assert solve(LLAMA, device, TITAN, two).smallest_fix is None
    assert solve(LLAMA, gpu(3 * GIB), TITAN, replace(two, context=4096)).smallest_fix == "--gpus 8"
    assert "or a smaller model" in (solve(LLAMA, gpu(2 * GIB), TITAN).smallest_fix or "")


@pytest.mark.parametrize("name", ["rtx-4060-laptop-8gb", "rtx-3060-12gb"])
def test_a_7b_fits_small_cards_by_itself_with_its_whole_context(name: str) -> None:
    facts = PROFILES[name].facts
    assert facts is not None
    plan = make_plan(LLAMA, described_device(facts), PROFILES[name])
    assert plan.context_tokens == 4096
    assert plan.dtype == ("q4" if facts.memory == 8 * GIB else "q8")
    assert plan.concessions[0] == f"weights in {plan.dtype} instead of bf16"


def test_a_packed_file_stays_in_its_precision() -> None:
    packed = replace(LLAMA, own_precision="q8")
    assert make_plan(packed, gpu(), TITAN).dtype == "q8"
    assert make_plan(replace(LLAMA, own_precision="q4"), gpu(), TITAN).dtype == "q4"
    assert make_plan(packed, gpu(8 * GIB), TITAN).concessions[0] == "weights in q4 instead of q8"


def test_groups_of_inputs_must_be_whole() -> None:
    narrow = replace(LLAMA, intermediate=11008 + 16)
    with pytest.raises(UsageError, match="no multiples of 32"):
        solve(narrow, gpu(), TITAN, PlanRequest(dtype="q4"))
    # By itself it stops at q8.
    assert solve(narrow, gpu(6 * GIB), TITAN).plan.dtype == "q8"


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        (gpu(capability=(8, 0)), "bf16"),
        (gpu(capability=(7, 5)), "fp16"),
        (replace(gpu(), kind="rocm", compute_capability=None), "bf16"),
        (replace(gpu(), kind="mps", compute_capability=None), "fp16"),
        (replace(gpu(), kind="cpu", compute_capability=None, native_bf16=True), "bf16"),
        (replace(gpu(), kind="cpu", compute_capability=None, native_bf16=False), "fp32"),
    ],
)
def test_automatic_precision(device: DeviceInfo, dtype: str) -> None:
    assert auto_dtype(device) == dtype
    assert solve(LLAMA, replace(device, usable_bytes=64 * GIB, total_bytes=64 * GIB), TITAN).plan.dtype == dtype


def test_small_models_and_drafts_run_in_fp32_on_a_cpu() -> None:
    cpu = replace(gpu(64 * GIB), kind="cpu", compute_capability=None, native_bf16=True)
    small = replace(LLAMA, hidden=256, heads=4, kv_heads=2, head_dim=64, intermediate=736)
    assert (auto_dtype(cpu, small), auto_dtype(cpu, LLAMA)) == ("fp32", "bf16")
    assert auto_dtype(gpu(capability=(8, 0)), small) == "bf16"
    assert make_plan(small, cpu, TITAN).dtype == "fp32"
    # The user's word counts.
    assert solve(small, cpu, TITAN, PlanRequest(dtype="bf16")).plan.dtype == "bf16"
    # Where it does not fit, bf16 is a concession like others.
    tight = replace(TITAN, precisions=("bf16",))
    enough = solve(small, cpu, tight, PlanRequest(dtype="bf16", context=64, draft="none")).plan.total_bytes
    assert solve(small, cpu, tight, PlanRequest(context=64, max_memory=enough)).plan.dtype == "bf16"
    head = DraftShape("eagle3", small, "bf16", vocab=1280, target_hidden=256, feature_count=3)
    assert in_own_precision(head, cpu).dtype == "fp32"
    assert in_own_precision(head, gpu()).dtype == "bf16"
    assert in_own_precision(replace(head, spec=LLAMA), cpu).dtype == "bf16"


def test_an_allowed_precision_is_taken_last_and_said() -> None:
    plan = make_plan(LLAMA, gpu(12 * GIB), replace(TITAN, precisions=("q8",)))
    assert plan.dtype == "q8"
    assert plan.kv_dtype == "bf16"
    assert plan.concessions[0] == "weights in q8 instead of bf16"
    with pytest.raises(UsageError, match="not a precision"):
        in_precision(start(LLAMA, gpu(), TITAN, PlanRequest()), "int3", gpu())


def test_workers_on_the_processor_share_its_memory() -> None:
    cpu = DeviceInfo(0, "cpu", "a processor", "cpu", 32 * GIB, 32 * GIB, 32 * GIB, native_bf16=True)
    one, two = (make_plan(LLAMA, cpu, PROFILES["cpu"], PlanRequest(tp=tp)) for tp in (1, 2))
    assert two.cap_bytes == one.cap_bytes // 2
    asked = solve(LLAMA, cpu, PROFILES["cpu"], PlanRequest(tp=2, max_memory=20 * GIB))
    assert asked.plan.cap_bytes == 16 * GIB
    assert "to each of its workers: the cap is 16.0 GiB" in asked.notes[0]


def test_more_than_the_device_has_is_cut_and_said() -> None:
    outcome = solve(LLAMA, gpu(24 * GIB), TITAN, PlanRequest(max_memory=100 * GIB))
    assert outcome.plan.cap_bytes == 24 * GIB
    assert "--max-memory 100.0 GiB is more than a GPU can give" in outcome.notes[0]


@pytest.mark.parametrize(
    ("asked", "words", "remedy"),
    [
        (PlanRequest(context=5000), "--ctx-size 5000", "--ctx-size 4096"),
        (PlanRequest(tp=3), "over 3 workers", "--gpus 2"),
        (PlanRequest(tp=16, dtype="q4"), "over 16 workers cannot be in q4", "--dtype q8"),
    ],
)
def test_a_request_that_makes_no_sense(asked: PlanRequest, words: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        solve(LLAMA, gpu(), TITAN, asked)
    assert words in caught.value.message
    assert remedy in (caught.value.remedy or "")


def test_a_plan_crosses_to_the_worker_unchanged() -> None:
    plan = make_plan(LLAMA, gpu(), TITAN)
    assert Plan.from_json(plan.as_json()) == plan
    assert plan.generation_bytes == plan.total_bytes - plan.terms.target_weights - plan.terms.runtime


def test_a_measured_runtime_replaces_the_assumption() -> None:
    assert solve(LLAMA, gpu(), TITAN, runtimes=lambda key: GIB).plan.terms.runtime == GIB


def test_the_sentences() -> None:
    fits = solve(LLAMA, gpu(), TITAN)
    assert fits.sentence.startswith("It fits here: 15.")
    refused = solve(LLAMA, gpu(8 * GIB), TITAN, PlanRequest(tp=2, max_memory=GIB))
    assert "a worker in q4 at the least, and the cap is 1.0 GiB" in refused.sentence
    assert refusal("m", refused).message.startswith("m: it does not fit here")
