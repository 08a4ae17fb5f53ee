"""Perplexity of a text: windows, sums, and the program's own forwards beside transformers'."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.bench.asking.perplexity_job import lines, perplexity_job
from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.bench.measuring.perplexity import Found, perplexity, windows
from specmemo_chat.bench.measuring.process import run
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.terminal.console import Screen

TEXT = "The capital of France is Paris. 17 + 25 = 42, and a longer sentence follows it. " * 6


@given(st.integers(0, 300), st.integers(2, 64))
def test_every_token_but_the_first_is_predicted_once(tokens: int, context: int) -> None:
    found = list(windows(tokens, context))
    predicted = [token for window in found for token in range(window.fresh, window.last)]
    assert predicted == list(range(1, tokens))
    for window in found:
        assert 0 <= window.first < window.fresh <= window.last
        assert window.last - window.first <= context
        # From half a window at least, where there are so many before it.
        assert window.fresh - window.first >= min(window.fresh, context // 2)


def test_the_sums_are_those_of_the_distributions() -> None:
    generator = torch.Generator().manual_seed(1)
    own, theirs = torch.randn((2, 20, 50), generator=generator, dtype=torch.float64)
    came = torch.randint(0, 50, (20,), generator=generator)
    found = Found()
    found.add(own[:13], came[:13], theirs[:13])
    found.add(own[13:], came[13:], theirs[13:])
    p, q = theirs.softmax(-1), own.softmax(-1)
    values = found.values("q8", "bf16")
    wanted = -q.log()[torch.arange(20), came].mean()
    assert values["nll_per_token"] == pytest.approx(float(wanted), rel=1e-5)
    assert values["perplexity"] == pytest.approx(math.exp(float(wanted)), rel=1e-5)
    against = values["against"]
    assert against["kl_divergence"] == pytest.approx(float((p * (p.log() - q.log())).sum(-1).mean()), rel=1e-5)
    assert against["equal_argmax"] == float((p.argmax(-1) == q.argmax(-1)).double().mean())
    assert "against" not in found.values("q8", None)


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Job:
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8")
    choice = ModelChoice(str(tiny_folder), dtype="fp32", ctx_size=64, device="cpu", offline=True)
    return perplexity_job(file, "bf16", 1, choice, SamplingChoice(), Screen(quiet=True))


def reference(folder: Path, dtype: torch.dtype, context: int) -> float:
    """Negative log-likelihood a token by transformers' own model, window by window."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    tokens = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt").input_ids
    total = 0.0
    for window in windows(tokens.shape[1], context):
        with torch.no_grad():
            logits = model(tokens[:, window.first : window.last]).logits[0].float()
        for token in range(window.fresh, window.last):
            total -= float(logits[token - 1 - window.first].log_softmax(-1)[tokens[0, token]])
    return total / (tokens.shape[1] - 1)


def test_it_is_what_transformers_finds(job: Job, tiny_folder: Path) -> None:
    shown: list[tuple[Any, ...]] = []
    result = run(job, lambda *progress: shown.append(progress))
    assert result["dtype"] == "fp32"
    assert result["tokens"] == shown[-1][0] == shown[-1][1]
    assert result["tokens"] > 2 * 64
    assert result["nll_per_token"] == pytest.approx(reference(tiny_folder, torch.float32, 64), rel=1e-5)
    against = result["against"]
    assert against["nll_per_token"] == pytest.approx(reference(tiny_folder, torch.bfloat16, 64), rel=5e-3)
    assert against["kl_divergence"] < 0.01
    assert against["equal_argmax"] > 0.9
    text = "\n".join(lines(result))
    assert f"perplexity {result['perplexity']:.4f}" in text
    assert "KL divergence" in text


def test_too_short_a_text_is_refused(job: Job) -> None:
    with pytest.raises(UsageError, match="too few tokens"):
        perplexity(replace(job, text="a", plans={"plain": job.plans["plain"]}), lambda *_: None)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b" \n", "is empty"), (b"caf\xe9 au lait", "is not UTF-8"), (None, "cannot be read")],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        perplexity_job(file, None, 0, ModelChoice(), SamplingChoice(), Screen(quiet=True))
    assert str(file) in caught.value.message


def test_the_same_precision_twice_is_no_comparison(tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8")
    choice = ModelChoice(str(tiny_folder), dtype="fp32", device="cpu", offline=True)
    with pytest.raises(UsageError, match="--against fp32"):
        perplexity_job(file, "fp32", 0, choice, SamplingChoice(), Screen(quiet=True))
