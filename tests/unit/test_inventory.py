"""models ls, pull and rm against a hub on this machine: sizes, gates, resumed downloads, full disks, removal."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.catalog import download
from specmemo_chat.catalog.inventory import stored
from specmemo_chat.catalog.resolve import ModelSource
from specmemo_chat.errors import ModelError
from tests.fake_hub import FakeHub, fake_hub
from tests.reference import check_keys

MEGABYTE = 1 << 20


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one model: a config and a tokenizer like the bundled one's, weights of 20 MB of noise."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    folder = tmp_path / "published"
    folder.mkdir()
    pocket = Path(__file__).parents[2] / "specmemo_chat" / "pocket"
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(pocket / name, folder)
    # A header that names no tensor.
    (folder / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{}" + os.urandom(20 * MEGABYTE - 10))
    with fake_hub() as hub:
        hub.models["some/model"] = hub.models["meta-llama/Llama-2-7b-chat-hf"] = folder
        hub.gated.add("meta-llama/Llama-2-7b-chat-hf")
        yield hub


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "specmemo_chat", "models", *arguments]


def environment(hub: FakeHub, tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "HF_TOKEN")}
    return {**kept, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "NO_COLOR": "1", **more}


def models(hub: FakeHub, tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(hub, tmp_path, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def listed(hub: FakeHub, tmp_path: Path) -> dict[str, dict[str, Any]]:
    done = models(hub, tmp_path, "ls", "--json")
    assert done.returncode == 0, done.stderr
    return {model["name"]: model for model in json.loads(done.stdout)["models"]}


def complete(hub_id: str) -> bool | None:
    """Whether the cache holds all of it; None for nothing of it."""
    found = stored(hub_id)
    return found.complete if found is not None else None


def test_a_download_that_is_killed_goes_on_where_it_stopped(hub: FakeHub, tmp_path: Path) -> None:
    hub.slow_s = 0.02
    started = subprocess.Popen(
        command("pull", "some/model"), env=environment(hub, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 60
    while hub.served < 6 * MEGABYTE and time.monotonic() < end:
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    assert complete("some/model") is False
    (part,) = (tmp_path / "hf").rglob("*.incomplete")
    kept = part.stat().st_size
    assert kept >= 4 * MEGABYTE
    hub.slow_s = 0.0
    done = models(hub, tmp_path, "pull", "some/model", "--json")
    assert done.returncode == 0, done.stderr
    assert hub.ranges == [f"bytes={kept}-"]
    check_keys("`specmemo models pull --json`", json.loads(done.stdout))
    (pulled,) = json.loads(done.stdout)["models"]
    assert (Path(pulled["folder"]) / "model.safetensors").stat().st_size == 20 * MEGABYTE
    assert pulled["size_bytes"] >= 20 * MEGABYTE > pulled["downloaded_bytes"]
    line = listed(hub, tmp_path)["some/model"]
    assert (line["state"], line["fits"], line["parameters"]) == ("here", True, 8_148_224)
    # Once more: nothing to do, nothing asked.
    served = hub.served
    again = models(hub, tmp_path, "pull", "some/model")
    assert "is here" in again.stderr
    assert hub.served == served


def test_connections_that_break_are_taken_up_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut_after = [5 * MEGABYTE, 6 * MEGABYTE]
    done = models(hub, tmp_path, "pull", "some/model", "--json")
    assert done.returncode == 0, done.stderr
    assert len(hub.ranges) == 2


def test_a_damaged_file_is_removed(hub: FakeHub, tmp_path: Path) -> None:
    hub.damage = True
    done = models(hub, tmp_path, "pull", "some/model")
    assert done.returncode == 4
    assert "damaged" in done.stderr
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    hub.damage = False
    assert models(hub, tmp_path, "pull", "some/model").returncode == 0


def test_the_gate_and_its_steps(hub: FakeHub, tmp_path: Path) -> None:
    before = models(hub, tmp_path, "pull", "llama-2-7b-chat")
    assert before.returncode == 4
    assert "Llama 2 Community License" in before.stderr
    assert "hf auth login" in before.stderr
    assert "fit" in before.stderr
    # A token that the hub refuses, and one that it takes.
    refused = models(hub, tmp_path, "pull", "llama-2-7b-chat", HF_TOKEN="hf_bad")
    assert refused.returncode == 4
    assert "gated" in refused.stderr
    assert "hf_bad" not in refused.stderr
    assert models(hub, tmp_path, "pull", "llama-2-7b-chat", HF_TOKEN="hf_good").returncode == 0
    assert complete("meta-llama/Llama-2-7b-chat-hf")


def test_rm_says_what_it_frees_and_asks(hub: FakeHub, tmp_path: Path) -> None:
    assert models(hub, tmp_path, "pull", "some/model").returncode == 0
    asked = models(hub, tmp_path, "rm", "some/model")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert complete("some/model")
    done = models(hub, tmp_path, "rm", "some/model", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    check_keys("`specmemo models rm --json`", json.loads(done.stdout))
    assert json.loads(done.stdout)["freed_bytes"] >= 20 * MEGABYTE
    assert "20." in done.stderr
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    assert complete("some/model") is None
    assert models(hub, tmp_path, "rm", "some/model", "--yes").returncode == 4
    assert models(hub, tmp_path, "rm", "pocket", "--yes").returncode == 2


def test_a_full_disk_is_said_before_the_download(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        download, "list_remote", lambda source, code=False: download.RemoteModel("c", {"model.safetensors": 1 << 60})
    )
    with pytest.raises(ModelError, match=r"needs 1048576\.0 TiB on disk"):
        download.download(ModelSource("some/model", None, "some/model"), print)


@pytest.mark.parametrize(
    ("number", "words", "remedy"),
    [
        (errno.ENOSPC, "the disk is full", "it goes on from there"),
        (errno.EROFS, "Read-only file system", "HF_HOME"),
        (errno.ENETUNREACH, "the hub cannot be reached", "check the network"),
    ],
)
def test_a_disk_that_fails_in_a_download_is_not_taken_for_the_network(
    monkeypatch: pytest.MonkeyPatch, number: int, words: str, remedy: str
) -> None:
    def fails(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(
        download, "list_remote", lambda source, code=False: download.RemoteModel("c", {"model.safetensors": 1 << 25})
    )
    monkeypatch.setattr(download, "DISK_RESERVE", 0)
    monkeypatch.setattr(download, "fetch_large", fails)
    with pytest.raises(ModelError, match=words) as caught:
        download.download(ModelSource("some/model", None, "some/model"), print)
    assert caught.value.remedy is not None
    assert remedy in caught.value.remedy


def test_pulling_what_is_in_the_package_is_no_error(hub: FakeHub, tmp_path: Path) -> None:
    done = models(hub, tmp_path, "pull", "pocket", "--json")
    assert (done.returncode, json.loads(done.stdout)["models"]) == (0, [])
    assert "nothing to download" in done.stderr
    (tmp_path / "mine").mkdir()
    assert models(hub, tmp_path, "pull", str(tmp_path / "mine")).returncode == 2


def test_the_list_has_sizes_licences_drafts_and_fit(hub: FakeHub, tmp_path: Path) -> None:
    lines = listed(hub, tmp_path)
    llama = lines["llama-2-7b-chat"]
    assert llama["parameters"] == 6_738_415_616
    assert llama["size_bytes"] == 2 * llama["parameters"]
    assert (llama["gated"], llama["state"], llama["draft"]) == (True, "absent", "yuhuili/EAGLE-llama2-chat-7B")
    assert lines["pocket"]["state"] == "bundled"
    small = models(hub, tmp_path, "ls", "--json", "--max-memory", "1GiB")
    tight = {model["name"]: model for model in json.loads(small.stdout)["models"]}
    assert tight["pocket"]["fits"] is True
    assert tight["llama-2-7b-chat"]["fits"] is False
    assert tight["llama-2-7b-chat"]["smallest_fix"]
    text = models(hub, tmp_path, "ls", "--here")
    assert text.stdout.splitlines()[0].split() == ["NAME", "SIZE", "HERE", "FITS", "DRAFT", "LICENCE"]
