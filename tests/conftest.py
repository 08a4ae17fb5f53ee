"""Small models with random weights, made on the fly: nothing is downloaded."""

from __future__ import annotations

import os
import signal

# Before any import of torch: tiny models are faster on one thread, above all beside other work.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models import ARCHITECTURES, random_model
from tests.tiny import save_tiny

torch.set_num_threads(1)
if not torch.cuda.is_available():
    # Triton reads it when it is imported, by whatever comes first.
    os.environ["TRITON_INTERPRET"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so; what the tests start would then be deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(autouse=True)
def gradients() -> Iterator[None]:
    """What runs a worker's code in this process turns them off for good, as a worker does; training needs them."""
    yield
    torch.set_grad_enabled(True)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random chat model on disk."""
    return save_tiny(tmp_path_factory.mktemp("tiny"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="write the golden transcripts anew")


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The folder of the real chat model, for tests with the marker `real`."""
    folder = os.environ.get("SPECMEMO_TEST_REAL")
    if not folder:
        pytest.skip("SPECMEMO_TEST_REAL names no folder; python -m tests.real_model FOLDER makes one")
    return Path(folder)
