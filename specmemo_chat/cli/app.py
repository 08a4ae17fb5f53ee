"""The `specmemo` command: its subcommands, and how errors end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from specmemo_chat import __version__
from specmemo_chat.cli import (
    batch_command,
    bench_command,
    chat_command,
    config_command,
    doctor_command,
    models_command,
    plan_command,
    probe_command,
    sessions_command,
    train_draft_command,
)
from specmemo_chat.cli.parsing import SafeGroup, TextCommand
from specmemo_chat.cli.quick_help import import_help
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.configuration import config_file, read
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.crash import explained, make_crashes_safe

INTRO = """specmemo {version}: a terminal chat that decodes speculatively inside a hard memory cap

  specmemo chat                                  chat with Pocket, the model in the box
  specmemo chat --model qwen3-1.7b               chat with another model
  specmemo chat -p "Spell butterfly" --json      one reply, for scripts
  specmemo plan llama-2-7b-chat --device titan-rtx-24gb

Commands: {commands}. `specmemo COMMAND --help` explains each."""

app = typer.Typer(
    name="specmemo",
    cls=SafeGroup,
    help="A terminal chat that runs local models with speculative decoding inside a hard memory cap.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, Callable[..., None]] = {
    "chat": chat_command.chat,
    "batch": batch_command.batch,
    "plan": plan_command.plan,
    "probe": probe_command.probe,
    "bench": bench_command.bench,
    "train-draft": train_draft_command.train_draft,
    "doctor": doctor_command.doctor,
}
GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "models": (models_command.HELP, {"ls": models_command.ls, "pull": models_command.pull, "rm": models_command.rm}),
    "sessions": (
        sessions_command.HELP,
        {
            "ls": sessions_command.ls,
            "show": sessions_command.show,
            "export": sessions_command.export,
            "rm": sessions_command.rm,
        },
    ),
    "config": (config_command.HELP, {"path": config_command.path, "show": config_command.show}),
}
# Commands with a parser of their own.
PARSERS = {"bench": bench_command.BenchCommand}
# These must work where the configuration is broken.
REPAIRS = ("config", "doctor", "sessions")


def _register() -> None:
    for name, function in COMMANDS.items():
        app.command(name, cls=PARSERS.get(name, TextCommand))(function)
    for name, (help, commands) in GROUPS.items():
        group = typer.Typer(help=help, no_args_is_help=True)
        for command, function in commands.items():
            group.command(command, cls=TextCommand)(function)
        app.add_typer(group, name=name)


_register()


def _version(wanted: bool) -> None:
    if wanted:
        print(f"specmemo {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _intro(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(INTRO.format(version=__version__, commands=", ".join((*COMMANDS, *GROUPS))))
        return
    tolerant = context.invoked_subcommand in REPAIRS
    context.default_map = _configured(tolerant or not {"--help", "-h"}.isdisjoint(sys.argv[1:]))


def _configured(tolerant: bool) -> dict[str, Any]:
    """config.toml as the commands' defaults. Raises UsageError where it is wrong, unless `tolerant`."""
    file = config_file()
    if not os.path.lexists(file) and os.access(file.parent.parent, os.X_OK):
        return {}  # the usual case costs nothing
    try:
        values = read(file)
    except UsageError:
        if not tolerant:
            raise
        return {}
    if values.get("debug"):
        os.environ.setdefault("SPECMEMO_DEBUG", "1")
    groups = {name: dict.fromkeys(commands, values) for name, (_, commands) in GROUPS.items()}
    return {**dict.fromkeys(COMMANDS, values), **groups}


def _leave_out(arguments: list[str]) -> None:
    """Take their parameters from the commands that these `arguments` do not ask for: typer reads those of all, which is
    a seventh of the time of `--help`. Anything but a command or a lone --help leaves all as they are."""
    wanted = arguments[0] if arguments else ""
    if wanted not in COMMANDS and arguments not in (["--help"], ["-h"]):
        return
    groups = [group.typer_instance for group in app.registered_groups if group.typer_instance is not None]
    for command in (command for group in (app, *groups) for command in group.registered_commands):
        if command.callback is not None and command.callback is not COMMANDS.get(wanted):
            command.callback = _bare(command.callback)


def _bare(function: Callable[..., Any]) -> Callable[[], None]:
    def bare() -> None:
        raise RuntimeError(f"{function.__name__} was left out")

    bare.__doc__ = function.__doc__
    return bare


def main() -> None:
    """Run the command line. Exit codes are those of docs/reference.md; a traceback only with --debug."""
    make_crashes_safe()
    if not {"--help", "-h"}.isdisjoint(sys.argv[1:]):
        import_help()
    _leave_out(sys.argv[1:])
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the boundary of the program: told in one line
        known = explained(error)
        Screen().error(known)
        sys.exit(known.exit_code)
