"""The `specmemo` command: its subcommands, and how errors end."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from specmemo_chat import __version__
from specmemo_chat.cli import batch_command, chat_command, plan_command, probe_command
from specmemo_chat.cli.console import Screen
from specmemo_chat.errors import SpecmemoError

INTRO = """specmemo {version}: a terminal chat that decodes speculatively inside a hard memory cap

  specmemo chat                                  chat with Pocket, the model in the box
  specmemo chat --model qwen3-1.7b               chat with another model
  specmemo chat -p "Spell butterfly" --json      one reply, for scripts
  specmemo plan llama-2-7b-chat --device titan-rtx-24gb

Commands: {commands}. `specmemo COMMAND --help` explains each."""

app = typer.Typer(
    name="specmemo",
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
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)


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
        print(INTRO.format(version=__version__, commands=", ".join(COMMANDS)))


def main() -> None:
    """Run the command line. Exit codes are those of CONTRACT.md; a traceback only with --debug."""
    try:
        app()
    except SpecmemoError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        Screen().error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
