"""The shared flags as typer's options."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from types import EllipsisType
from typing import Annotated, Any

import typer
from typer.models import OptionInfo

from specmemo_chat.cli import completion
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.configuration import FILE_NAME
from specmemo_chat.setup.flags import FLAGS, Color, ModelChoice, SamplingChoice


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
BatchSize = Annotated[int, declared("batch_size")]
Temperature = Annotated[float | None, declared("temperature")]
Seed = Annotated[int | None, declared("seed")]
MaxNewTokens = Annotated[int, declared("max_new_tokens")]
System = Annotated[str | None, declared("system")]
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

MODEL = ("draft", "max_memory", "ctx_size", "profile", "device", "dtype")
GROUP = ("gpus", "nnodes", "rdzv_endpoint", "node_rank")
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "exact")
_COMPLETED = {"model": completion.models, "draft": completion.drafts, "profile": completion.profiles}
_DEFAULTS = {field.name: field.default for choice in (ModelChoice, SamplingChoice) for field in fields(choice)}


def takes(*order: str | EllipsisType) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command shared flags that it reads from `context.params` alone.

    `order` is that of `--help`. The command's own parameters that it does not name stand where it says `...`, or first.
    """

    def extended(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = signature.parameters
        others = [parameter for name, parameter in own.items() if name not in order]
        parameters = [] if ... in order else [*others]
        for name in order:
            parameters += others if isinstance(name, EllipsisType) else [own.get(name) or _parameter(name)]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(**{name: value for name, value in values.items() if name in own})

        vars(run)["__signature__"] = signature.replace(parameters=parameters)
        return run

    return extended


def _parameter(name: str) -> inspect.Parameter:
    """A shared flag as a parameter of a function that typer reads."""
    kind: Any = FLAGS[name].kind
    default = _DEFAULTS.get(name, False)
    if name == "stop":
        kind, default = list[str], None
    elif issubclass(kind, StrEnum):
        default = kind(default)
    option = declared(name, autocompletion=_COMPLETED.get(name))
    annotation: Any = Annotated[kind | None if default is None else kind, option]
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


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
