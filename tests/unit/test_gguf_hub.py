"""GGUF models of the hub: planned by their header, chosen by quantisation, pulled, listed and removed one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from specmemo_chat.catalog import download
from specmemo_chat.catalog.cache import cached_gguf, cached_model
from specmemo_chat.catalog.gguf_files import all_parts, chosen, models_among, quantisation
from specmemo_chat.catalog.gguf_tensors import named_precision
from specmemo_chat.catalog.inventory import remove, stored
from specmemo_chat.catalog.resolve import resolve
from specmemo_chat.cli.models_command import _chosen
from specmemo_chat.doctor.machine import gguf_models
from specmemo_chat.errors import ModelError, PlanError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.request import PlanRequest
from specmemo_chat.setup.planning import PlanContext, own_profiles
from specmemo_chat.terminal.console import Screen
from tests.fake_hub import FakeHub, fake_hub
from tests.gguf_models import Kind, add_tokenizer, write_gguf
from tests.models import random_model
from tests.unit.test_gguf_weights import WIDE
from tests.unit.test_inventory import environment

REPOSITORY = "some/tiny-GGUF"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    folder = tmp_path / "published"
    folder.mkdir()
    factors = {"rope_freqs.weight": np.linspace(1, 4, 32, dtype=np.float32)}
    model = random_model("llama", **WIDE)
    # Last in the file, behind what a plan fetches.
    write_gguf(folder / "tiny-BF16.gguf", model, kind=Kind.BF16, tensors=factors)
    write_gguf(folder / "tiny.q8_0.gguf", model, kind=Kind.Q8_0, tensors=factors)
    write_gguf(folder / "tiny-Q4_0.gguf", model, kind=Kind.Q4_0, split_max_tensors=12)
    (folder / "mmproj-tiny-F16.gguf").write_bytes(b"GGUF")
    (folder / "README.md").write_text("tiny")
    with fake_hub() as hub:
        hub.models[REPOSITORY] = folder
        yield hub


def specmemo(hub: FakeHub, tmp_path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command answers; its error where it leaves with another `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "specmemo_chat", *arguments, "--json"],
        env=environment(hub, tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else {"error": done.stderr}


def test_names_of_quantisations() -> None:
    for name, wanted in {
        "SmolLM2-135M-Instruct.Q4_1.gguf": "Q4_1", "qwen2.5-0.5b-instruct-q4_k_m.gguf": "Q4_K_M",
        "model-UD-Q4_K_XL.gguf": "UD-Q4_K_XL", "BF16/big-BF16-00001-of-00003.gguf": "BF16", "m-f16.gguf": "F16",
        "gemma-2b.gguf": "gemma-2b.gguf", "Q8_0.gguf": "Q8_0", "m.IQ4_XS.gguf": "IQ4_XS",
    }.items():  # fmt: skip
        assert quantisation(name) == wanted
    precisions = {
        "Q4_K_M": "q4",
        "UD-Q4_K_XL": "q4",
        "Q6_K": "q8",
        "IQ4_XS": "q8",
        "BF16": "",
        "Q3_K_M": "q4",
        "IQ2_M": None,
    }
    for tag, precision in precisions.items():
        assert named_precision(tag) == precision
    assert all_parts("BF16/b-BF16-00001-of-00002.gguf") == [f"BF16/b-BF16-0000{n}-of-00002.gguf" for n in (1, 2)]


def test_one_model_is_chosen_or_all_are_named() -> None:
    names = ["m-Q4_K_M.gguf", "m-q8_0-00001-of-00002.gguf", "m-q8_0-00002-of-00002.gguf", "m.imatrix.gguf", "a.json"]
    assert models_among(names) == names[:2]
    assert chosen(names, "q4_k_m", "x/y") == names[0]
    assert chosen(names, "Q8_0", "x/y") == names[1]
    assert chosen(names, names[0], "x/y") == names[0]
    assert chosen(names[:1], "", "x/y") == names[0]
    with pytest.raises(ModelError, match="x/y holds no GGUF model Q5_K: there is Q4_K_M, Q8_0"):
        chosen(names, "Q5_K", "x/y")
    with pytest.raises(ModelError, match="x/y holds 2 GGUF models: there is Q4_K_M, Q8_0"):
        chosen(names, "", "x/y")


def test_a_plan_fetches_the_header_only(hub: FakeHub, tmp_path: Path) -> None:
    plan = specmemo(hub, tmp_path, "plan", f"{REPOSITORY}:bf16", "--device", "rtx-3060-12gb")
    assert plan["model"] == f"{REPOSITORY}:bf16"
    assert plan["terms"]["target_weights"] > 2048 * 256
    size = (hub.models[REPOSITORY] / "tiny-BF16.gguf").stat().st_size
    assert hub.ranges[0] == "bytes=0-2097151"
    assert len(hub.ranges) == 2
    assert hub.ranges[1].startswith(f"bytes={size - 128}")
    assert cached_model(f"{REPOSITORY}:bf16") is None
    for name in (f"{REPOSITORY}:Q5_K_M", REPOSITORY):
        said = specmemo(hub, tmp_path, "plan", name, code=4)["error"]
        assert all(tag in said for tag in ("BF16", "Q8_0", "Q4_0"))


def test_pull_list_and_remove_one_by_one(hub: FakeHub, tmp_path: Path) -> None:
    """The largest that fits, a split one by its name, and each of them alone."""
    pulled = specmemo(hub, tmp_path, "models", "pull", REPOSITORY)["models"][0]
    assert (pulled["name"], Path(pulled["folder"]).name) == (f"{REPOSITORY}:BF16", "tiny-BF16.gguf")
    assert cached_model(REPOSITORY) == Path(pulled["folder"])
    pulled = specmemo(hub, tmp_path, "models", "pull", f"{REPOSITORY}:q4_0")["models"][0]
    assert Path(pulled["folder"]).name == "tiny-Q4_0-00001-of-00002.gguf"
    assert pulled["size_bytes"] == sum(file.stat().st_size for file in hub.models[REPOSITORY].glob("tiny-Q4_0*"))
    assert set(cached_gguf(REPOSITORY)) == {f"{REPOSITORY}:BF16", f"{REPOSITORY}:Q4_0"}
    assert cached_model(REPOSITORY) is None
    listed = {model["name"]: model for model in specmemo(hub, tmp_path, "models", "ls", "--here")["models"]}
    assert {f"{REPOSITORY}:BF16", f"{REPOSITORY}:Q4_0"} <= set(listed)
    assert listed[f"{REPOSITORY}:Q4_0"]["state"] == "here"
    assert listed[f"{REPOSITORY}:Q4_0"]["fits"] is True
    plan = specmemo(hub, tmp_path, "plan", f"{REPOSITORY}:Q4_0", "--offline")
    assert plan["fits"] is True
    cut = cached_gguf(REPOSITORY)[f"{REPOSITORY}:BF16"].resolve()
    cut.write_bytes(cut.read_bytes()[:-1])
    found = {finding.name: finding for finding in gguf_models()}
    assert found[f"{REPOSITORY}:Q4_0"].status == "ok"
    assert (found[f"{REPOSITORY}:BF16"].status, "is truncated" in found[f"{REPOSITORY}:BF16"].detail) == ("note", True)
    freed = specmemo(hub, tmp_path, "models", "rm", "--yes", f"{REPOSITORY}:Q4_0")
    assert freed["freed_bytes"] == pulled["size_bytes"]
    assert set(cached_gguf(REPOSITORY)) == {f"{REPOSITORY}:BF16"}
    left = stored(f"{REPOSITORY}:BF16")
    assert left is not None
    remove(left)
    assert stored(REPOSITORY) is None


def test_offline_says_what_to_pull(hub: FakeHub, tmp_path: Path) -> None:
    said = specmemo(hub, tmp_path, "plan", f"{REPOSITORY}:Q8_0", "--offline", code=4)["error"]
    assert f"specmemo models pull {REPOSITORY}:Q8_0" in said or "without --offline" in said


def large(path: Path) -> Path:
    """The header of a Llama of 8 billion weights in F16; the weights are a hole."""
    writer = gguf.GGUFWriter(path, "llama")
    hidden, inner, layers, vocab = 4096, 14336, 32, 128256
    sizes = {
        "block_count": layers, "context_length": 8192, "embedding_length": hidden, "feed_forward_length": inner,
        "attention.head_count": 32, "attention.head_count_kv": 8,
    }  # fmt: skip
    for name, value in sizes.items():
        writer.add_uint32(f"llama.{name}", value)
    add_tokenizer(writer)
    layer = {
        "attn_q": (hidden, hidden), "attn_k": (1024, hidden), "attn_v": (1024, hidden), "attn_output": (hidden, hidden),
        "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner), "attn_norm": (hidden,),
        "ffn_norm": (hidden,),
    }  # fmt: skip
    shapes = {f"blk.{index}.{name}.weight": shape for index in range(layers) for name, shape in layer.items()}
    shapes |= {"token_embd.weight": (vocab, hidden), "output.weight": (vocab, hidden), "output_norm.weight": (hidden,)}
    for name, shape in shapes.items():
        writer.add_tensor_info(name, shape, np.dtype(np.float16), 2 * int(np.prod(shape)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as stream:
        stream.truncate(17 << 30)
    return path


@pytest.mark.parametrize(
    ("device", "wanted"), [("titan-rtx-24gb", "F16"), ("rtx-3060-12gb", "Q8_0"), ("rtx-4060-laptop-8gb", "Q4_K_M")]
)
def test_the_largest_that_fits_in_its_own_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, wanted: str
) -> None:
    sizes = {"Q4_K_M": 5 << 30, "Q8_0": 9 << 30, "IQ1_S": 1 << 30, "F16": 17 << 30, "Q2_K": 3 << 30}
    monkeypatch.setattr(download, "remote_gguf_models", lambda source: sizes)
    header = large(tmp_path / "large.gguf")
    monkeypatch.setattr(download, "remote_config", lambda source: nullcontext(header))
    profile = own_profiles()[device]
    assert profile.facts is not None
    place = PlanContext(described_device(profile.facts, 0), profile, "", PlanRequest(), False, False)
    source = _chosen(resolve("some/large-GGUF"), place, Screen(quiet=True))
    assert source.hub_id == f"some/large-GGUF:{wanted}"


def test_none_of_them_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "remote_gguf_models", lambda source: {"F16": 17 << 30, "Q8_0": 9 << 30})
    header = large(tmp_path / "large.gguf")
    monkeypatch.setattr(download, "remote_config", lambda source: nullcontext(header))
    profile = own_profiles()["gtx-1660-6gb"]
    assert profile.facts is not None
    place = PlanContext(described_device(profile.facts, 0), profile, "", PlanRequest(), False, False)
    with pytest.raises(PlanError, match=r"fits here.*F16 \(17.0 GiB\), Q8_0 \(9.0 GiB\)"):
        _chosen(resolve("some/large-GGUF"), place, Screen(quiet=True))
