"""The command line as people and scripts use it: output, exit codes, bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.heads import write_eagle3
from tests.tiny import POCKET


def specmemo(*arguments: str, stdin: bytes | None = None, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """Run the command; without `stdin` its standard input is empty and at its end."""
    done = subprocess.run(
        [sys.executable, "-m", "specmemo_chat", *arguments],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return to


def test_without_a_command_it_says_what_it_is() -> None:
    done = specmemo()
    assert done.returncode == 0
    assert "specmemo chat" in done.stdout


def test_help_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; sys.argv = ['specmemo', 'chat', '--help']\n"
        "from specmemo_chat.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'prompt_toolkit', 'psutil', 'markdown_it'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import rich.markdown\n"
        "assert rich.markdown.__file__, 'what was left out is there for others'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["chat", "batch", "plan", "probe"])
def test_every_command_has_help(command: str) -> None:
    done = specmemo(command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_probe_never_fails() -> None:
    done = specmemo("probe", "--json")
    assert done.returncode == 0
    values = json.loads(done.stdout)
    assert values["schema"] == 1
    assert values["memory"]
    assert values["profile"]["name"]
    assert any(device["kind"] == "cpu" for device in values["devices"])


def test_plan_needs_no_download() -> None:
    done = specmemo("plan", "llama-2-7b-chat", "--device", "titan-rtx-24gb", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["fits"] is True
    assert sum(values["terms"].values()) == values["total_bytes"] <= values["cap_bytes"]
    # 6.74 billion parameters at two bytes.
    assert values["terms"]["target_weights"] == 2 * 6_738_415_616
    small = specmemo("plan", "llama-2-7b-chat", "--device", "gtx-1660-6gb", "--dtype", "fp16", "--json")
    assert small.returncode == 3
    assert json.loads(small.stdout)["fits"] is False


def test_eight_absent_gpus_are_said_at_once() -> None:
    done = specmemo("chat", "--gpus", "8", "--model", "llama-2-70b-chat", timeout=20)
    assert done.returncode == 2
    assert "8" in done.stderr
    assert "0" in done.stderr
    assert "specmemo plan" in done.stderr


def test_a_gated_model_without_a_token_names_licence_and_remedy() -> None:
    environment = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} & set(os.environ)
    assert not environment
    done = specmemo("chat", "--model", "llama-2-7b-chat", "--max-memory", "100GiB", timeout=20)
    assert done.returncode in (3, 4)
    assert "licen" in done.stderr.lower()
    assert "login" in done.stderr


def test_one_reply_as_json(tiny_folder: Path) -> None:
    done = specmemo("chat", "--model", str(tiny_folder), "--json", "-n", "8", "-p", "Hello")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["schema"] == 1
    assert values["text"]
    assert values["finish_reason"] == "length"
    stats = values["stats"]
    assert stats["new_tokens"] == 8
    assert stats["drafter"] == "ngram"
    assert 0 < stats["peak_bytes"] <= stats["cap_bytes"]
    keys = {
        "prompt_tokens", "reused_tokens", "new_tokens", "load_s", "ttft_s", "decode_s", "tokens_per_second", "steps",
        "mean_acceptance_length", "drafter", "peak_bytes", "generation_bytes", "planned_bytes",
        "planned_generation_bytes", "cap_bytes", "seed",
    }  # fmt: skip
    assert set(stats) == keys


def test_the_prompt_may_come_from_standard_input(tiny_folder: Path) -> None:
    done = specmemo("chat", "--model", str(tiny_folder), "-n", "4", stdin=b"Hello from a pipe\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


BAD: list[tuple[list[str], bytes | None, int, str]] = [
    (["chat", "-p", "   "], None, 2, "prompt is empty"),
    (["chat"], b"", 2, "prompt is empty"),
    (["chat"], b"caf\xe9", 2, "not UTF-8"),
    (["chat", "--model", "lama-2-7b-chat", "-p", "x"], None, 4, "llama-2-7b-chat"),
    (["chat", "--model", "somebody/something", "--offline", "-p", "x"], None, 4, "offline"),
    (["chat", "--temperature", "-1", "-p", "x"], None, 2, "temperature"),
    (["chat", "--max-memory", "lots", "-p", "x"], None, 2, "lots"),
    (["chat", "--max-memory", "50MiB", "-p", "x"], None, 3, "--max-memory"),
    (["chat", "--device", "cuda", "-p", "x"], None, 5, "cuda"),
    (["chat", "--device", "toaster", "-p", "x"], None, 2, "toaster"),
    (["chat", "--profile", "nothing", "-p", "x"], None, 2, "nothing"),
    (["chat", "--chat-template", "nowhere.jinja", "-p", "x"], None, 2, "nowhere.jinja"),
    (["chat", "one", "-p", "two"], None, 2, "-p"),
    (["chat", "--json"], None, 2, "empty"),
    (["chat", "--nonsense"], None, 2, "nonsense"),
    (["plan", "no-such-model"], None, 4, "no-such-model"),
]


@pytest.mark.parametrize(("arguments", "stdin", "code", "words"), BAD, ids=[" ".join(case[0])[:40] for case in BAD])
def test_bad_input_ends_with_one_clear_error(arguments: list[str], stdin: bytes | None, code: int, words: str) -> None:
    done = specmemo(*arguments, stdin=stdin, timeout=30)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def broken_model(tiny: Path, folder: Path, kind: str) -> Path:
    copy_of(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    if kind == "gguf":
        for file in folder.iterdir():
            file.unlink()
        (folder / "model.gguf").write_bytes(b"GGUF")
    elif kind == "architecture":
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "mamba", "architectures": ["Mamba"]}))
    elif kind == "template":
        values = json.loads((folder / "tokenizer_config.json").read_text())
        del values["chat_template"]
        (folder / "tokenizer_config.json").write_text(json.dumps(values))
        for file in folder.glob("chat_template*"):
            file.unlink()
    elif kind == "config":
        (folder / "config.json").write_text("{")
    elif kind == "weights":
        (folder / "model.safetensors").unlink()
    elif kind == "truncated":
        os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 5000)
    return folder


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("gguf", 4, "model.gguf is truncated"),
        ("architecture", 2, "mamba"),
        ("template", 2, "chat template"),
        ("config", 4, "config.json"),
        ("weights", 4, "model.safetensors"),
        ("truncated", 4, "model.safetensors is truncated"),
    ],
)
def test_models_that_cannot_be_used(tiny_folder: Path, tmp_path: Path, kind: str, code: int, words: str) -> None:
    folder = broken_model(tiny_folder, tmp_path / "model", kind)
    done = specmemo("chat", "--model", str(folder), "-p", "Hello")
    assert done.returncode == code, (done.returncode, done.stderr)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prompt_longer_than_the_context_names_both(tiny_folder: Path) -> None:
    done = specmemo("chat", "--model", str(tiny_folder), "--ctx-size", "64", "-p", "word " * 200)
    assert done.returncode == 2
    assert "context holds 64" in done.stderr


def batch_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_batch_answers_all_turns_names_broken_lines_and_resumes(tiny_folder: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        json.dumps({"question_id": 81, "turns": ["Hello", "And then?"]}),
        "{broken",
        json.dumps({"prompt": "Hi"}),
        json.dumps({"id": "c", "messages": [{"role": "user", "content": "Hey"}]}),
        json.dumps({"nothing": 1}),
    ]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = ["batch", str(source), "-o", str(target), "--model", str(tiny_folder), "-n", "4", "--json"]
    done = specmemo(*arguments)
    assert done.returncode == 1, done.stderr
    assert "line 2" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["conversations"], summary["failed"]) == (5, 2)
    out = batch_lines(target)
    assert [len(line.get("replies", [])) for line in out] == [2, 0, 1, 1, 0]
    assert out[0]["question_id"] == 81
    assert out[0]["stats"][1]["reused_tokens"] > 0
    assert "line 2" in out[1]["error"]
    assert out[3]["id"] == "c"
    # A torn last line is made again, everything else is kept.
    kept = target.read_bytes().splitlines(keepends=True)
    target.write_bytes(b"".join(kept[:3]) + kept[3][:10])
    again = specmemo(*arguments)
    # Those that failed are tried again too.
    assert json.loads(again.stdout)["skipped"] == 2
    assert [line.get("replies") for line in batch_lines(target)] == [line.get("replies") for line in out]


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "llama-2-7b-chat", "--device", "titan-rtx-24gb"],
        ["plan", "llama-2-7b-chat", "--device", "titan-rtx-24gb", "--json"],
        ["chat", "--model", "TINY", "-n", "3000", "-p", "Hello"],
    ],
)
def test_a_reader_that_leaves_is_no_error(tiny_folder: Path, arguments: list[str]) -> None:
    """As in `specmemo plan … | head -c 1`."""
    command = [str(tiny_folder) if argument == "TINY" else argument for argument in arguments]
    with subprocess.Popen(
        [sys.executable, "-m", "specmemo_chat", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if "chat" in command:
            process.stdout.read(1)
        process.stdout.close()
        errors = process.stderr.read().decode()
        assert process.wait(timeout=60) == 0, errors
        assert "Traceback" not in errors
        assert "BrokenPipe" not in errors


def test_drafts_with_weights_change_no_text(tiny_folder: Path, tmp_path: Path) -> None:
    head = tmp_path / "head"
    write_eagle3(head, vocab=2048)
    arguments = ["chat", "--model", str(tiny_folder), "--dtype", "fp32", "--json", "-n", "16", "-p", "Hello", "--draft"]
    plain = json.loads(specmemo(*arguments, "none").stdout)
    assert plain["stats"]["drafter"] == "none"
    for draft, name in ((head, "eagle3"), (tiny_folder, "model")):
        done = specmemo(*arguments, str(draft))
        assert done.returncode == 0, done.stderr
        values = json.loads(done.stdout)
        assert name in values["stats"]["drafter"]
        assert values["text"] == plain["text"]
    wrong = specmemo("chat", "-p", "Hello", "--draft", str(head))
    assert wrong.returncode == 2
    assert "hidden states of 64" in wrong.stderr


def test_pocket_answers(tmp_path: Path) -> None:
    """The model in the box, by the whole path."""
    done = specmemo("chat", "--json", "-p", "Hello! What can you do?")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert values["model"] == "pocket"
    assert values["finish_reason"] == "stop"
    assert len(values["text"].split()) >= 5
    assert (POCKET / "model.safetensors").exists()


def test_a_reply_that_repeats_its_prompt_is_drafted() -> None:
    done = specmemo("chat", "--json", "-p", "Say exactly this: red door red door red door")
    values = json.loads(done.stdout)
    assert values["stats"]["mean_acceptance_length"] > 1.5, values
