"""`specmemo probe`: it never fails, says what it sees, and never imports torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import platformdirs

from tests.e2e.test_cli import specmemo

COMMAND = [sys.executable, "-m", "specmemo_chat", "probe"]


def test_the_object_for_scripts() -> None:
    done = specmemo("probe", "--json")
    assert done.returncode == 0
    values = json.loads(done.stdout)
    assert set(values) == {"schema", "host", "cpu", "memory", "devices", "profile", "problems"}
    assert values["schema"] == 1
    cpu = values["devices"][-1]
    keys = {
        "index", "kind", "name", "uuid", "total_bytes", "free_bytes", "usable_bytes", "driver", "compute_capability",
    }  # fmt: skip
    assert keys <= set(cpu)
    assert cpu["kind"] == "cpu"
    assert 0 < cpu["usable_bytes"] <= cpu["free_bytes"] <= cpu["total_bytes"]
    assert set(values["profile"]) == {"name", "reason"}
    assert values["host"]["torch"]


def test_the_lines_for_people() -> None:
    done = specmemo("probe")
    assert done.returncode == 0
    assert "processor:" in done.stdout
    assert "profile " in done.stdout
    assert "\x1b" not in done.stdout


def test_a_broken_profile_is_a_problem_and_not_a_failure() -> None:
    folder = platformdirs.user_config_path("specmemo", appauthor=False) / "profiles"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text("colour = 3\n")
    done = specmemo("probe", "--json")
    assert done.returncode == 0
    (problem,) = [text for text in json.loads(done.stdout)["problems"] if "mine.toml" in text]
    assert "mine.toml:1: colour: is not a known key" in problem
    assert done.stderr == ""


def test_watch_looks_again_until_it_is_interrupted() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*COMMAND, "--json", "--watch", "0.1"], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        objects = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    assert all(values["schema"] == 1 for values in objects)


def test_watch_needs_a_sensible_pause() -> None:
    assert specmemo("probe", "--watch", "0").returncode == 2


def test_a_reader_that_leaves_ends_the_watch() -> None:
    """As in `specmemo probe --watch 1 | head -1`."""
    process = subprocess.Popen([*COMMAND, "--watch", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()


def test_it_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; sys.argv = ['specmemo', 'probe']\n"
        "from specmemo_chat.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'prompt_toolkit'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    # Far less than an import of torch takes; generous, because tests run beside other work.
    assert time.monotonic() - begin < 10
