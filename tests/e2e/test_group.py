"""Several workers that hold one model: the same text as one, and what happens when one of them dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from specmemo_chat.errors import UsageError, WorkerError
from specmemo_chat.events import ReplyEnd, Text
from specmemo_chat.host.client import ChatClient
from specmemo_chat.host.executor import WorkerExecutor
from specmemo_chat.host.link import AGAIN
from specmemo_chat.host.requests import Load
from specmemo_chat.host.torchrun import TorchrunExecutor
from specmemo_chat.settings import GenerationSettings
from tests.e2e.test_cli import specmemo
from tests.heads import HIDDEN, write_eagle
from tests.models import tiny_plan
from tests.tiny import TINY

GREEDY = GenerationSettings(max_new_tokens=24)
SAMPLED = GenerationSettings(temperature=0.9, top_p=0.95, repeat_penalty=1.1, seed=5, max_new_tokens=24)
# Not over before it is stopped, however late a busy machine lets the test go on.
LONG = GenerationSettings(max_new_tokens=1800)
# Each starts a dozen processes that import torch: on a machine with other work that alone may take minutes.
SLOW = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EAGLE head for the tiny model: it calls the target's embedding and output layer, which are shared out."""
    folder = tmp_path_factory.mktemp("head")
    write_eagle(folder)
    config = json.loads((folder / "config.json").read_text())
    assert TINY["hidden_size"] == HIDDEN
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": TINY["vocab_size"]}))
    return folder


def plan_for(folder: Path, head: Path, **changes: Any) -> Any:
    return tiny_plan(
        target=str(folder),
        context_tokens=1920,
        growth_tokens=64,
        drafters=("ngram", "eagle"),
        draft=str(head),
        **changes,
    )


@pytest.fixture
def clients(tiny_folder: Path, head: Path, tmp_path: Path) -> Iterator[tuple[ChatClient, ChatClient]]:
    """The same chat on one worker and on two."""
    one = Load(plan_for(tiny_folder, head))
    two = Load(plan_for(tiny_folder, head, tp=2), devices=("cpu", "cpu"))
    log = tmp_path / "workers.log"
    pair = (ChatClient(WorkerExecutor, one), ChatClient(lambda: TorchrunExecutor(two, log=log), two))
    yield pair
    for client in pair:
        client.close()
    assert not own_processes()


def own_processes(root: int | None = None) -> list[psutil.Process]:
    """The living workers and launchers below process `root`: what else this process started is not looked at."""
    return living(psutil.Process(root).children(recursive=True))


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of `processes` that are workers or launchers and still run."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie: it has ended since
            if "specmemo_chat.host" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def worker(rank: int, root: int | None = None) -> psutil.Process:
    """The process of this rank."""
    for process in own_processes(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.environ().get("RANK") == str(rank):
                return process
    raise AssertionError(f"there is no worker {rank}")


def end(events: Iterator[Any]) -> ReplyEnd:
    last = list(events)[-1]
    assert isinstance(last, ReplyEnd)
    return last


@SLOW
def test_two_workers_are_one(clients: tuple[ChatClient, ChatClient]) -> None:
    """Text, turns, errors, interrupts, death of a worker: as with one worker, through the same client."""
    one, two = clients
    for settings in (GREEDY, SAMPLED):
        for message in ("Hello there", "And then?"):
            assert end(two.say(message, settings)).text == end(one.say(message, settings)).text
    assert end(two.regenerate(GREEDY)).text == end(one.regenerate(GREEDY)).text
    assert two.messages() == one.messages()
    assert two.compare(GREEDY).identical
    found = two.inspect()
    assert len(found.workers) == 2
    assert found.memory.peak_bytes >= max(each.rss_bytes for each in found.workers) * 0.99 > 50 << 20

    for client in (one, two):
        with pytest.raises(UsageError, match="context"):
            end(client.say("word " * 3600, GREEDY))
    events = two.say("Tell me more", LONG)
    while not isinstance(next(events), Text):
        pass
    two.interrupt()
    stopped = end(events)
    assert stopped.finish_reason == "interrupted"
    assert stopped.stats.new_tokens < 1500
    two.undo()
    assert end(two.say("Once more", GREEDY)).text == end(one.say("Once more", GREEDY)).text

    kept = two.messages()
    events = two.say("Tell me more", LONG)
    while not isinstance(next(events), Text):
        pass
    struck = time.monotonic()
    pid = worker(1).pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=rf"worker 1 of 2 \(process {pid}\) was killed by SIGKILL") as caught:
        end(events)
    assert time.monotonic() - struck < 10
    assert AGAIN in caught.value.remedies
    assert two.messages() == kept
    assert len(own_processes()) == 1  # that of `one`

    # Started anew, with the conversation as text; then a worker that is stopped and never answers.
    one.restore(list(one.turns), one.system)
    assert end(two.say("And now?", GREEDY)).text == end(one.say("And now?", GREEDY)).text
    events = two.say("Tell me more", LONG)
    while not isinstance(next(events), Text):
        pass
    struck = time.monotonic()
    worker(1).suspend()
    with pytest.raises(WorkerError, match=r"worker 1 of 2 \(process \d+\) gave no sign of life for \d+ s"):
        end(events)
    assert time.monotonic() - struck < 10
    assert len(own_processes()) == 1


@SLOW
def test_the_command_names_the_worker_that_ended_and_leaves_none(tiny_folder: Path) -> None:
    """`chat --gpus 2` with a worker that is killed in mid-reply, then with one that is stopped: message and exit code
    within ten seconds, and what was shown is stored."""
    flags = ("--model", str(tiny_folder), "--device", "cpu", "--dtype", "fp32", "--ctx-size", "4000")
    command = [
        sys.executable,
        "-m",
        "specmemo_chat",
        "chat",
        *flags,
        "--gpus",
        "2",
        "-n",
        "3900",
        "--session",
        "struck",
    ]
    for message, blow, words in (
        ("First words", signal.SIGKILL, r"worker 1 of 2 \(process \d+\) was killed by SIGKILL"),
        ("Second words", signal.SIGSTOP, r"worker 1 of 2 \(process \d+\) gave no sign of life for \d+ s"),
    ):
        with subprocess.Popen(
            [*command, "-p", message], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as chat:
            try:
                assert chat.stdout is not None
                assert os.read(chat.stdout.fileno(), 1), "the reply ended before it began"
                workers = own_processes(chat.pid)
                assert len(workers) == 3  # and the launcher
                worker(1, chat.pid).send_signal(blow)
                struck = time.monotonic()
                _, notes = chat.communicate(timeout=60)
                assert time.monotonic() - struck < 10
            finally:
                chat.kill()
        assert chat.returncode == 1, notes
        assert re.search(words, notes.decode()), notes
        assert b"Traceback" not in notes
        assert not living(workers)
    stored = specmemo("sessions", "show", "struck").stdout
    assert stored.count("cut off") == 2
    assert stored.index("First words") < stored.index("Second words")


@SLOW
def test_the_commands_answer_alike_with_two_workers(tiny_folder: Path, tmp_path: Path) -> None:
    flags = ("--model", str(tiny_folder), "--device", "cpu", "--dtype", "fp32", "--ctx-size", "256", "-s", "7")
    questions = tmp_path / "questions.jsonl"
    lines = [{"question_id": 1, "turns": ["Hello", "And you?"]}, {"question_id": 2, "prompt": "What is this?"}]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    chats, batches = [], []
    for gpus in ("1", "2"):
        done = specmemo("chat", *flags, "--gpus", gpus, "--temp", "0.9", "-n", "16", "--json", "-p", "Hello there")
        assert done.returncode == 0, done.stderr
        chats.append(json.loads(done.stdout)["text"])
        out = tmp_path / f"out-{gpus}.jsonl"
        done = specmemo("batch", str(questions), "-o", str(out), *flags, "--gpus", gpus, "-n", "12", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["world_size"] == int(gpus)
        assert len(json.loads(done.stdout)["peak_bytes"]) == int(gpus)
        replies = [json.loads(line) for line in out.read_text().splitlines()]
        batches.append({reply["question_id"]: reply["replies"] for reply in replies})
    assert chats[0] == chats[1] != ""
    assert batches[0] == batches[1]
    assert len(batches[0][1]) == 2


def free_port() -> int:
    """A port that no connection takes before it is used: the system gives those higher numbers."""
    for port in random.Random(os.getpid()).sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no free port")


def bother(chat: int, over: threading.Event) -> int:
    """Connect to every port at which the workers of the process `chat` listen, hang up, stay silent, or send what is no
    message, until `over`; how many ports there were."""
    ports: set[int] = set()
    with contextlib.ExitStack() as silent:
        while not over.wait(0.2):
            for process in own_processes(chat):
                with contextlib.suppress(psutil.Error):
                    ports |= {each.laddr.port for each in process.net_connections("tcp") if each.status == "LISTEN"}
            for port in ports:
                for words in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 300, None):
                    with contextlib.suppress(OSError):
                        stray = socket.create_connection(("localhost", port), timeout=1)
                        if words is None:
                            silent.enter_context(stray)
                            continue
                        with stray:
                            stray.sendall(words)
    return len(ports)


@SLOW
def test_two_machines(tiny_folder: Path) -> None:
    """Two torchrun agents, as on two machines, here on one: they meet at a port, the chat is on the first. Strangers
    connect to all ports meanwhile."""
    endpoint = f"localhost:{free_port()}"
    flags = ("--model", str(tiny_folder), "--device", "cpu", "--dtype", "fp32", "--ctx-size", "256", "-n", "12")
    together = ("--gpus", "2", "--nnodes", "2", "--rdzv-endpoint", endpoint)
    command = [sys.executable, "-m", "specmemo_chat", "chat", *flags]
    over = threading.Event()
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([*command, *together, "--node-rank", "0", "-p", "Hello there"], **pipes) as chat,
        subprocess.Popen([*command, *together, "--node-rank", "1"], **pipes) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            ports = pool.submit(bother, chat.pid, over)
            reply, notes = chat.communicate(timeout=240)
            over.set()
            assert chat.returncode == 0, notes
            assert ports.result() >= 2  # that at which they meet, and worker 0's
            _, notes = other.communicate(timeout=120)
        finally:
            over.set()
            chat.kill()
            other.kill()
    assert other.returncode == 0, notes
    assert "machine 1 of 2" in notes
    assert reply == specmemo("chat", *flags, "-p", "Hello there").stdout != ""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[list[str]]]:
    """What to put before a command to run it on the first and on the second of two machines: network namespaces between
    which there is IPv6 only, and in which, as on Debian, each machine calls itself 127.0.1.1."""
    names = [f"specmemo-{os.getpid()}-{number}" for number in range(2)]
    own = "127.0.0.1 localhost\n127.0.1.1 first-host first_host\n"
    (tmp_path / "hosts-0").write_text(own)
    (tmp_path / "hosts-1").write_text(own.replace("first-host first_host", "second-host") + "fd77::1 first_host\n")
    steps = [f"netns add {name}" for name in names]
    steps.append(f"link add wire netns {names[0]} type veth peer name wire netns {names[1]}")
    for number, name in enumerate(names):
        steps.append(f"-n {name} addr add fd77::{number + 1}/64 dev wire nodad")
        steps += [f"-n {name} link set {device} up" for device in ("lo", "wire")]
    inside = 'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"'
    machines = [
        [
            "ip",
            "netns",
            "exec",
            name,
            "unshare",
            "-u",
            "-m",
            "sh",
            "-c",
            inside,
            host,
            str(tmp_path / f"hosts-{number}"),
        ]
        for number, (name, host) in enumerate(zip(names, ("first-host", "second-host"), strict=True))
    ]
    try:
        for command in [*(["ip", *step.split()] for step in steps), *([*machine, "true"] for machine in machines)]:
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
                pytest.skip(f"no other hosts can be made here: {' '.join(command[:3])}: {reason}")
        yield machines
    finally:
        with contextlib.suppress(OSError):
            for name in names:
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@SLOW
def test_two_machines_that_call_themselves_127_0_1_1(tiny_folder: Path, hosts: list[list[str]]) -> None:
    flags = ("--model", str(tiny_folder), "--device", "cpu", "--dtype", "fp32", "--ctx-size", "256", "-n", "4")
    command = [sys.executable, "-m", "specmemo_chat", "chat", *flags, *TWO, "--rdzv-endpoint", "first_host:29400"]
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*hosts[1], *command], **pipes) as other:
        try:
            with subprocess.Popen([*hosts[0], *command, "-p", "Hello"], **pipes) as chat:
                try:
                    reply, notes = chat.communicate(timeout=120)
                finally:
                    chat.kill()
            assert chat.returncode == 0, notes
            _, other_notes = other.communicate(timeout=60)
        finally:
            other.kill()
    assert reply != ""
    assert other.returncode == 0, other_notes


TWO = ("--gpus", "2", "--nnodes", "2", "--device", "cpu")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--gpus", "3", "--device", "cpu"), "cannot be shared out over 3 workers"),
        (TWO, "needs --rdzv-endpoint"),
        (("--rdzv-endpoint", "host:1", "--device", "cpu"), "give --nnodes too"),
        (("--gpus", "3", "--nnodes", "2", "--rdzv-endpoint", "localhost:29400", "--device", "cpu"), "not shared out"),
        ((*TWO, "--rdzv-endpoint", "::1:29400"), "write [::1]:29400"),
        ((*TWO, "--rdzv-endpoint", "[]:29400"), "HOST:PORT, not"),
        ((*TWO, "--rdzv-endpoint", "nobody.invalid:29400"), "does not know the host 'nobody.invalid'"),
        ((*TWO, "--rdzv-endpoint", "no..name:29400"), "does not know the host 'no..name'"),
    ],
)
def test_wrong_flags_are_refused(flags: tuple[str, ...], message: str) -> None:
    done = specmemo("chat", *flags, "-p", "Hello", timeout=30)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
