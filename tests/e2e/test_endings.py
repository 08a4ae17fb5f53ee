"""However the program ends, in whatever it does: the exit code says why, no worker stays, the terminal is as it was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.test_sessions import until_stored
from tests.scripted.program import FLAGS, PROGRAM, environment, run
from tests.terminal import SCRIPTED, Terminal

LIMIT_S = 60
# Longer than any test waits.
NEVER_S = 600
HELD = {"hold_s": NEVER_S}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))

    def write(**others: Any) -> None:
        for name, value in environment(tmp_path, **others).items():
            monkeypatch.setenv(name, value)

    write()
    return write


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    temporary = tmp_path / "temporary"
    assert not temporary.exists() or not list(temporary.iterdir())


def workers_of(pid: int, program: str = "worker.py") -> list[psutil.Process]:
    """The processes below `pid`, once one of them runs `program`."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(pid).children(recursive=True)
            if any(program in word for process in found for word in process.cmdline()):
                return found
        time.sleep(0.02)
    raise AssertionError("no worker was started")


def assert_gone(workers: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(workers, timeout=LIMIT_S)
    assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def start(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, errors = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    return process.returncode, out, errors


@pytest.mark.parametrize("other", [{"load_s": NEVER_S}, HELD], ids=["load", "import"])
@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_while_a_model_loads_for_one_reply(
    script: Callable[..., None], other: dict[str, Any], as_json: bool
) -> None:
    script(**other)
    process = start("chat", *FLAGS, *(["--json"] if as_json else []), "-p", "Hi")
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    code, out, errors = ended(process)
    assert code == 130, errors
    assert_gone(workers)
    if as_json:
        values = json.loads(out)
        assert (values["text"], values["finish_reason"]) == ("", "interrupted")
        assert values["stats"]["cap_bytes"] == 600 << 20
    else:
        assert out == ""


def test_ctrl_c_where_the_worker_hears_nothing(script: Callable[..., None]) -> None:
    """It is in the middle of a long step: what was shown of the reply is the answer."""
    script(deaf_s=NEVER_S, replies={"Speak": [["Some words", False, 0.0]]})
    process = start("chat", *FLAGS, "-p", "Speak")
    assert process.stdout is not None
    assert process.stdout.read(10) == "Some words"
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    code, out, errors = ended(process)
    assert (code, out) == (130, "\n"), errors
    assert_gone(workers)


def test_ctrl_c_before_there_is_a_plan(script: Callable[..., None]) -> None:
    process = start("chat", "--json", *FLAGS, stdin=subprocess.PIPE)
    # It waits for its text.
    deadline = time.monotonic() + LIMIT_S
    while psutil.Process(process.pid).cpu_times().user < 0.05 or "pipe" not in _waits_in(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, out, errors = ended(process)
    assert code == 130, errors
    assert json.loads(out)["finish_reason"] == "interrupted"


def _waits_in(pid: int) -> str:
    """The kernel's function in which a process sleeps, with what Linux tells of it; "pipe" where it tells nothing."""
    return (Path(f"/proc/{pid}/wchan").read_text() or "pipe") if Path(f"/proc/{pid}/wchan").exists() else "pipe"


def test_ctrl_c_while_the_program_itself_loads() -> None:
    code = "import os, signal, specmemo_chat.__main__; os.kill(os.getpid(), signal.SIGINT); print('still here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_a_batch_loads(script: Callable[..., None], tmp_path: Path) -> None:
    script(**HELD)
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "Hi"}\n')
    process = start("batch", str(source), "-o", str(tmp_path / "out.jsonl"), *FLAGS, "--json")
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    code, out, errors = ended(process)
    assert code == 130, errors
    assert_gone(workers)
    assert json.loads(out)["conversations"] == 0
    assert "run the same command again" in errors


def test_ctrl_c_before_anything_is_trained(script: Callable[..., None], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "Hi"}\n')
    process = start("train-draft", "--data", str(data), "-o", str(tmp_path / "head"), "--device", "cpu")
    workers = workers_of(process.pid, "specmemo_chat.distill.training")
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)
    assert code == 130, errors
    assert_gone(workers)


STATES = {"prompt": {}, "loading": HELD, "reply": {}}


def chat_in(state: str) -> Terminal:
    """A chat that waits at its prompt, for its model, or for the rest of a reply."""
    terminal = Terminal("chat", *FLAGS, "--session", "ends", script=SCRIPTED)
    terminal.wait_prompt()
    if state != "prompt":
        terminal.enter("Everything")
        terminal.wait("loading the model" if state == "loading" else "word20")
    return terminal


@pytest.mark.parametrize(
    ("state", "signum"),
    [
        ("prompt", signal.SIGTERM),
        ("prompt", signal.SIGHUP),
        ("loading", signal.SIGTERM),
        ("reply", signal.SIGTERM),
        ("reply", signal.SIGQUIT),
    ],
)
def test_a_signal_ends_a_chat_in_order(script: Callable[..., None], state: str, signum: signal.Signals) -> None:
    script(**STATES[state])
    terminal = chat_in(state)
    workers = workers_of(terminal.pid)
    os.kill(terminal.pid, signum)
    terminal.until(lambda: not psutil.pid_exists(terminal.pid) or _is_zombie(terminal.pid), LIMIT_S)
    modes = terminal.modes
    assert terminal.exit_status() == 128 + signum
    assert_gone(workers)
    assert "Traceback" not in terminal.transcript
    # As a terminal is at first: keys are shown, lines are read, Enter ends them, a Ctrl-C throws away what was typed.
    assert modes[3] & termios.ECHO
    assert modes[3] & termios.ICANON
    assert modes[0] & termios.ICRNL
    assert not modes[3] & termios.NOFLSH
    for on, off in (("\x1b[?2004h", "\x1b[?2004l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?7l", "\x1b[?7h")):
        assert terminal.raw.rfind(on) <= terminal.raw.rfind(off), on
    if state == "reply":
        # What was shown of it is kept.
        assert "word20" in until_stored("partial", 1)


def test_a_stopped_chat_can_be_ended_without_its_terminal(script: Callable[..., None]) -> None:
    script(**HELD)
    terminal = Terminal("chat", *FLAGS, "--session", "ends", script=SCRIPTED.with_name("shell.py"))
    terminal.wait_prompt()
    terminal.enter("Everything")
    terminal.wait("loading the model")
    (chat,) = psutil.Process(terminal.pid).children()
    workers = workers_of(chat.pid)
    terminal.send("\x1a")
    terminal.wait("stopped")
    # In the background it would go on, but the terminal is not its own: it stops again.
    terminal.enter("bg")
    terminal.until(lambda: terminal.transcript.count("stopped") == 2)
    terminal.enter("kill")
    assert terminal.exit_status(LIMIT_S) == 143
    assert_gone([chat, *workers])


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize("state", ["prompt", "loading", "reply"])
def test_a_closed_window_leaves_nothing(script: Callable[..., None], state: str) -> None:
    script(**STATES[state])
    terminal = chat_in(state)
    workers = [psutil.Process(terminal.pid), *workers_of(terminal.pid)]
    terminal.close_window()
    assert_gone(workers)


@pytest.mark.parametrize("other", [{}, HELD], ids=["reply", "import"])
def test_a_killed_chat_takes_its_worker_along(script: Callable[..., None], other: dict[str, Any]) -> None:
    script(**other)
    process = start("chat", *FLAGS, "-p", "Everything")
    workers = workers_of(process.pid)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert_gone(workers)


def test_what_nohup_has_ignored_stays_ignored(script: Callable[..., None]) -> None:
    command = f"trap '' HUP INT; exec {' '.join(PROGRAM)} chat {' '.join(FLAGS)} -p Everything"
    process = subprocess.Popen(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == "word0"
    for signum in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(signum)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


FULL = "standard output cannot be written: No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("command", "code", "out", "errors"),
    [
        ("chat {flags} -p Hi > /dev/full", 1, "", FULL),
        ("chat {flags} -p Hi >&-", 1, "", "standard output cannot be written: it is closed"),
        ("chat {flags} -p Hi <&-", 0, "You said: Hi", ""),
        ("chat {flags} -p Hi 2> /dev/full", 0, "You said: Hi", ""),
        ("chat {flags} -p Hi <&- 2>&- >&-", 1, "", ""),
        ("chat {flags} <&-", 1, "", "standard input is closed"),
        ("chat {flags} -p Everything | head -c 9", 0, "word0 wor", ""),
        ("plan >&-", 1, "", "standard output cannot be written: it is closed"),
        ("plan nothing-like-it 2>&-", 4, "", ""),
        ("--version > /dev/full", 1, "", FULL),
        ("--help | head -1", 0, "", ""),
        ("> /dev/full", 1, "", FULL),
    ],
)
def test_broken_streams(script: Callable[..., None], command: str, code: int, out: str, errors: str) -> None:
    line = f"{' '.join(PROGRAM)} {command.format(flags=' '.join(FLAGS))}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == code, done.stderr
    assert out in done.stdout
    said = [text for text in done.stderr.splitlines() if text.startswith("error")]
    assert len(said) == bool(errors)
    assert errors in "".join(said)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that nobody can write to is needed")
@pytest.mark.parametrize("kind", ["long", "missing", "read-only"])
def test_any_folder_for_temporary_files_will_do(
    script: Callable[..., None], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 200)
    long.mkdir()
    folders = {"long": str(long), "missing": str(tmp_path / "missing"), "read-only": "/proc/self"}
    monkeypatch.setenv("TMPDIR", folders[kind])
    done = run("chat", *FLAGS, "-p", "Hi")
    assert (done.returncode, done.stdout) == (0, "You said: Hi\n"), done.stderr


def test_a_terminal_without_escape_sequences_gets_none(script: Callable[..., None]) -> None:
    script(load_s=0.8, replies={"Code": [["# Title\n\n```python\nx = 1\n```\n**bold**", False, 0.1]]})
    for arguments in (("--help",), ("chat", "--nonsense"), ("chat", *FLAGS, "-p", "Code")):
        terminal = Terminal(*arguments, script=SCRIPTED, kind="dumb")
        terminal.exit_status(LIMIT_S)
        assert terminal.raw
        assert "\x1b" not in terminal.raw, repr(terminal.raw)
    terminal = Terminal("chat", *FLAGS, script=SCRIPTED, kind="dumb")
    terminal.wait("leaves")
    terminal.enter("Code")
    terminal.wait("bold")
    for line, answer in (("/stats", "acceptance"), ("/context", "nothing is dropped"), ("/help", "stop a reply")):
        terminal.enter(line)
        terminal.wait(answer)
    terminal.enter("Everything")
    terminal.wait("word3")
    terminal.send("\x03")
    terminal.wait("interrupted; what was shown")
    terminal.enter("/bye")
    assert terminal.exit_status(LIMIT_S) == 0
    assert "\x1b" not in terminal.raw, repr(terminal.raw)
