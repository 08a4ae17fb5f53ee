"""The worker process: replies, interrupts, death in mid-reply, restart with the conversation restored."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from specmemo_chat.errors import ModelError, UsageError, WorkerError
from specmemo_chat.events import Ready, ReplyEnd, Text
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.executor import WorkerExecutor
from specmemo_chat.host.requests import Load
from specmemo_chat.settings import GenerationSettings
from tests.models import tiny_plan

SHORT = GenerationSettings(max_new_tokens=8)
# Not over before it is stopped, however late a busy machine lets the test go on.
LONG = GenerationSettings(max_new_tokens=3000)


@pytest.fixture(scope="module")
def client(tiny_folder: Path) -> Iterator[ChatClient]:
    client = make_client(tiny_folder)
    # Each of the tests may be the first: they are shared out as processes become free.
    list(client.load())
    yield client
    client.close()


def make_client(folder: Path) -> ChatClient:
    plan = tiny_plan(target=str(folder), context_tokens=3200, growth_tokens=64)
    return ChatClient(WorkerExecutor, Load(plan, None, "auto", False))


def say(client: ChatClient, text: str, settings: GenerationSettings = SHORT) -> ReplyEnd:
    last = list(client.say(text, settings))[-1]
    assert isinstance(last, ReplyEnd)
    return last


def process_id(client: ChatClient) -> int:
    executor = client._executor
    assert isinstance(executor, WorkerExecutor)
    return executor._process.pid


def test_a_reply_and_its_statistics(client: ChatClient) -> None:
    end = say(client, "Hello there")
    assert end.text
    assert isinstance(client.ready, Ready)
    assert set(client.ready.timings) >= {"import_torch_s", "weights_s"}
    assert end.stats.load_s > 0
    assert end.stats.peak_bytes > 50 << 20
    assert say(client, "And then?").stats.reused_tokens > 0


def test_a_wrong_request_costs_a_message_and_not_the_worker(client: ChatClient) -> None:
    before = process_id(client)
    with pytest.raises(UsageError, match="context"):
        say(client, "word " * 6000)
    assert say(client, "still there?").text
    assert process_id(client) == before


def test_an_interrupt_stops_the_reply_soon(client: ChatClient) -> None:
    events = client.say("Tell me more", LONG)
    for event in events:
        if isinstance(event, Text):
            client.interrupt()
            break
    end = list(events)[-1]
    assert isinstance(end, ReplyEnd)
    assert end.finish_reason == "interrupted"
    assert end.stats.new_tokens < 2500
    assert client.turns[-1].reply == end.text
    assert say(client, "go on").finish_reason == "length"


def test_a_killed_worker_costs_a_message_and_not_the_chat(tiny_folder: Path) -> None:
    client = make_client(tiny_folder)
    try:
        start = say(client, "Hello there")
        first = process_id(client)
        events = client.say("Tell me more", LONG)
        while not isinstance(next(events), Text):
            pass
        os.kill(first, signal.SIGKILL)
        with pytest.raises(WorkerError) as caught:
            list(events)
        assert caught.value.remedy
        assert len(client.turns) == 1
        end = say(client, "Are you back?")
        assert process_id(client) != first
        # The restored turn is part of the prompt.
        assert end.stats.prompt_tokens > start.stats.prompt_tokens + 8
        assert len(client.inspect().context.turn_tokens) == 2
    finally:
        client.close()


def test_the_worker_leaves_with_its_parent(tiny_folder: Path) -> None:
    client = make_client(tiny_folder)
    say(client, "Hello there")
    executor = client._executor
    assert isinstance(executor, WorkerExecutor)
    assert executor._process.stdin is not None
    # What the kernel does when the parent dies.
    executor._process.stdin.close()
    deadline = time.monotonic() + 30
    while executor.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not executor.alive
    client.close()


def test_a_model_that_cannot_be_loaded_is_an_error_with_its_exit_code(tmp_path: Path, tiny_folder: Path) -> None:
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5000])
    client = make_client(tmp_path)
    try:
        with pytest.raises(ModelError, match=r"model\.safetensors is truncated: the tensor"):
            say(client, "Hello")
    finally:
        client.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_the_log_costs_the_log(tiny_folder: Path) -> None:
    plan = tiny_plan(target=str(tiny_folder), context_tokens=480, growth_tokens=64)
    client = ChatClient(lambda: WorkerExecutor(Path("/dev/full")), Load(plan, None, "auto", False))
    try:
        assert say(client, "Hello there").text
        executor = client._executor
    finally:
        client.close()
    # It left when it was asked to, and had not to be made.
    assert isinstance(executor, WorkerExecutor)
    assert executor._process.returncode == 0


def test_a_worker_that_is_asked_to_leave_finishes_what_it_does_then(tmp_path: Path, tiny_folder: Path) -> None:
    """It sends other workers home: the end of its input, which makes it leave at once, must not come before that."""
    script = tmp_path / "script.json"
    script.write_text('{"replies": {}}')
    left = tmp_path / "left"
    program = (
        "import pathlib, time\n"
        "from specmemo_chat.host import worker\n"
        "from tests.scripted.worker import ScriptedService\n"
        f"def leave(self): time.sleep(0.5); pathlib.Path({str(left)!r}).touch()\n"
        "ScriptedService.leave = leave; worker.Service = ScriptedService; worker.main()"
    )
    load = Load(tiny_plan(target=str(tiny_folder), context_tokens=480, growth_tokens=64), None, "auto", False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCRIPT", str(script))
        patch.chdir(Path(__file__).parents[2])
        # A busy machine must not make it late.
        patch.setattr(WorkerExecutor, "leave_s", 30.0)
        client = ChatClient(lambda: WorkerExecutor(command=[sys.executable, "-c", program]), load)
        say(client, "Hello there")
        client.close()
    assert left.exists()
