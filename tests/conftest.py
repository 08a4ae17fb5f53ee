"""Small models with random weights, made on the fly: nothing is downloaded."""

from __future__ import annotations

import os

# Before any import of torch: the suite runs on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch

from tests.models import ARCHITECTURES, random_model

torch.set_num_threads(2)


@pytest.fixture(scope="session", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def model(architecture: str) -> torch.nn.Module:
    """A tiny fp32 model of each supported architecture."""
    return random_model(architecture)


@pytest.fixture(scope="session")
def llama() -> torch.nn.Module:
    return random_model("llama")


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a test does reaches the user's own files."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name in [name for name in os.environ if name.startswith("SPECMEMO_")]:
        monkeypatch.delenv(name)
