"""The line between the terminal's process and a worker: what cannot be read, what comes early, and whose end it is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from specmemo_chat.errors import WorkerError
from specmemo_chat.events import ReplyEnd, Text
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.executor import WorkerExecutor
from specmemo_chat.host.link import Link, inherited, link_pair
from specmemo_chat.host.requests import Inspect, Load, Say, Shutdown, encode
from specmemo_chat.host.worker import Worker
from specmemo_chat.settings import GenerationSettings
from tests.models import tiny_plan
from tests.scripted.program import environment

SCRIPTED = [sys.executable, str(Path(__file__).parents[1] / "scripted" / "worker.py")]
SETTINGS = GenerationSettings(max_new_tokens=8)
LIMIT_S = 60.0


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatClient]:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    client = ChatClient(lambda: WorkerExecutor(command=SCRIPTED), Load(tiny_plan(target="none"), None, "auto", False))
    yield client
    client.close()


@pytest.fixture
def served() -> Iterator[Link]:
    """The terminal's end of the link of a worker that runs in a thread here."""
    near, far = link_pair()
    thread = threading.Thread(target=Worker(inherited(far.detach())).serve, daemon=True)
    thread.start()
    yield near
    near.send(encode(Shutdown()))
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def failure_of(link: Link) -> str:
    message = link.receive(LIMIT_S)
    while message is not None and message["event"] == "Heartbeat":
        message = link.receive(LIMIT_S)
    assert message is not None
    assert message["event"] == "Failure"
    return str(message["message"])


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b'{"request": "Say", "text": "Hi"', "JSONDecodeError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"[]", "KeyError"),
        (b'{"request": "Sing"}', "KeyError"),
        (b'{"request": "Say", "words": 1}', "TypeError"),
        (json.dumps(encode(Say("Hi", SETTINGS))).replace('"top_k"', '"top_j"').encode(), "TypeError"),
        (json.dumps(encode(Inspect())).encode(), "not loaded"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered(served: Link, payload: bytes, what: str) -> None:
    for _ in range(2):
        served.send_bytes(payload)
        assert what in failure_of(served)


def test_an_answer_that_cannot_be_read_ends_the_worker_and_not_the_chat(
    client: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(client.say("Hello", SETTINGS))
    with monkeypatch.context() as patch:
        # A worker of another version.
        patch.setattr("specmemo_chat.events._KINDS", {})
        with pytest.raises(WorkerError, match="sent what cannot be read"):
            list(client.say("Hello", SETTINGS))
    assert isinstance(list(client.say("Hello", SETTINGS))[-1], ReplyEnd)
    assert len(client.turns) == 2


def test_an_interrupt_before_the_request_is_on_its_way_counts(client: ChatClient) -> None:
    list(client.say("Hello", SETTINGS))
    answer = client.say("Everything", SETTINGS)
    client.interrupt()
    end = list(answer)[-1]
    assert isinstance(end, ReplyEnd)
    assert end.finish_reason == "interrupted"


def test_an_interrupt_after_the_end_is_not_the_next_replys(client: ChatClient) -> None:
    for _ in range(2):
        end = list(client.say("Hello", SETTINGS))[-1]
        client.interrupt()
        assert isinstance(end, ReplyEnd)
        assert end.finish_reason == "stop"


def test_no_worker_needs_a_folder_for_temporary_files(client: ChatClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be missing, full, read-only, or have a name that is too long for a socket."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert any(isinstance(event, Text) for event in client.say("Hello", SETTINGS))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread must see it, and none runs here")
@pytest.mark.parametrize("stopped", [False, True])
def test_a_worker_leaves_with_its_parent_whatever_it_does(stopped: bool) -> None:
    busy = (
        "import ctypes, os, signal\nfrom specmemo_chat.device.lifeline import leave_with_parent\nleave_with_parent()\n"
    )
    busy += "print(flush=True)\n"
    # An import or a tokenizer holds the interpreter's lock like this.
    busy += "os.kill(os.getpid(), signal.SIGSTOP)" if stopped else "ctypes.PyDLL(None).sleep(600)"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            process.stdout.read(1)
            process.stdin.close()
            assert process.wait(LIMIT_S) != 0
        finally:
            process.kill()
