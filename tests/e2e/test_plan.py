"""`specmemo plan` as people and scripts use it: issue 3's own cases, absent devices, config files alone, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from tests.e2e.test_cli import specmemo

TITAN = ["--device", "titan-rtx-24gb", "--offline"]


def plan_json(*arguments: str, code: int = 0) -> dict[str, Any]:
    done = specmemo("plan", *arguments, "--json", timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr)
    values: dict[str, Any] = json.loads(done.stdout)
    assert values["schema"] == 1
    assert sum(values["terms"].values()) == values["total_bytes"]
    assert values["fits"] == (code == 0) == (values["total_bytes"] <= values["cap_bytes"])
    return values


def test_llama_2_7b_on_a_titan_rtx() -> None:
    """Issue 3: weights, KV and total within 2 % of a calculation by hand."""
    values = plan_json("llama-2-7b-chat", *TITAN)
    assert (values["device"], values["profile"], values["dtype"]) == ("titan-rtx-24gb", "titan-rtx-24gb", "fp16")
    assert values["terms"]["target_weights"] == 13_476_831_232
    assert values["terms"]["target_kv"] == 524_288 * values["context_tokens"]
    # Weights 13,476.8 MB; 4,352 slots of 524,288 B; 640 MiB of runtime; a chunk of 512: 64.5 MiB, a tree of 64: 8.1
    # MiB and its logits 11.7 MiB; one layer's growth 68 MiB.
    by_hand = 13_476_831_232 + 4352 * 524_288 + (640 + 64.5 + 8.1 + 11.7 + 68) * 2**20
    assert values["total_bytes"] == pytest.approx(by_hand, rel=0.02)
    assert values["concessions"] == []
    keys = {
        "schema", "model", "device", "profile", "fits", "cap_bytes", "total_bytes", "terms", "context_tokens", "rows",
        "tree_nodes", "drafters", "dtype", "prefill_chunk", "tp", "concessions",
    }  # fmt: skip
    assert keys <= set(values)
    assert "smallest_fix" not in values
    # 672 GB/s over 13.2 GB: between 20 and 50 plain tokens a second, and more with a draft.
    assert 20 < values["expected"]["plain_tokens_per_second"] < 50
    assert values["expected"]["tokens_per_second"] > values["expected"]["plain_tokens_per_second"]
    assert values["expected"]["basis"].startswith("estimate")


def test_a_cap_that_is_too_small_names_the_smallest_fix() -> None:
    values = plan_json("llama-2-7b-chat", *TITAN, "--dtype", "fp16", "--max-memory", "6GiB", code=3)
    fix = values["smallest_fix"]
    assert fix.startswith("--max-memory ")
    done = specmemo("plan", "llama-2-7b-chat", *TITAN, "--dtype", "fp16", "--max-memory", "6GiB")
    assert done.returncode == 3
    assert "the cap is 6.0 GiB" in done.stderr
    assert f"fix: {fix}" in done.stderr
    assert plan_json("llama-2-7b-chat", *TITAN, "--dtype", "fp16", *fix.split())["concessions"]


def test_70b_on_eight_mi250() -> None:
    """Issue 3: fits, 17.2 GB of weights a rank, with the table of the GPUs."""
    arguments = ["llama-2-70b-chat", "--device", "mi250-64gb-x8", "--gpus", "8", "--offline"]
    values = plan_json(*arguments)
    assert values["tp"] == 8
    assert values["terms"]["target_weights"] == pytest.approx(17.2e9, rel=0.01)
    assert values["terms"]["target_kv"] == 40_960 * values["context_tokens"]
    done = specmemo("plan", *arguments)
    assert done.returncode == 0
    ranks = [line.split() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert [rank[:2] for rank in ranks] == [[str(number), f"cuda:{number}"] for number in range(8)]
    assert all(rank[2:4] == ["16.1", "GiB"] for rank in ranks)


def test_one_mi250_is_too_small_for_70b_and_four_are_not() -> None:
    one = ("llama-2-70b-chat", "--device", "mi250-64gb-x8", "--offline")
    assert plan_json(*one, "--dtype", "bf16", code=3)["smallest_fix"] == "--dtype q4"
    assert plan_json(*one)["dtype"] == "q4"
    assert plan_json(*one, "--gpus", "4")["dtype"] == "bf16"


def test_a_batch_of_ten() -> None:
    one, ten = (plan_json("llama-2-7b-chat", *TITAN, "--ctx-size", "512", "--batch-size", size) for size in ("1", "10"))
    assert ten["rows"] == 10
    assert ten["terms"]["target_kv"] == 10 * one["terms"]["target_kv"]


def test_the_table_for_people() -> None:
    done = specmemo("plan", "llama-2-7b-chat", *TITAN)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "llama-2-7b-chat on titan-rtx-24gb in fp16"
    assert lines[1] == "profile titan-rtx-24gb: it describes the device"
    (picture,) = [line for line in lines if line.startswith("  [")]
    assert len(picture) == 68
    assert picture.startswith("  [WWWW")
    assert any("target weights" in line and "13,476,831,232 B" in line for line in lines)
    assert "fits, 6.6 GiB to spare" in done.stdout
    assert "an estimate: roofline" in done.stdout


def test_what_was_conceded_is_said() -> None:
    done = specmemo("plan", "llama-2-7b-chat", *TITAN, "--max-memory", "15GiB", "--dtype", "fp16")
    assert done.returncode == 0, done.stderr
    assert "conceded: prefill in chunks of" in done.stdout
    assert "conceded: draft trees of" in done.stdout
    assert "conceded: a context of" in done.stdout
    done = specmemo("plan", "llama-2-7b-chat", *TITAN, "--max-memory", "15GiB")
    assert "conceded: weights in q8 instead of fp16" in done.stdout
    assert "a context of" not in done.stdout


def test_old_names_of_precisions_are_taken_and_said() -> None:
    values = plan_json("llama-2-7b-chat", *TITAN, "--dtype", "nf4")
    assert values["dtype"] == "q4"
    assert values["notes"][0] == "--dtype nf4 is called q4 now"


def test_what_would_be_faster_is_named() -> None:
    done = specmemo("plan", "qwen3-1.7b", "--device", "rtx-3060-12gb", "--offline")
    assert "faster: --dtype q8: about 1." in done.stdout
    # A card without kernels for them: nothing is promised.
    assert "faster" not in specmemo("plan", "llama-2-7b-chat", *TITAN).stdout


def test_the_frontier() -> None:
    values = plan_json("llama-2-7b-chat", *TITAN, "--frontier")
    points = values["frontier"]
    assert points[-1]["relative_throughput"] == 1.0
    assert values["lower_bound"]["relative_throughput"] >= 0.96
    done = specmemo("plan", "llama-2-7b-chat", *TITAN, "--frontier")
    assert done.stdout.count("<- lower bound (96%)") == 1


def test_a_chat_tells_the_plan_how_fast_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = plan_json("pocket")
    assert "products as measured" in before["expected"]["basis"]
    assert specmemo("chat", "-p", "Hello!", "-n", "8").returncode == 0
    after = plan_json("pocket")
    assert "chats with this model" in after["expected"]["basis"]
    assert "chats with this model" in specmemo("plan", "pocket").stdout


def test_plot_needs_its_extra_or_draws(tmp_path: Path) -> None:
    path = tmp_path / "frontier.png"
    done = specmemo("plan", "llama-2-7b-chat", *TITAN, "--plot", str(path), "-q")
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        assert done.returncode == 2
        assert "pip install 'specmemo[plot]'" in done.stderr
        assert done.stdout == ""
    else:
        assert done.returncode == 0, done.stderr
        assert path.read_bytes().startswith(b"\x89PNG")
        assert "lower bound" in done.stdout


def test_a_head_is_counted_first_class() -> None:
    arguments = ["llama-2-7b-chat", *TITAN, "--draft", "yuhuili/EAGLE-llama2-chat-7B"]
    values, without = plan_json(*arguments, "--frontier"), plan_json("llama-2-7b-chat", *TITAN)
    assert values["drafters"] == ["ngram", "eagle"]
    for term in ("draft_weights", "draft_kv", "draft_features"):
        assert values["terms"][term] > 0 == without["terms"][term]
    assert values["expected"]["tokens_per_second"] > without["expected"]["tokens_per_second"]
    # The frontier goes from no head to the head.
    assert "eagle" not in values["frontier"][0]["drafters"]
    assert values["frontier"][-1]["drafters"] == ["ngram", "eagle"]


CONFIG = {
    "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
    "max_position_embeddings": 40960, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.mark.parametrize("give", ["folder", "file", "other file"])
def test_a_config_alone_is_enough(tmp_path: Path, give: str) -> None:
    path = tmp_path / ("config.json" if give != "other file" else "qwen.json")
    path.write_text(json.dumps(CONFIG))
    values = plan_json(str(tmp_path if give == "folder" else path), *TITAN)
    known = plan_json("qwen3-0.6b", *TITAN)
    assert values["terms"] == known["terms"]


def test_a_users_own_profile_describes_a_device() -> None:
    folder = platformdirs.user_config_path("specmemo", appauthor=False) / "profiles"
    folder.mkdir(parents=True)
    shipped = Path(__file__).parents[2] / "profiles" / "titan-rtx-24gb.toml"
    text = shipped.read_text().replace("24GiB", "48GiB")
    (folder / "rtx-a6000.toml").write_text(text)
    values = plan_json("llama-2-13b-chat", "--device", "rtx-a6000", "--offline")
    assert values["profile"] == "rtx-a6000"
    assert values["cap_bytes"] > 40 * 2**30
    (folder / "rtx-a6000.toml").write_text(text.replace("growth_tokens", "growth"))
    done = specmemo("plan", "--offline")
    assert done.returncode == 2
    assert f"{folder / 'rtx-a6000.toml'}:18: [policy] growth: is not a known key" in done.stderr


def test_on_this_machine_the_processor_is_measured() -> None:
    values = plan_json("pocket", "--device", "cpu")
    assert values["device"] == "cpu"
    assert "measured" in values["expected"]["basis"]


def test_a_plan_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; sys.argv = ['specmemo', 'plan', 'llama-2-7b-chat', '--device', 'titan-rtx-24gb', '--frontier']\n"
        "from specmemo_chat.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'prompt_toolkit', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


BAD = [
    (["llama-2-7b-chat", "--device", "titan"], 2, "titan-rtx-24gb"),
    (["llama-2-7b-chat", *TITAN, "--gpus", "3"], 2, "--gpus 2"),
    (["llama-2-7b-chat", *TITAN, "--ctx-size", "9999"], 2, "--ctx-size 4096"),
    (["llama-2-7b-chat", *TITAN, "--max-memory", "6 pounds"], 2, "6 pounds"),
    (["llama-2-7b-chat", *TITAN, "--profile", "none"], 2, "no profile 'none'"),
    (["llama-2-7b-chat", *TITAN, "--plot", "frontier.gif"], 2, ".gif"),
    (["llama-2-7b-chat", *TITAN, "--batch-size", "0"], 2, "batch-size"),
    (["llama-2-7b-chat", "--gpus", "8", "--device", "cuda"], 2, "8 GPUs needed"),
    (["somebody/something", *TITAN], 4, "offline"),
    (["llama-2-7b-chat", *TITAN, "--draft", "nobody/knows"], 4, "offline"),
    (["llama-2-7b-chat", *TITAN, "--draft", "yuhuili/EAGLE-llama2-chat-13B"], 2, "5120"),
    (["lama-2-7b-chat", *TITAN], 4, "llama-2-7b-chat"),
    (["nowhere.json", *TITAN], 4, "nowhere.json"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(case[0])[-40:] for case in BAD])
def test_bad_input(arguments: list[str], code: int, words: str) -> None:
    done = specmemo("plan", *arguments, timeout=30)
    assert done.returncode == code, (done.returncode, done.stderr)
    # Words may be broken over lines in typer's boxes.
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "mamba"}'])
def test_a_config_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    done = specmemo("plan", str(path), *TITAN)
    assert done.returncode in (2, 4)
    assert "config.json" in done.stderr
    assert "Traceback" not in done.stderr
