"""Drafts with weights in a plan: their bytes against the heads that are really built, and what --draft may name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from specmemo_chat.catalog import cache
from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.catalog.cache import draft_at_hand, repository_folder
from specmemo_chat.catalog.config import spec_from_config
from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.drafters.eagle_config import parse, read_config
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.kv.arena import KVArena
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.footprint import Shape, draft_kv
from specmemo_chat.memory.weights import draft_weights
from specmemo_chat.profiles import load_profiles
from specmemo_chat.setup import planning
from specmemo_chat.setup.draft import find_draft, published_head
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.sizes import MIB
from specmemo_chat.speculation.tree import draft_scratch
from tests.heads import write_eagle, write_eagle3
from tests.models import VOCABULARY, random_model, target_of

WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("eagle", {}),
    ("eagle", {"bias": False}),
    ("eagle", {"qkv_bias": True}),
    ("eagle3", {}),
    ("eagle3", {"draft_vocab": 40}),
    ("eagle3", {"head_dim": 32}),
    ("eagle3", {"layout": "speculators", "draft_vocab": 40}),
    ("eagle3", {"norm_before_fc": True}),
    ("eagle3", {"fc_norm": True}),
    ("eagle3", {"layers": (0, 1)}),
]


def write(folder: Path, kind: str, options: dict[str, Any]) -> Path:
    (write_eagle if kind == "eagle" else write_eagle3)(folder, **options)
    return folder


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("kind", "options"), WRITTEN, ids=[f"{kind} {options}" for kind, options in WRITTEN])
def test_a_head_takes_the_bytes_that_were_planned(
    tmp_path: Path, llama: Any, kind: str, options: dict[str, Any], dtype: Any
) -> None:
    folder = write(tmp_path / "head", kind, options)
    shape = head_shape(read_config(folder), str(folder), dtype)
    assert (shape.kind, shape.spec.location) == (kind, str(folder))
    assert draft_weights(shape) == load_head(folder, target_of(llama), dtype).nbytes


def test_a_head_narrower_than_its_target_has_its_own_embedding(tmp_path: Path) -> None:
    folder = write(tmp_path / "head", "eagle3", {"target_hidden": 96})
    target = target_of(random_model("llama", hidden_size=96))
    shape = head_shape(read_config(folder), str(folder), "fp32")
    assert shape.own_embedding
    assert draft_weights(shape) == load_head(folder, target, "fp32").nbytes


def test_a_drafts_arena_takes_the_bytes_that_were_planned(tmp_path: Path) -> None:
    head = head_shape(read_config(write(tmp_path / "head", "eagle", {})), "a head", "fp32")
    model = spec_from_config("m", "m", {**TARGET, "hidden_size": 64})
    shape = Shape(model, "fp32", "fp32", 300, 16, 64, MIB, rows=3, growth=32, draft=head, depth=5, width=4)
    arena = KVArena(
        1,
        3,
        head.spec.kv_heads,
        head.spec.head_dim,
        dtype=torch.float32,
        device="cpu",
        limit_tokens=300,
        growth_tokens=32,
        scratch_tokens=draft_scratch(16, 5, 4),
        allocate_at_load=True,
    )
    assert draft_kv(shape) == arena.nbytes


TARGET: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 512,
}


def target(**changes: Any) -> ModelSpec:
    return spec_from_config("the model", "m", {**TARGET, **changes})


@pytest.mark.parametrize("entry", [e for e in load_catalog().values() if e.draft_config], ids=lambda e: e.name)
def test_published_heads_fit_their_models(entry: Any) -> None:
    """Parameters of the heads as their authors give them (EAGLE's README: 0.24B, 0.37B, 0.99B for Llama-2)."""
    draft = find_draft(entry.draft, entry.spec(), "fp16", offline=True)
    assert draft.kind == ("eagle3" if "EAGLE3" in entry.draft else "eagle")
    assert parse(published_head(entry)).hidden == entry.spec().hidden
    published = {"llama-2-7b-chat": 0.24, "llama-2-13b-chat": 0.37, "llama-2-70b-chat": 0.99, "vicuna-7b-v1.3": 0.24}
    if entry.name in published:
        assert draft_weights(draft) / 2e9 == pytest.approx(published[entry.name], abs=0.006)


def test_a_smaller_model_drafts() -> None:
    big, small = load_catalog()["qwen3-8b"].spec(), load_catalog()["qwen3-0.6b"].spec()
    draft = find_draft("qwen3-0.6b", big, "bf16", offline=True)
    assert (draft.kind, draft.spec) == ("model", small)


def test_a_folder_may_hold_a_head_or_a_model(tmp_path: Path) -> None:
    head = find_draft(str(write(tmp_path / "head", "eagle3", {})), target(), "bf16", offline=True)
    assert (head.kind, head.feature_count) == ("eagle3", 3)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(TARGET))
    assert find_draft(str(model), target(), "bf16", offline=True).kind == "model"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"hidden_size": 128}, "hidden states of 64 values"), ({"vocab_size": 61}, "a vocabulary of 60 tokens")],
)
def test_a_head_of_another_model(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = write(tmp_path / "head", "eagle", {})
    with pytest.raises(UsageError) as caught:
        find_draft(str(folder), target(**changes), "bf16", offline=True)
    assert words in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "values", ['{"draft_vocab_size": 3}', '{"num_hidden_layers": 1, "hidden_size": "wide"}', "{", "[]"]
)
def test_a_config_that_is_no_drafts(tmp_path: Path, values: str) -> None:
    (tmp_path / "config.json").write_text(values)
    with pytest.raises(ModelError, match=r"config\.json"):
        find_draft(str(tmp_path), target(), "bf16", offline=True)


@pytest.mark.parametrize("name", ["nobody/knows", "AngelSlim/Qwen3-4B_eagle3"])
def test_a_draft_that_is_not_here(name: str) -> None:
    with pytest.raises(ModelError, match="offline"):
        find_draft(name, target(), "bf16", offline=True)


def test_a_head_with_too_many_layers_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "head", "eagle3", {})
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "num_hidden_layers": 2}))
    with pytest.raises(ModelError, match="has 2 layers"):
        find_draft(str(folder), target(), "bf16", offline=True)


def test_a_published_head_is_at_hand_once_it_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_root", lambda: tmp_path)
    entry = load_catalog()["llama-2-7b-chat"]
    assert draft_at_hand(entry) is None
    repository = repository_folder(entry.draft)
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    assert draft_at_hand(entry) is None
    (snapshot / "pytorch_model.bin").touch()
    assert draft_at_hand(entry) == entry.draft


def test_the_choice_of_a_draft_falls_on_the_models_own_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` takes a head that is on this machine, for the model that it belongs to and for no other."""
    entry = load_catalog()["llama-2-7b-chat"]
    monkeypatch.setattr(
        "specmemo_chat.setup.planning.draft_at_hand", lambda wanted: wanted.draft if wanted == entry else None
    )
    for wanted, kinds in (("auto", ("ngram", "eagle")), ("ngram", ("ngram",)), ("none", ())):
        assert planned_drafters(entry.name, draft=wanted) == kinds
    assert planned_drafters("qwen3-0.6b", draft="auto") == ("ngram",)


def planned_drafters(model: str, draft: str) -> tuple[str, ...]:
    """The drafters of the plan for a TITAN RTX."""
    choice = ModelChoice(model=model, draft=draft, device="titan-rtx-24gb", offline=True)
    profile = load_profiles()["titan-rtx-24gb"]
    assert profile.facts is not None
    place = planning.plan_context(choice, planning.check_flags(choice), described_device(profile.facts), profile, "")
    source = resolve(model)
    assert source.entry is not None
    spec = source.entry.spec()
    return planning.with_draft(choice, place, source, spec).solve(spec).plan.drafters
