"""config.toml: what it may say, what is wrong with it and where, and which value wins."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from specmemo_chat.cli import app as cli
from specmemo_chat.cli import options
from specmemo_chat.errors import UsageError
from specmemo_chat.setup import configuration
from specmemo_chat.setup.configuration import config_file, read
from specmemo_chat.setup.flags import KEYS
from tests.command_line import commands


@pytest.fixture
def file() -> Path:
    config_file().parent.mkdir(parents=True)
    return config_file()


def run(*arguments: str, **environment: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["specmemo", *arguments])
        return CliRunner().invoke(cli.app, list(arguments), env=environment)


def shown(**environment: str) -> dict[str, tuple[Any, str]]:
    done = run("config", "show", "--json", **environment)
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)["values"]
    return {name: (entry["value"], entry["source"]) for name, entry in values.items()}


def test_every_key_is_a_flag_and_has_an_environment_variable() -> None:
    assert {"model", "max_memory", "ctx_size", "temperature", "seed", "offline", "color", "dtype"} <= set(KEYS)
    for key in KEYS.values():
        assert key.variable == f"SPECMEMO_{key.name.upper()}"
        declared = [
            parameter
            for command in commands().values()
            for parameter in command.params
            if parameter.name == key.name and parameter.envvar
        ]
        assert declared, f"no command has {key.name}"
        for parameter in declared:
            assert parameter.envvar == key.variable
            if isinstance(parameter.default, (str, int, float)):
                assert isinstance(parameter.default, key.kind), key
    # Remote code is run for who asks for it there and then.
    assert "trust_remote_code" not in KEYS


def test_a_value_of_the_right_type_is_taken(file: Path) -> None:
    file.write_text(
        'model = "qwen3-1.7b"\nmax_memory = "6GiB"\nctx_size = 4096\ntemperature = 1\ntop_p = 0.9\noffline = true\n'
        'dtype = "bf16"\nseed = 3\nsystem = """\nctx_size = "not this line"\n"""\n'
    )
    values = read(file)
    assert values == tomllib.loads(file.read_text())
    assert values["temperature"] == 1


WRONG = [
    ('colour = "never"', "'colour' is not a known key", "did you mean color?"),
    ('max-memory = "1GiB"', "'max-memory' is not a known key", "did you mean max_memory?"),
    ('temperature = "hot"', "temperature is 'hot'", "a number"),
    ("temperature = true", "temperature is true", "a number"),
    ("temperature = 200", "temperature is 200", ""),
    ("top_k = 2.5", "top_k is 2.5", "a whole number"),
    ("ctx_size = 3", "ctx_size is 3", "of 16 or more"),
    ("gpus = 0", "gpus is 0", "of 1 or more"),
    ("offline = 1", "offline is 1", "true or false"),
    ('dtype = "int3"', "dtype is 'int3'", '"q4"'),
    ("model = 7", "model is 7", "a text in quotes"),
    ('max_memory = "lots"', "max_memory: 'lots' is not a size", "6GiB"),
    ("[model]\nname = 1", "model is a table [model]", "a text"),
    ("model = = 3", "invalid value", "mend that line"),
    ('model = "a"\nmodel = "b"', "cannot overwrite", "mend that line"),
]


@pytest.mark.parametrize(("text", "message", "remedy"), WRONG, ids=[case[0][:20] for case in WRONG])
def test_what_is_wrong_is_said_with_file_and_line(file: Path, text: str, message: str, remedy: str) -> None:
    file.write_text(f"# a comment\n\n{text}\n")
    with pytest.raises(UsageError) as raised:
        read(file)
    line = 4 if "cannot overwrite" in message else 3
    assert raised.value.message.startswith(f"{file}:{line}: ")
    assert message in raised.value.message
    assert remedy in (raised.value.remedy or "")
    assert raised.value.exit_code == 2


def test_a_file_that_cannot_be_read(file: Path) -> None:
    file.write_bytes(b'model = "caf\xe9"')
    with pytest.raises(UsageError, match="not UTF-8"):
        read(file)
    file.unlink()
    assert read(file) == {}
    file.mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read(file)


def test_the_environment_goes_before_the_file_and_the_file_before_profile_and_probe(file: Path) -> None:
    before = shown()
    assert before["ctx_size"][1].startswith("profile ")
    assert before["max_memory"][1].startswith("profile ")
    assert before["device"][1] == "probe"
    assert before["temperature"] == (None, "model")
    file.write_text('ctx_size = 256\nmax_memory = "1GiB"\ndevice = "cpu"\nprofile = "default"\n')
    after = shown(SPECMEMO_CTX_SIZE="128")
    assert after["ctx_size"] == (128, "environment (SPECMEMO_CTX_SIZE)")
    assert after["max_memory"] == (1 << 30, "config.toml")
    assert after["device"] == ("cpu", "config.toml")
    assert after["profile"] == ("default", "config.toml")
    assert after["model"] == ("pocket", "default")


def test_a_flag_goes_before_the_environment_and_reaches_the_command(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def taste(context: typer.Context, json: bool = False, **values: Any) -> None:
        seen.update({name: (value, options.origins(context)[name]) for name, value in values.items()})

    file.write_text("seed = 1\ntop_k = 1\nmin_p = 0.1\nno_markdown = true\n")
    command = typer.main.get_command(cli.app)
    root = command.make_context("specmemo", ["chat", "--seed", "3"], resilient_parsing=True)
    root.default_map = cli._configured(False)
    monkeypatch.setenv("SPECMEMO_SEED", "2")
    monkeypatch.setenv("SPECMEMO_TOP_K", "2")
    chat = command.get_command(root, "chat").make_context("chat", ["--seed", "3"], parent=root)  # type: ignore[attr-defined]
    taste(chat, **{name: chat.params[name] for name in ("seed", "top_k", "min_p", "no_markdown", "top_p")})
    assert seen == {
        "seed": (3, "flag"),
        "top_k": (2, "environment"),
        "min_p": (0.1, "config.toml"),
        "no_markdown": (True, "config.toml"),
        "top_p": (1.0, "default"),
    }


def test_a_wrong_file_stops_what_reads_it_and_nothing_else(file: Path) -> None:
    file.write_text("nonsense = 1\n")
    for arguments in (["chat", "-p", "Hello"], ["plan", "pocket"], ["config", "show"], ["batch", "a", "-o", "b"]):
        done = run(*arguments)
        assert isinstance(done.exception, UsageError), arguments
        assert f"{file}:1" in done.exception.message
    for arguments in (["chat", "--help"], ["config", "path"], ["sessions", "ls"], ["--version"], []):
        assert run(*arguments).exit_code == 0, arguments


def test_config_path_is_for_scripts(file: Path) -> None:
    assert run("config", "path").stdout == f"{file}\n"
    values = json.loads(run("config", "path", "--json").stdout)
    assert (values["schema"], values["file"], values["exists"]) == (1, str(file), False)
    assert {"config", "data", "state", "cache"} <= set(values)


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECMEMO_MAXMEM", "1GiB")
    assert configuration.unknown_variables() == ["SPECMEMO_MAXMEM"]


# --- completion -------------------------------------------------------------------------------------------------


def completed(words: str) -> list[str]:
    """What bash would offer after these words."""
    count = len(words.split(" ")) - 1
    done = CliRunner().invoke(
        cli.app,
        [],
        prog_name="specmemo",
        env={"_SPECMEMO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)},
    )
    return done.stdout.split()


def test_the_shell_completes_commands_flags_models_profiles_and_sessions() -> None:
    from specmemo_chat.sessions.places import open_store

    with open_store() as store, store.transaction():
        store.create("diary", "Dear diary", "pocket", 1.0)
    assert "sessions" in completed("specmemo se")
    assert "--max-memory" in completed("specmemo chat --max")
    assert "llama-2-7b-chat" in completed("specmemo chat --model llama-2")
    assert "titan-rtx-24gb" in completed("specmemo chat --profile ti")
    assert "ngram" in completed("specmemo chat --draft n")
    assert completed("specmemo sessions show di") == ["diary"]
    assert completed("specmemo chat --session no") == []


def test_completion_of_a_broken_file_is_empty_and_no_error() -> None:
    from specmemo_chat.sessions.places import sessions_file

    sessions_file().parent.mkdir(parents=True)
    sessions_file().write_text("no database" * 100)
    assert completed("specmemo sessions show di") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(
        cli.app, [], prog_name="specmemo", env={"_SPECMEMO_COMPLETE": f"source_{shell}", "_TYPER_COMPLETE_ARGS": ""}
    )
    assert done.exit_code == 0
    assert "_SPECMEMO_COMPLETE" in done.stdout
