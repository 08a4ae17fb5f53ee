"""The benchmark of batches: every figure is there, from blocks of the same rounds; a replay says what it is."""

from __future__ import annotations

import json
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from benchmarks import batching
from specmemo_chat.errors import UsageError

RATIOS = {"control", "plain_vs_one_row", "speculative_vs_plain", "speculative_vs_one_row"}
CONFIG = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 2048,
}
FLAGS = ["-n", "12", "--ctx-size", "256", "--threads", "1"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BLOCK", 4)


def test_every_figure_of_every_batch_size(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--model", str(tiny_folder), "--batch-sizes", "2,3", "--pairs", "2"]
    batching.main([*flags, *FLAGS, "--json"])
    out, notes = capsys.readouterr()
    result = json.loads(out)
    assert (result["pairs"], result["replayed"], result["drafters"]) == (2, False, "ngram")
    assert set(result["rows"]) == {"2", "3"}
    for row in result["rows"].values():
        assert row["plain_tokens_per_second"] > 0 < row["speculative_tokens_per_second"]
        for name in RATIOS:
            assert 0 < row[name]["low"] <= row[name]["median"] <= row[name]["high"]
            assert row[name]["pairs"] == 2
    assert "2 of 2 pairs" in notes
    batching.main([*flags, *FLAGS])
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["rows", "plain/s", "spec/s"]


def test_an_interrupt_shows_what_there_is(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, calls = batching.Stream.run, count()
    # Four streams are warmed, then each runs once a pair: the interrupt comes in the middle of the second.
    stops = chain(repeat(False, 10), repeat(True))

    def interrupted(self: batching.Stream, tokens: int) -> int:
        next(calls)
        if next(stops):
            raise KeyboardInterrupt
        return run(self, tokens)

    monkeypatch.setattr(batching.Stream, "run", interrupted)
    batching.main(["--model", str(tiny_folder), "--batch-sizes", "2", "--pairs", "9", *FLAGS, "--json"])
    assert json.loads(capsys.readouterr().out)["pairs"] == 1
    assert next(calls) == 11


def test_a_replay_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {**CONFIG, "num_hidden_layers": 1, "bias": True}
    shape = {"name": "tiny", "config": CONFIG, "head_config": head, "acceptance": [0.8], "source": "replayed"}
    (tmp_path / "shape.json").write_text(json.dumps(shape))
    flags = ["--random", str(tmp_path / "shape.json"), "--prompts", "random", "--batch-sizes", "2", "--pairs", "1"]
    batching.main([*flags, *FLAGS])
    assert capsys.readouterr().out.startswith("tiny (fp32), REPLAYED, eagle; 1 pairs")


def test_a_shape_is_replayed() -> None:
    shape = batching.replayed_shape("1.1b")
    assert shape.config["num_hidden_layers"] == 22
    assert (shape.head_config["num_hidden_layers"], shape.head_config["hidden_size"]) == (1, 2048)
    assert "replayed" in shape.source
    with pytest.raises(UsageError, match="3b is not known"):
        batching.replayed_shape("3b")
