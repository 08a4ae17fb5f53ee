"""`specmemo batch`: many conversations at once, killed and resumed, with workers that die."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.batch import run
from specmemo_chat.batch.output import OutputFile
from specmemo_chat.batch.run import Batch, Totals
from specmemo_chat.chat.task import Task
from specmemo_chat.errors import WorkerError
from specmemo_chat.events import Answered, BatchProgress, Done, Event, Statistics
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.executor import WorkerExecutor
from specmemo_chat.host.requests import Load
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.terminal.console import Screen
from tests.models import tiny_plan
from tests.reference import check_keys

KILLS = 2


def write_input(path: Path, count: int = 14) -> None:
    """Conversations of one to three turns in all forms, with and without seeds of their own, and a broken line."""
    lines: list[str] = []
    for index in range(count):
        word = f"word{index} " * (1 + index % 4)
        if index % 3 == 0:
            line: dict[str, Any] = {"question_id": 80 + index, "turns": [word, "more", "again"][: 1 + index % 4]}
        elif index % 3 == 1:
            line = {"prompt": word, "seed": index}
        else:
            messages = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", word)]
            line = {"id": f"m{index}", "messages": [{"role": role, "content": text} for role, text in messages]}
        lines.append(json.dumps(line))
    lines.insert(5, "{broken")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def command(source: Path, target: Path, model: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "specmemo_chat", "batch", str(source), "-o", str(target), "--model", str(model)]
    return [*words, "--device", "cpu", "--dtype", "fp32", "--temp", "0.9", "-s", "7", "-n", "24", *more]


def content(path: Path) -> list[tuple[int, Any, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["input_line"], line.get("replies"), line.get("error")) for line in lines]


# `specmemo` that ends itself by SIGKILL so many seconds after so many more lines of output: a test that watched the
# file would on a busy machine strike when all is over.
SHORT_LIVED = """
import os, signal, sys, threading, time
from specmemo_chat.__main__ import main
from specmemo_chat.batch.output import OutputFile

lines, pause = int(sys.argv.pop(1)), float(sys.argv.pop(1))
write = OutputFile.write

def die():
    time.sleep(pause)
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, values):
    global lines
    write(self, values)
    lines -= 1
    if lines == 0:
        threading.Thread(target=die).start()

OutputFile.write = counted
main()
"""


def run_and_kill(arguments: list[str], target: Path, chance: random.Random, after: int = 0) -> None:
    """Run the command and kill it at a random point behind `after` lines with SIGKILL; tear the last line of its
    output."""
    when = [str(after + chance.randint(1, 5)), str(chance.random() * 0.05)]
    program = [sys.executable, "-c", SHORT_LIVED, *when, *arguments[arguments.index("batch") :]]
    done = subprocess.run(program, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    # As if the kill had come in the middle of writing a line.
    torn = target.read_bytes().splitlines(keepends=True)[-1]
    with target.open("ab") as file:
        file.write(torn[: chance.randrange(1, len(torn) - 1)])


@pytest.mark.parametrize("seed", [5, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(6, 26))])
def test_killed_twice_and_resumed_equals_an_uninterrupted_run(tiny_folder: Path, tmp_path: Path, seed: int) -> None:
    source, whole, target = tmp_path / "in.jsonl", tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    write_input(source)
    # One at a time: what was answered beside others must be the same.
    done = subprocess.run(
        command(source, whole, tiny_folder, "--batch-size", "1", "--json"), capture_output=True, timeout=120
    )
    assert done.returncode == 1, done.stderr.decode()
    assert json.loads(done.stdout)["failed"] == 1
    chance = random.Random(seed)
    batched = command(source, target, tiny_folder, "--batch-size", "4")
    lines = 0
    for _ in range(KILLS):
        run_and_kill(batched, target, chance)
        before, lines = lines, target.read_bytes().count(b"\n")
        assert lines > before
    done = subprocess.run([*batched, "--json"], capture_output=True, timeout=120)
    summary = json.loads(done.stdout)
    # The line that is no JSON is tried again, and nothing else.
    assert summary["skipped"] == lines - 1
    assert summary["batch_size"] == 4
    assert summary["skipped"] + summary["conversations"] == 15
    assert content(target) == content(whole)
    assert [line for line, _, _ in content(target)] == list(range(1, 16))


BAD = {
    7: ('{"prompt": "Hello \\ud83d"}', "half a surrogate pair"),
    18: (json.dumps({"prompt": "word " * 1_000_000}), "4.8 MiB are [0-9]{6} tokens or more"),
    29: (json.dumps({"messages": [{"role": "human", "content": "Hi"}]}), 'the role "human", which is not known'),
    40: ('{"prompt": "Hi', "not JSON"),
    51: (json.dumps({"messages": [{"role": "user", "content": None}]}), '"content" is null'),
}


def test_bad_lines_are_named_and_they_alone_are_tried_again(tiny_folder: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    parts = [{"type": "text", "text": "Hello"}]
    body = {
        "model": "gpt",
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}],
    }
    forms: list[dict[str, Any]] = [
        {"turns": ["Hello", "more"]},
        {"custom_id": "a", "url": "/v1/chat/completions", "body": {**body, "max_tokens": 2}},
        {"prompt": "Hello"},
    ]
    lines = [json.dumps(forms[number % 3]) for number in range(1, 61)]
    for number, (line, _) in BAD.items():
        lines[number - 1] = line
    source.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    answer = command(source, target, tiny_folder, "--batch-size", "16")
    run_and_kill(answer, target, random.Random(3), after=12)
    answered = sum("replies" in json.loads(line) for line in target.read_bytes().splitlines()[:-1])
    assert answered > 5
    done = subprocess.run([*answer, "--json"], capture_output=True, timeout=120, encoding="utf-8")
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["skipped"], summary["conversations"], summary["failed"]) == (answered, 60 - answered, 5)
    found = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    check_keys("Lines of `specmemo batch`", *found, found[0] | dict.fromkeys(("question_id", "id", "custom_id"), 1))
    assert [line["input_line"] for line in found] == list(range(1, 61))
    assert {line["input_line"] for line in found if "error" in line} == set(BAD)
    for number, (_, words) in BAD.items():
        assert re.search(words, found[number - 1]["error"])
        assert f"input line {number}" in done.stderr
    # A request's own settings count for it alone.
    tokens = {line["input_line"]: line["stats"][0]["new_tokens"] for line in found if "stats" in line}
    assert {tokens[number] for number in range(1, 61, 3) if number in tokens} == {2}
    assert max(tokens.values()) > 2
    before = target.read_bytes()
    again = subprocess.run([*answer, "--json"], capture_output=True, timeout=120, encoding="utf-8")
    assert again.returncode == 1
    summary = json.loads(again.stdout)
    assert (summary["skipped"], summary["conversations"], summary["failed"]) == (55, 5, 5)
    assert target.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_dies_costs_nothing_that_is_seen(tiny_folder: Path, tmp_path: Path) -> None:
    """The conversations that were in flight are tried again with another worker."""
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"prompt": f"Hello {index}"}) for index in range(5)), encoding="utf-8")
    plan = tiny_plan(target=str(tiny_folder), context_tokens=480, growth_tokens=64, rows=2)
    client = ChatClient(WorkerExecutor, Load(plan, None, "auto", False))
    answer_all, kills = client.answer_all, []

    def killing(tasks: Sequence[Task], settings: GenerationSettings) -> Iterator[Event]:
        for event in answer_all(tasks, settings):
            yield event
            executor = client._executor
            if isinstance(event, Answered) and not kills and isinstance(executor, WorkerExecutor):
                kills.append(executor.pid)
                os.kill(executor.pid, signal.SIGKILL)

    client.answer_all = killing  # type: ignore[method-assign]
    totals = Totals()
    output = OutputFile(tmp_path / "out.jsonl")
    try:
        Batch(client, output, totals, Screen(quiet=True)).run(source, GenerationSettings(max_new_tokens=40))
    finally:
        client.close()
        output.close()
    assert len(kills) == 1
    assert (totals.conversations, totals.failed) == (5, 0)
    assert sorted(line for line, _, _ in content(tmp_path / "out.jsonl")) == [1, 2, 3, 4, 5]


class PoisonClient:
    """Every conversation is answered, but the worker dies of number 3 whenever it is in flight."""

    system = None

    def reasoning_open(self) -> bool:
        return False

    def check_length(self, text: str, what: str) -> None:
        pass

    def load(self) -> Iterator[Event]:
        return iter(())

    def answer_all(self, tasks: Sequence[Task], settings: GenerationSettings) -> Iterator[Event]:
        numbers = [task.number for task in tasks]
        while numbers:
            yield BatchProgress(running=numbers[:2], waiting=len(numbers[2:]))
            if 3 in numbers[:2]:
                raise WorkerError("the worker process was killed", "try again")
            yield Answered(numbers.pop(0), ["yes"], [Statistics(new_tokens=1)])
        yield Done({"peak_bytes": [1], "parked": 0})


def test_a_conversation_that_kills_workers_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"prompt": f"Hello {index}"}) for index in range(6)), encoding="utf-8")
    totals = Totals()
    output = OutputFile(tmp_path / "out.jsonl")
    client: Any = PoisonClient()
    try:
        Batch(client, output, totals, Screen("never")).run(source, GenerationSettings())
        output.sort()
    finally:
        output.close()
    assert (totals.conversations, totals.failed) == (6, 1)
    assert [error for _, _, error in content(tmp_path / "out.jsonl")].index("the worker process was killed") == 2
    notes = capsys.readouterr().err
    assert "going on: 2 conversations in flight will be tried again at the end" in notes
    assert "input line 3: given up" in notes
    assert "fix:" not in notes


def test_what_is_sent_together_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker holds all that it is sent."""
    monkeypatch.setattr(run, "TOGETHER", 100)
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"prompt": "x" * size}) for size in (40, 50, 30, 120, 10, 10)))
    client, sent = PoisonClient(), list[list[int]]()

    def answer_all(tasks: Sequence[Task], settings: GenerationSettings) -> Iterator[Event]:
        sent.append([task.number for task in tasks])
        yield from (Answered(number, ["yes"], [Statistics(new_tokens=1)]) for number in sent[-1])

    client.answer_all = answer_all  # type: ignore[method-assign]
    output = OutputFile(tmp_path / "out.jsonl")
    totals = Totals()
    any_client: Any = client
    Batch(any_client, output, totals, Screen("never", quiet=True)).run(source, GenerationSettings())
    output.close()
    assert sent == [[1, 2], [3], [4], [5, 6]]
    assert (totals.conversations, totals.failed) == (6, 0)


def test_the_output_is_sorted_at_once_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"input_line": 3, "replies": ["c"]}\n{"input_line": 1, "replies": ["a"]}\n{"input_li')
    output = OutputFile(path)
    assert output.done == {1, 3}
    output.write({"input_line": 2, "error": "no"})
    assert [line for line, _, _ in content(path)] == [3, 1, 2]
    output.close()
    output = OutputFile(path)
    assert output.done == {1, 3}
    assert [line for line, _, _ in content(path)] == [3, 1]
    output.write({"input_line": 2, "replies": ["b"]})
    output.sort()
    assert content(path) == [(1, ["a"], None), (2, ["b"], None), (3, ["c"], None)]
    assert list(tmp_path.iterdir()) == [path]
