"""What people have in place of a model: each is named by one message, the same for a plan, a chat and the list."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.catalog import inventory
from specmemo_chat.catalog.config import spec_from_folder
from specmemo_chat.catalog.resolve import ModelSource, resolve
from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.cli import models_command
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import ModelError, SpecmemoError, UsageError
from specmemo_chat.models.loading import load_target
from specmemo_chat.profiles import load_profiles, match_profile
from specmemo_chat.setup import planning
from specmemo_chat.setup.draft import find_draft
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.sizes import GIB
from tests.tiny import save_tiny

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 269060552\n"
PAGE = "<!DOCTYPE html>\n<html><head><title>401 Unauthorized</title></head></html>\n"
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "some/base-7b"}
CPU = DeviceInfo(0, "cpu", "a processor", "", 16 * GIB, 12 * GIB, 12 * GIB, threads=2)
Damage = Callable[[Path], object]


def puts(name: str, text: str | bytes) -> Damage:
    def put(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return put


def takes(*names: str, then: Damage | None = None) -> Damage:
    def take(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()
        if then is not None:
            then(folder)

    return take


def configures(**values: Any) -> Damage:
    def configure(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return configure


def cuts(name: str, count: int) -> Damage:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - count)


def lacks_a_shard(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def empties(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


WEIGHTS, CONFIG = "model.safetensors", "config.json"
CASES: list[tuple[str, Damage, type[SpecmemoError], str, str]] = [
    ("lfs weights", puts(WEIGHTS, LFS), ModelError, "model.safetensors is a git-lfs pointer", "git lfs pull"),
    ("lfs tokenizer", puts("tokenizer.json", LFS), ModelError, "tokenizer.json is a git-lfs pointer", "git lfs pull"),
    ("lfs config", puts(CONFIG, LFS), ModelError, "config.json is a git-lfs pointer", "git lfs pull"),
    ("lfs sentencepiece", puts("tokenizer.model", LFS), ModelError, "tokenizer.model is a git-lfs", "git lfs pull"),
    ("page weights", puts(WEIGHTS, PAGE), ModelError, "model.safetensors holds a web page", "hf auth login"),
    ("page config", puts(CONFIG, PAGE), ModelError, "config.json holds a web page", "hf auth login"),
    ("page tokenizer", puts("tokenizer.json", "\n\n" + PAGE), ModelError, "tokenizer.json holds a web", "download"),
    ("empty weights", puts(WEIGHTS, ""), ModelError, "model.safetensors is empty", "again"),
    ("empty config", puts(CONFIG, ""), ModelError, "config.json is empty", "again"),
    ("empty tokenizer", puts("tokenizer.json", " \n"), ModelError, "nothing but blanks", "again"),
    ("empty generation config", puts("generation_config.json", ""), ModelError, "generation_config.json is", "again"),
    ("generation config", puts("generation_config.json", "{"), ModelError, "generation_config.json is no", "again"),
    ("generation list", puts("generation_config.json", "[]"), ModelError, "not a JSON object", "again"),
    ("end token", puts("generation_config.json", '{"eos_token_id": "x"}'), ModelError, "eos_token_id: 'x'", "again"),
    ("tokenizer config", puts("tokenizer_config.json", "{,"), ModelError, "tokenizer_config.json is no JSON", "again"),
    ("special tokens", puts("special_tokens_map.json", "}"), ModelError, "special_tokens_map.json is no", "again"),
    ("added tokens", puts("added_tokens.json", "["), ModelError, "added_tokens.json is no JSON", "again"),
    ("template", puts("chat_template.jinja", b"\xff\xfe{{"), ModelError, "chat_template.jinja is no text", "again"),
    ("lfs template", puts("chat_template.jinja", LFS), ModelError, "chat_template.jinja is a git-lfs", "git lfs"),
    ("tokenizer cut", cuts("tokenizer.json", 100), ModelError, "tokenizer.json is no JSON object, or trunc", "again"),
    ("weights cut", cuts(WEIGHTS, 5000), ModelError, "model.safetensors is truncated: the tensor", "again"),
    ("config deep", puts(CONFIG, "[" * 100_000), ModelError, "config.json is no JSON", "again"),
    ("no index", takes(WEIGHTS, then=puts("model-00001-of-00002.safetensors", "x")), ModelError, "no model.s", "cop"),
    ("a shard", lacks_a_shard, ModelError, "not complete: model-00002-of-00002.safetensors missing", "download it"),
    ("index", takes(WEIGHTS, then=puts("model.safetensors.index.json", "{}")), ModelError, "weight_map", "again"),
    ("gguf inside", takes(WEIGHTS, then=puts("q4.gguf", "GGUF")), ModelError, "q4.gguf is truncated", "download"),
    ("gguf named otherwise", puts(WEIGHTS, "GGUF"), ModelError, "GGUF", "model.safetensors"),
    ("onnx", takes(WEIGHTS, then=puts("onnx/model.onnx", "x")), ModelError, "ONNX form (onnx/model.onnx)", "form"),
    ("mlx", takes(WEIGHTS, then=puts("weights.npz", "PK")), ModelError, "MLX form", "transformers"),
    ("original", takes(WEIGHTS, CONFIG, then=puts("consolidated.00.pth", "x")), ModelError, "publisher's own", "form"),
    ("adapter", takes(WEIGHTS, CONFIG, then=puts("adapter_config.json", json.dumps(ADAPTER))), ModelError,
     "an adapter (LoRA) for some/base-7b", "merge"),
    ("adapter with config", takes(WEIGHTS, then=puts("adapter_config.json", json.dumps(ADAPTER))), ModelError,
     "an adapter (LoRA) for some/base-7b", "merge"),
    ("lfs adapter", takes(WEIGHTS, CONFIG, then=puts("adapter_config.json", LFS)), ModelError, "git-lfs", "git lfs"),
    ("pickle cut", takes(WEIGHTS, then=puts("pytorch_model.bin", "PK\3\4")), ModelError, "model.bin is trunc", "again"),
    ("nothing", empties, ModelError, "is empty", "config.json"),
    ("gptq", configures(quantization_config={"quant_method": "gptq"}), UsageError, "quantised (gptq)", "unquantised"),
    ("bnb", configures(quantization_config={"quant_method": "bitsandbytes"}), UsageError, "bitsandbytes", "unquant"),
    ("mlx quantised", configures(quantization={"bits": 4}), UsageError, "quantised (4 bits)", "unquantised"),
    ("old gptq", puts("quantize_config.json", '{"bits": 4}'), UsageError, "quantised (4 bits)", "unquantised"),
    ("images", configures(model_type="gemma3", text_config={}), UsageError, "reads images or sound", "supported are"),
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture(scope="module")
def place() -> planning.PlanContext:
    choice = ModelChoice()
    profile, reason = match_profile(CPU, load_profiles(Path("nowhere")))
    return planning.plan_context(choice, planning.check_flags(choice), CPU, profile, reason)


def shape(folder: Path, place: planning.PlanContext, place_of: Callable[[ModelSource], Path | None]) -> ModelSpec:
    source = resolve(str(folder))
    return planning.find_spec(source, place_of(source), place)


@pytest.mark.parametrize(("damage", "kind", "words", "remedy"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_a_damaged_folder_is_named(
    folder: Path, place: planning.PlanContext, damage: Damage, kind: type[SpecmemoError], words: str, remedy: str
) -> None:
    damage(folder)
    said = set()
    for place_of in (planning.local_folder, planning.planning_folder):  # a chat, a plan
        with pytest.raises(kind) as caught:
            shape(folder, place, place_of)
        assert words in caught.value.message
        assert remedy in (caught.value.remedy or "")
        said.add(caught.value.message)
    assert len(said) == 1, said


@pytest.mark.parametrize("name", ["lfs weights", "end token", "adapter", "generation config"])
def test_the_worker_and_a_draft_say_the_same(folder: Path, place: planning.PlanContext, name: str) -> None:
    target = spec_from_folder("target", folder)
    next(case[1] for case in CASES if case[0] == name)(folder)
    words = next(case[3] for case in CASES if case[0] == name)
    with pytest.raises(ModelError) as caught:
        load_target(str(folder), dtype="fp32", device="cpu")
    assert words in caught.value.message
    with pytest.raises(ModelError) as caught:
        find_draft(str(folder), target, "fp32", offline=True)
    assert words in caught.value.message


def test_the_list_names_what_is_damaged_in_the_cache(whole: Path, tmp_path: Path, place: planning.PlanContext,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("fine", "broken"):
        repository = tmp_path / f"models--some--{name}"
        shutil.copytree(whole, repository / "snapshots" / "1")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("1")
    (repository / "snapshots" / "1" / WEIGHTS).write_text(LFS)
    assert inventory.stored("some/broken") is not None
    lines = {line.name: line.as_json() for line in models_command._lines(place)}
    assert (lines["some/fine"]["fits"], "problem" in lines["some/fine"]) == (True, False)
    assert lines["some/broken"]["fits"] is None
    assert "git lfs pull" in lines["some/broken"]["problem"]


def test_what_may_not_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "model.safetensors":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read: permission denied") as caught:
        spec_from_folder("m", folder)
    assert "chmod" in (caught.value.remedy or "")
    with pytest.raises(ModelError, match="File name too long"):
        resolve("x" * 5000)


def test_a_plan_needs_no_weights(folder: Path, place: planning.PlanContext) -> None:
    for file in folder.iterdir():
        if file.name != CONFIG:
            file.unlink()
    assert shape(folder, place, planning.planning_folder).vocab == 2048
