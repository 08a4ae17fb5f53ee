"""GGUF files through the real command: a reply, the same with any draft, and one error for what cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gguf_models import Kind, write_gguf
from tests.models import random_model
from tests.unit.test_gguf_config import SMALL


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = random_model("llama", **SMALL)
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf", model, kind=Kind.Q8_0)


def specmemo(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "specmemo_chat", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_chat_with_a_file_and_drafts_of_it(file: Path) -> None:
    replies = {}
    for draft in ("none", "auto", str(file)):
        done = specmemo(
            "chat", "--model", str(file), "--draft", draft, "--ctx-size", "512", "-n", "12", "--json", "-p", "One, two,"
        )
        assert done.returncode == 0, done.stderr
        values = json.loads(done.stdout)
        assert values["model"] == str(file)
        assert values["stats"]["peak_bytes"] <= values["stats"]["planned_bytes"]
        replies[values["stats"]["drafter"]] = values["text"]
    assert set(replies) == {"none", "ngram", "model"} or set(replies) == {"none", "ngram", "ngram+model"}
    assert len(set(replies.values())) == 1


def test_one_error_for_what_cannot_be_used(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:-1000])
    other = write_gguf(tmp_path / "moe.gguf", random_model("llama", **SMALL), keys={"llama.expert_count": 8})
    cases = [
        (tmp_path / "cut.gguf", 4, "is truncated: the tensor"),
        (other, 2, "llama.expert_count = 8, which is not supported"),
        (tmp_path / "none.gguf", 4, "there is no file"),
    ]
    for path, code, wanted in cases:
        for command in (["chat", "-p", "Hello!", "--model", str(path)], ["plan", str(path)]):
            done = specmemo(*command)
            assert done.returncode == code, done.stderr
            assert wanted in done.stderr
            assert "fix: " in done.stderr
            assert done.stderr.count("error: ") == 1
