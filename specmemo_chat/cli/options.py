"""The flags that several commands share, once: their names, help and environment variables (CONTRACT.md)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from specmemo_chat.cli import completion
from specmemo_chat.errors import UsageError

MODEL_PANEL = "Model and memory"
SAMPLING_PANEL = "Sampling"
SESSION_PANEL = "Conversation"
OUTPUT_PANEL = "Output"


class Color(StrEnum):
    auto = "auto"
    always = "always"
    never = "never"


class Precision(StrEnum):
    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"
    int8 = "int8"
    nf4 = "nf4"


def _environment(name: str) -> str:
    return f"SPECMEMO_{name.upper()}"


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Alias, hub id or local folder.",
        autocompletion=completion.models,
        envvar=_environment("model"),
        rich_help_panel=MODEL_PANEL,
    ),
]
Draft = Annotated[
    str,
    typer.Option(
        "--draft",
        help="auto, none, ngram, or a draft's id or folder.",
        autocompletion=completion.drafts,
        envvar=_environment("draft"),
        rich_help_panel=MODEL_PANEL,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        help="The hard cap: 6GiB, 6G, 800MB.",
        envvar=_environment("max_memory"),
        rich_help_panel=MODEL_PANEL,
    ),
]
ContextSize = Annotated[
    int | None,
    typer.Option(
        "--ctx-size",
        "--ctx",
        min=16,
        help="Context in tokens.",
        envvar=_environment("ctx_size"),
        rich_help_panel=MODEL_PANEL,
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Memory policy, see `specmemo probe`.",
        autocompletion=completion.profiles,
        envvar=_environment("profile"),
        rich_help_panel=MODEL_PANEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1 or mps.",
        envvar=_environment("device"),
        rich_help_panel=MODEL_PANEL,
    ),
]
Dtype = Annotated[
    Precision,
    typer.Option("--dtype", help="Weight precision.", envvar=_environment("dtype"), rich_help_panel=MODEL_PANEL),
]
Gpus = Annotated[
    int,
    typer.Option(
        "--gpus",
        min=1,
        help="Shard the model over N workers.",
        envvar=_environment("gpus"),
        rich_help_panel=MODEL_PANEL,
    ),
]
Nodes = Annotated[
    int,
    typer.Option(
        "--nnodes",
        min=1,
        help="Machines that share the model; the same command runs on each.",
        envvar=_environment("nnodes"),
        rich_help_panel=MODEL_PANEL,
    ),
]
RdzvEndpoint = Annotated[
    str,
    typer.Option(
        "--rdzv-endpoint",
        metavar="HOST:PORT",
        help="Where the machines meet: the first one, where the chat is.",
        envvar=_environment("rdzv_endpoint"),
        rich_help_panel=MODEL_PANEL,
    ),
]
NodeRank = Annotated[
    int | None,
    typer.Option(
        "--node-rank",
        min=0,
        help="This machine's number; the first one's is 0.",
        envvar=_environment("node_rank"),
        rich_help_panel=MODEL_PANEL,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        "--temp",
        help="0 is greedy.",
        envvar=_environment("temperature"),
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TopK = Annotated[
    int, typer.Option("--top-k", help="0 is off.", envvar=_environment("top_k"), rich_help_panel=SAMPLING_PANEL)
]
TopP = Annotated[
    float, typer.Option("--top-p", help="1 is off.", envvar=_environment("top_p"), rich_help_panel=SAMPLING_PANEL)
]
MinP = Annotated[
    float, typer.Option("--min-p", help="0 is off.", envvar=_environment("min_p"), rich_help_panel=SAMPLING_PANEL)
]
RepeatPenalty = Annotated[
    float,
    typer.Option(
        "--repeat-penalty", help="1 is off.", envvar=_environment("repeat_penalty"), rich_help_panel=SAMPLING_PANEL
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        "-s",
        help="Same seed, device, dtype and versions: same text.",
        envvar=_environment("seed"),
        rich_help_panel=SAMPLING_PANEL,
    ),
]
MaxNewTokens = Annotated[
    int,
    typer.Option(
        "--max-new-tokens",
        "-n",
        min=0,
        help="0: as many as the context holds.",
        envvar=_environment("max_new_tokens"),
        rich_help_panel=SAMPLING_PANEL,
    ),
]
Stop = Annotated[
    list[str] | None,
    typer.Option("--stop", help="A text that ends the reply; may be repeated.", rich_help_panel=SAMPLING_PANEL),
]
System = Annotated[
    str | None,
    typer.Option("--system", help="System prompt.", envvar=_environment("system"), rich_help_panel=SAMPLING_PANEL),
]
ChatTemplate = Annotated[
    str,
    typer.Option(
        "--chat-template",
        help="auto, none (send the text raw) or a Jinja file.",
        envvar=_environment("chat_template"),
        rich_help_panel=SAMPLING_PANEL,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run Python code that comes with the model.", rich_help_panel=MODEL_PANEL),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Never use the network.", envvar=_environment("offline"), rich_help_panel=MODEL_PANEL
    ),
]
Continue = Annotated[
    bool,
    typer.Option(
        "--continue", "-c", help="Go on with the conversation used last (its model too).", rich_help_panel=SESSION_PANEL
    ),
]
Session = Annotated[
    str | None,
    typer.Option(
        "--session",
        help="Go on with the conversation of this name or number; a new name begins one.",
        autocompletion=completion.sessions,
        rich_help_panel=SESSION_PANEL,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=OUTPUT_PANEL)]
ColorWhen = Annotated[
    Color,
    typer.Option("--color", help="When to use colour.", envvar=_environment("color"), rich_help_panel=OUTPUT_PANEL),
]
NoMarkdown = Annotated[
    bool,
    typer.Option(
        "--no-markdown",
        help="Show replies as plain text.",
        envvar=_environment("no_markdown"),
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show plan and statistics.", rich_help_panel=OUTPUT_PANEL)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes.", rich_help_panel=OUTPUT_PANEL)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", help="A traceback with errors.", envvar=_environment("debug"), rich_help_panel=OUTPUT_PANEL
    ),
]


def confirm(question: str) -> None:
    """Ask on the terminal; returns where the answer is yes. Raises UsageError where nobody can be asked, typer.Exit(1)
    for no."""
    if not sys.stdin.isatty():
        raise UsageError("this needs a yes, and standard input is no terminal to ask on", "give --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


@dataclass(frozen=True)
class ModelChoice:
    """What the user asked for, before anything was looked at. None or "auto": not asked for."""

    model: str = "pocket"
    draft: str = "auto"
    max_memory: str | None = None
    ctx_size: int | None = None
    profile: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    gpus: int = 1
    system: str | None = None
    chat_template: str = "auto"
    trust_remote_code: bool = False
    offline: bool = False
    rows: int = 1
    nnodes: int = 1
    rdzv_endpoint: str = ""
    node_rank: int | None = None


@dataclass(frozen=True)
class SamplingChoice:
    """The sampling flags. A temperature of None: what the model's generation config says. A seed of None: a fresh one
    where the reply is sampled."""

    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int | None = None
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()
