"""What the user types after --model: aliases, near misses, hub ids, folders, GGUF; and what a folder lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.catalog.aliases import BUNDLED_FOLDER, close_names, find_alias, load_catalog
from specmemo_chat.catalog.cache import missing_files
from specmemo_chat.catalog.config import spec_from_config, spec_from_folder
from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.errors import ModelError, UsageError

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 100,
    "max_position_embeddings": 512,
}


def model_folder(folder: Path, *files: str, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    for name in files:
        (folder / name).write_bytes(b"0" * 10)
    return folder


@pytest.mark.parametrize("entry", load_catalog().values(), ids=load_catalog())
def test_every_entry_is_found_by_all_its_names_and_has_a_shape(entry: Any) -> None:
    for name in (entry.name, *entry.also, entry.name.upper(), entry.hub_id):
        if name:
            assert find_alias(name) is entry
    if not entry.bundled:
        spec = entry.spec()
        assert spec.location == entry.hub_id
        assert spec.heads % spec.kv_heads == 0


PUBLISHED = {
    # Parameters as the model cards give them, in billions.
    "llama-2-7b-chat": 6.74, "llama-2-13b-chat": 13.02, "llama-2-70b-chat": 68.98, "llama-3.1-8b": 8.03,
    "llama-3.2-1b": 1.24, "llama-3.2-3b": 3.21, "qwen3-0.6b": 0.596, "qwen3-1.7b": 1.72, "qwen3-4b": 4.02,
    "qwen3-8b": 8.19, "qwen3-14b": 14.77, "qwen3-32b": 32.76, "qwen2.5-0.5b-instruct": 0.494,
    "qwen2.5-1.5b-instruct": 1.54, "qwen2.5-3b-instruct": 3.09, "qwen2.5-7b-instruct": 7.62,
    "mistral-7b-instruct": 7.25, "vicuna-7b-v1.3": 6.74, "vicuna-13b-v1.3": 13.02, "tinyllama-1.1b-chat": 1.10,
    "smollm2-135m": 0.1345, "smollm2-360m": 0.362, "smollm2-1.7b": 1.71,
}  # fmt: skip


def test_the_shapes_have_the_published_number_of_parameters() -> None:
    assert set(PUBLISHED) == set(load_catalog()) - {"pocket"}
    for name, billions in PUBLISHED.items():
        assert load_catalog()[name].spec().parameters / 1e9 == pytest.approx(billions, rel=0.005), name


def test_an_alias_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen3-4b").mkdir()
    source = resolve("qwen3-4b")
    assert (source.hub_id, source.folder) == ("Qwen/Qwen3-4B", None)


def test_the_bundled_model_is_a_folder() -> None:
    source = resolve("pocket")
    assert source.folder == BUNDLED_FOLDER
    assert source.entry is not None
    assert not source.gated


def test_a_hub_id_of_the_catalog_knows_its_gate() -> None:
    source = resolve("meta-llama/Llama-2-7b-chat-hf")
    assert source.gated
    assert source.entry is not None
    assert source.entry.page == "https://huggingface.co/meta-llama/Llama-2-7b-chat-hf"


def test_an_unknown_hub_id_is_taken_as_one() -> None:
    source = resolve("somebody/Some.Model-1_b")
    assert (source.hub_id, source.entry, source.gated) == ("somebody/Some.Model-1_b", None, False)


def test_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "a b" / "model")
    assert resolve(str(folder)).folder == folder
    monkeypatch.chdir(tmp_path / "a b")
    assert resolve("model").folder == folder
    assert resolve("./model").folder == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/a b/model").folder == folder


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("lama-2-7b-chat", "llama-2-7b-chat"), ("qwen3-4", "qwen3-4b"), ("Vicuna-7b", "vicuna-7b-v1.3")],
)
def test_a_near_miss_names_what_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(ModelError) as caught:
        resolve(typed)
    assert repr(typed) in caught.value.message
    assert meant in (caught.value.remedy or "")
    assert caught.value.exit_code == 4
    assert meant in close_names(typed)


def test_a_name_like_no_other(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        resolve("zzz")
    assert "alias such as" in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="there is no folder"):
        resolve(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="empty"):
        resolve("  ")


def test_gguf_is_known_whatever_its_name(tmp_path: Path) -> None:
    for name in ("model.gguf", "model.bin"):
        (tmp_path / name).write_bytes(b"GGUF....")
        assert resolve(str(tmp_path / name)).folder == tmp_path / name
    found = resolve("TheBloke/Llama-2-7B-Chat-GGUF:Q4_K_M")
    assert (found.folder, found.hub_id) == (None, "TheBloke/Llama-2-7B-Chat-GGUF:Q4_K_M")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "q4.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="GGUF"):
        spec_from_folder("folder", folder)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(ModelError, match="a model is a folder or a GGUF file") as caught:
        resolve(str(tmp_path / "model.safetensors"))
    assert str(tmp_path) in (caught.value.remedy or "")


def test_what_a_folder_lacks(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    assert missing_files(folder) == ["tokenizer.json", "model.safetensors"]
    assert missing_files(model_folder(tmp_path / "safe", "tokenizer.json", "model.safetensors")) == []
    assert missing_files(model_folder(tmp_path / "pickle", "tokenizer.model", "pytorch_model.bin")) == []
    assert missing_files(tmp_path) == ["config.json", "tokenizer.json", "model.safetensors"]


@pytest.mark.parametrize("form", ["model-{}.safetensors", "pytorch_model-{}.bin"])
def test_every_shard_of_the_index_must_be_there(tmp_path: Path, form: str) -> None:
    shards = [form.format(f"0000{number}-of-00002") for number in (1, 2)]
    folder = model_folder(tmp_path / "model", "tokenizer.json", shards[0])
    index = "model.safetensors.index.json" if "safetensors" in form else "pytorch_model.bin.index.json"
    (folder / index).write_text(json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}))
    assert missing_files(folder) == [shards[1]]
    (folder / index).write_text("{")
    assert missing_files(folder) == [f"a readable {index}"]


def test_safetensors_are_preferred_to_pickles_and_both_are_measured(tmp_path: Path) -> None:
    spec = spec_from_folder("m", model_folder(tmp_path / "m", "pytorch_model.bin"))
    assert (spec.checkpoint_bytes, spec.name, spec.location) == (10, "m", str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"model_type": "mamba"}, UsageError, "'mamba'"),
        ({"model_type": ""}, UsageError, "without a name"),
        ({"quantization_config": {"quant_method": "gptq"}}, UsageError, "quantised (gptq)"),
        ({"hidden_size": None}, ModelError, "'hidden_size'"),
        ({"num_hidden_layers": "2"}, ModelError, "'num_hidden_layers'"),
        ({"vocab_size": -1}, ModelError, "'vocab_size'"),
        ({"num_attention_heads": True}, ModelError, "'num_attention_heads'"),
        ({"rope_scaling": {"type": "su"}}, UsageError, "'su'"),
        ({"rope_parameters": {"rope_type": "axial"}}, UsageError, "'axial'"),
        ({"rope_scaling": [1]}, ModelError, "no object"),
        ({"rope_scaling": {"rope_type": "linear", "factor": "4"}}, ModelError, "factor is '4'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, ModelError, "low_freq_factor is None"),
        (
            {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0] * 3, "long_factor": [1.0] * 8}},
            ModelError,
            "short_factor is no list of 8 numbers",
        ),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5}},
            UsageError,
            "a part of each head",
        ),
    ],
)
def test_a_config_that_cannot_be_used(changes: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        spec_from_config("m", "m", {**CONFIG, **changes})
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_a_config_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ModelError, match=r"config\.json"):
        spec_from_folder("m", tmp_path)


def test_an_architecture_may_be_trusted() -> None:
    spec = spec_from_config("m", "m", {**CONFIG, "model_type": "mine"}, any_architecture=True)
    assert spec.model_type == "mine"


@pytest.mark.parametrize(
    ("changes", "window", "sliding"),
    [
        ({"model_type": "mistral", "sliding_window": 24}, 24, 2),
        ({"model_type": "mistral", "sliding_window": None}, 0, 0),
        ({"model_type": "qwen2", "sliding_window": 24, "use_sliding_window": False}, 0, 0),
        ({"model_type": "qwen2", "sliding_window": 24, "use_sliding_window": True, "max_window_layers": 1}, 24, 1),
        (
            {
                "model_type": "qwen3",
                "sliding_window": 24,
                "use_sliding_window": True,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            24,
            1,
        ),
        ({"sliding_window": 24}, 0, 0),
    ],
)
def test_sliding_windows(changes: dict[str, Any], window: int, sliding: int) -> None:
    spec = spec_from_config("m", "m", {**CONFIG, **changes})
    assert (spec.sliding_window, sum(spec.sliding_layers)) == (window, sliding)


def test_what_a_config_leaves_out() -> None:
    spec = spec_from_config("m", "m", CONFIG)
    assert (spec.kv_heads, spec.head_dim, spec.tied_embeddings) == (4, 16, False)
    assert spec_from_config("m", "m", {**CONFIG, "model_type": "gemma"}).tied_embeddings
    assert spec_from_config("m", "m", {**CONFIG, "model_type": "qwen2"}).qkv_bias
    assert spec_from_config("m", "m", {**CONFIG, "model_type": "qwen3", "head_dim": 32}).head_dim == 32
