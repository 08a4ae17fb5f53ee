"""docs/reference.md says what the program has: commands, flags, keys, slash commands, exit codes, JSON."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specmemo_chat import errors
from specmemo_chat.batch.run import Totals
from specmemo_chat.cli import app as cli
from specmemo_chat.cli.models_command import Line
from specmemo_chat.device.probe import probe
from specmemo_chat.distill import asking
from specmemo_chat.distill.training.settings import TrainingSettings
from specmemo_chat.doctor.findings import Finding
from specmemo_chat.events import ReplyEnd, Statistics
from specmemo_chat.memory.terms import Terms
from specmemo_chat.repl.commands import registry
from specmemo_chat.repl.commands.tuning import SETTINGS
from specmemo_chat.repl.oneshot import reply_json
from specmemo_chat.reports.probe_table import probe_json
from specmemo_chat.sessions.places import open_store
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.setup.configuration import config_file, folders, read
from specmemo_chat.setup.flags import FLAGS
from tests.command_line import command_of, commands, flags
from tests.reference import PAGE, check_keys, quoted, rows, section

FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, without variables that set a flag."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def printed(*words: str) -> dict[str, Any]:
    """What a command prints with `--json`."""
    return dict(json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout))


def test_every_command_has_a_section_with_its_flags() -> None:
    known = {name: found - {"--help", "-h"} for name, found in flags().items()}
    groups = {name for name, command in commands().items() if name and getattr(command, "commands", None)}
    found = {}
    for title in re.findall(r"^### (.+)$", section("Commands"), re.MULTILINE):
        name = command_of(quoted(title)[0].split()[1:], known)
        body = section(title)
        found[name] = set(FLAG.findall(body.rpartition("Flags:")[2].replace("`", " ")))
        # What begins with a word is another command's flag.
        named = {flag for span in quoted(body) if span.startswith("-") for flag in FLAG.findall(span)}
        assert named - {"-"} <= found[name], name
    assert found == {name: found for name, found in known.items() if name not in groups}


def test_shared_flags_and_their_keys() -> None:
    listed = {}
    for names, _value, _meaning, mark in rows(section("Flags that commands share")):
        spellings = quoted(names)
        listed[spellings[0].removeprefix("--").replace("-", "_")] = (tuple(spellings), mark != ".")
    assert listed == {flag.name: (flag.names, flag.key) for flag in FLAGS.values()}


def test_the_example_of_a_configuration_is_read(home: Path) -> None:
    text = section("Configuration and environment")
    example = re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert example is not None
    file = config_file()
    file.parent.mkdir(parents=True)
    file.write_text(example[1])
    assert read(file) == tomllib.loads(example[1])


@pytest.mark.skipif(sys.platform != "linux", reason="the page has Linux's folders")
def test_the_folders(home: Path) -> None:
    listed = {quoted(names)[0] for names, _ in rows(section("Configuration and environment"))}
    assert listed == {f"~/{folder.relative_to(home)}" for folder in folders().values()}


def test_slash_commands_and_settings() -> None:
    text = section("In the REPL")
    known = {command.usage for command in registry.COMMANDS.values()} | {f"/{alias}" for alias in registry.ALIASES}
    named = {name.replace("\\|", "|") for names, _ in rows(text) for name in quoted(names)}
    assert named == known
    settings = re.search(r"^Settings of `/set`: `([^`]+)`", text, re.MULTILINE)
    assert settings is not None
    assert settings[1].split() == list(SETTINGS)


def test_exit_codes() -> None:
    listed = {code: set(quoted(kinds)) for code, _, kinds in rows(section("Exit codes"))}
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SpecmemoError)
    ]
    expected: dict[str, set[str]] = {"0": set(), "130": set(), "128 + N": set()}
    for kind in kinds:
        expected.setdefault(str(kind.exit_code), set()).add(kind.__name__)
    assert listed == expected


STATS = Statistics(new_tokens=3, decode_s=1.0, steps=1).as_json()


def test_replies_and_batches() -> None:
    check_keys("Statistics of a reply", STATS)
    bare, thoughtful = ReplyEnd("Hi", "stop", Statistics()), ReplyEnd("<think>Hm</think>Hi", "stop", Statistics())
    check_keys("`specmemo chat --json`", reply_json("m", bare), reply_json("m", thoughtful))
    check_keys("`specmemo batch --json`", Totals().as_json())


def test_plans(home: Path) -> None:
    named = set(quoted(section("`specmemo plan --json`")))
    assert {f"terms.{name}" for name, _ in Terms()} <= named
    device = ("--device", "titan-rtx-24gb")
    check_keys(
        "`specmemo plan --json`",
        printed("plan", "llama-2-7b-chat", *device, "--frontier"),
        printed("plan", "llama-2-7b-chat", *device, "--max-memory", "4GiB"),
        printed("plan", "qwen3-1.7b", "--device", "rtx-3060-12gb"),
    )


def test_the_machine(home: Path) -> None:
    values = probe_json(probe())
    check_keys(
        "`specmemo probe --json`",
        values,
        {**values, "devices": [{**values["devices"][0], "memory_bandwidth": 1}]},
    )
    check_keys("`specmemo config path --json`", printed("config", "path"))
    check_keys("`specmemo config show --json`", printed("config", "show"))


def test_the_doctor(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("disk", "ok", "enough"), Finding("hub", "note", "not reached", "go online")]
    monkeypatch.setattr("specmemo_chat.doctor.checks.all_checks", lambda offline: {"all": lambda: iter(found)})
    check_keys("`specmemo doctor --json`", printed("doctor", "--offline"))


def test_models(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    line = Line("m", "m", 1, 1, "here", "", False, "", "", False, "fewer tokens", "a problem").as_json()
    listed = printed("models", "ls", "--max-memory", "1GiB")
    check_keys("`specmemo models ls --json`", {**listed, "models": [line]}, listed)


def test_conversations(home: Path) -> None:
    recorder = Recorder(open_store, "pocket", name="trip")
    recorder.changed([("Hi!", "Hello."), ("And?", "So.")], "Be kind.")
    recorder.close()
    check_keys("`specmemo sessions ls --json`", printed("sessions", "ls"))
    check_keys("`specmemo sessions show --json`", printed("sessions", "show", "trip"))


def test_training() -> None:
    done = {"held_out": [], "steps": 1, "tokens": 1, "seconds": 1.0, "head_bytes": 1, "peak_bytes": 1}
    check_keys("`specmemo train-draft --json`", asking.summary(done, TrainingSettings(data="", out="head")))


def test_no_text_of_the_repository_cites_what_is_not_in_it() -> None:
    """Documents that are named exist."""
    root = PAGE.parents[1]
    for folder in ("specmemo_chat", "tests", "tools", "benchmarks", "docs"):
        for path in [*(root / folder).rglob("*.py"), *(root / folder).rglob("*.md")]:
            text = path.read_text(encoding="utf-8")
            for name in re.findall(r"\b[A-Z]{4,}\.md\b", text):
                assert (root / name).exists(), f"{path} names {name}"
