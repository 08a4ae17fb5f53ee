"""The shared flags as typer's options."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.models import OptionInfo

from specmemo_chat.cli import completion
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.configuration import FILE_NAME
from specmemo_chat.setup.flags import FLAGS, Color, Precision


def declared(name: str, **changes: Any) -> OptionInfo:
    """The option of a flag; `changes`: what a command says otherwise, as typer.Option takes it."""
    flag = FLAGS[name]
    given: dict[str, Any] = {
        "help": flag.help,
        "min": flag.minimum,
        "max": flag.maximum,
        "metavar": flag.metavar,
        "envvar": flag.variable if flag.key else None,
        "rich_help_panel": flag.panel,
    }
    option: OptionInfo = typer.Option(*flag.names, **{**given, **changes})
    return option


Model = Annotated[str, declared("model", autocompletion=completion.models)]
Draft = Annotated[str, declared("draft", autocompletion=completion.drafts)]
MaxMemory = Annotated[str | None, declared("max_memory")]
ContextSize = Annotated[int | None, declared("ctx_size")]
ProfileName = Annotated[str | None, declared("profile", autocompletion=completion.profiles)]
Device = Annotated[str, declared("device")]
Dtype = Annotated[Precision, declared("dtype")]
BatchSize = Annotated[int, declared("batch_size")]
Gpus = Annotated[int, declared("gpus")]
Nodes = Annotated[int, declared("nnodes")]
RdzvEndpoint = Annotated[str, declared("rdzv_endpoint")]
NodeRank = Annotated[int | None, declared("node_rank")]
Threads = Annotated[int, declared("threads")]
Temperature = Annotated[float | None, declared("temperature")]
TopK = Annotated[int, declared("top_k")]
TopP = Annotated[float, declared("top_p")]
MinP = Annotated[float, declared("min_p")]
RepeatPenalty = Annotated[float, declared("repeat_penalty")]
Seed = Annotated[int | None, declared("seed")]
MaxNewTokens = Annotated[int, declared("max_new_tokens")]
Stop = Annotated[list[str] | None, declared("stop")]
System = Annotated[str | None, declared("system")]
ChatTemplate = Annotated[str, declared("chat_template")]
TrustRemoteCode = Annotated[bool, declared("trust_remote_code")]
Offline = Annotated[bool, declared("offline")]
Continue = Annotated[bool, declared("continue")]
Session = Annotated[str | None, declared("session", autocompletion=completion.sessions)]
Json = Annotated[bool, declared("json")]
ColorWhen = Annotated[Color, declared("color")]
NoMarkdown = Annotated[bool, declared("no_markdown")]
Verbose = Annotated[bool, declared("verbose")]
Quiet = Annotated[bool, declared("quiet")]
Debug = Annotated[bool, declared("debug")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


SOURCES = {"COMMANDLINE": "flag", "ENVIRONMENT": "environment", "DEFAULT_MAP": FILE_NAME}


def origins(context: typer.Context) -> dict[str, str]:
    """Where each parameter of a running command came from: "flag", "environment", "config.toml" or "default"."""
    found = {}
    for name in context.params:
        source = context.get_parameter_source(name)
        found[name] = SOURCES.get(source.name if source is not None else "", "default")
    return found


def confirm(question: str) -> None:
    """Ask on the terminal; returns where the answer is yes. Raises UsageError where nobody can be asked, typer.Exit(1)
    for no."""
    if not sys.stdin.isatty():
        raise UsageError("this needs a yes, and standard input is no terminal to ask on", "give --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
