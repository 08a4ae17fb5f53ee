"""The REPL held against `batch`: what is compared with what, and the chat without a terminal that it takes for that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks import terminal_contest
from benchmarks.scripted import answer
from benchmarks.terminal_contest import Reply, Terminal, contest
from specmemo_chat.chat.task import Task
from specmemo_chat.errors import WorkerError
from specmemo_chat.events import Answered, ReplyEnd, Statistics, Text
from specmemo_chat.settings import GenerationSettings


class FakeTerminal:
    """Replies at a fixed speed; the second message gets a text of its own."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._replies: list[Reply] = []

    def clear(self) -> None:
        self._replies = []

    def say(self, message: str) -> None:
        self._log.append("terminal")
        self._replies.append(Reply("other" if message == "two" else message, 90.0, 0.2))

    def replies(self) -> list[Reply]:
        return self._replies


class FakeScript:
    """Without pauses faster than with them."""

    ready: ClassVar = {"device": "cpu", "dtype": "fp32"}

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def batch(self, messages: tuple[str, ...]) -> list[Reply]:
        self._log.append("batch")
        return [Reply(message, 120.0, 0.1) for message in messages]

    def clear(self) -> None:
        pass

    def say(self, message: str) -> Reply:
        self._log.append("paused")
        return Reply(message, 100.0, 0.1)


def test_contest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log: list[str] = []
    starts = []

    @contextmanager
    def started(flags: list[str], folder: Path) -> Iterator[tuple[FakeTerminal, FakeScript]]:
        starts.append(flags)
        yield FakeTerminal(log), FakeScript(log)

    monkeypatch.setattr(terminal_contest, "started", started)
    result = contest(["--model", "pocket"], ("one", "two", "three"), 5, 2, tmp_path, lambda text: None)
    assert len(starts) == result["starts"] == 3
    # Every start has one conversation that does not count; the REPL and the worker with pauses alternate.
    assert log.count("terminal") == log.count("paused") == (5 + 3) * 3
    assert log.count("batch") == 2 * 5 + 3
    assert result["replies"] == 15
    assert result["identical"] == 10
    assert result["dtype"] == "fp32"
    medians = {name: result[name]["median"] for name in terminal_contest.RATIOS}
    assert medians == {"ratio": 0.75, "control": 1.0, "terminal_alone": 0.9, "pause_alone": 0.8333}
    # Replies with different texts are no pairs.
    assert result["ratio"]["pairs"] == 10
    assert result["control"]["pairs"] == 15
    assert result["reply_ratio"]["median"] == 0.5
    assert set(result["stolen_share"]) == {"pauses", "batch"}


class FakeChat:
    """A chat that saves to new files only, as /save does."""

    def __init__(self, *flags: str) -> None:
        self._said: list[str] = []

    def prompt(self) -> None:
        pass

    def loaded(self) -> None:
        pass

    def ask(self, line: str) -> float:
        if line == "/clear":
            self._said = []
        elif line.startswith("/save "):
            turns = [{"reply": text, "stats": {"tokens_per_second": len(text)}} for text in self._said]
            file = Path(line.removeprefix("/save "))
            if not file.exists():
                file.write_text(json.dumps({"turns": turns}))
        else:
            self._said.append(line)
        return 0.5

    def close(self) -> None:
        pass


def test_every_conversation_is_read_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also those of a later start, which saves in the same folder."""
    monkeypatch.setattr(terminal_contest, "ChatTerminal", FakeChat)
    for messages in (["a", "bb"], ["ccc", "dddd"]):
        terminal = Terminal([], tmp_path)
        for _ in range(2):
            terminal.clear()
            for message in messages:
                terminal.say(message)
            assert terminal.replies() == [Reply(text, len(text), 0.5) for text in messages]


class FakeClient:
    """Answers like a worker that repeats."""

    system = "Be brief."

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def answer_all(self, tasks: list[Task], settings: GenerationSettings) -> Iterator[Any]:
        self.requests.append(tasks)
        turns = tasks[0].turns
        error = "too long" if turns == ("long",) else ""
        yield Answered(1, list(turns), [Statistics(new_tokens=3)] * len(turns), error)

    def say(self, text: str, settings: GenerationSettings) -> Iterator[Any]:
        yield Text(text)
        yield ReplyEnd(text, "stop", Statistics(new_tokens=2))

    def restore(self, turns: list[Any], system: str | None) -> None:
        self.requests.append((turns, system))


def test_scripted_answers() -> None:
    client: Any = FakeClient()
    settings = GenerationSettings()
    together = answer(client, {"turns": ["a", "b"]}, settings)
    assert together["replies"] == ["a", "b"]
    assert [stats["new_tokens"] for stats in together["stats"]] == [3, 3]
    assert client.requests[0][0].system == "Be brief."
    alone = answer(client, {"say": "hello"}, settings)
    assert alone["replies"] == ["hello"]
    assert alone["stats"][0]["new_tokens"] == 2
    assert answer(client, {"clear": True}, settings)["replies"] == []
    assert client.requests[-1] == ([], "Be brief.")
    with pytest.raises(WorkerError, match="too long"):
        answer(client, {"turns": ["long"]}, settings)
