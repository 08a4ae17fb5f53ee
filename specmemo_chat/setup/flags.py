"""The flags that several commands share, each declared once: commands, environment and config.toml read this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self

PREFIX = "SPECMEMO_"
MODEL_PANEL = "Model and memory"
SAMPLING_PANEL = "Sampling"
SESSION_PANEL = "Conversation"
OUTPUT_PANEL = "Output"


class Color(StrEnum):
    auto = "auto"
    always = "always"
    never = "never"


class Switch(StrEnum):
    on = "on"
    off = "off"


class Precision(StrEnum):
    auto = "auto"
    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"
    q8 = "q8"
    q4 = "q4"
    int8 = "int8"  # old names (profiles.OLD_PRECISIONS)
    nf4 = "nf4"


@dataclass(frozen=True)
class Flag:
    """One flag: its names on the command line, type without None, range (None: open) and words for `--help`.

    `key`: it may be set by an environment variable and in config.toml.
    """

    name: str
    kind: type
    help: str
    panel: str
    spellings: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    metavar: str | None = None
    key: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """What stands on the command line, the long name first."""
        return ("--" + self.name.replace("_", "-"), *self.spellings)

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if issubclass(self.kind, StrEnum):
            return "one of " + ", ".join(f'"{member}"' for member in self.kind)
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}
        least = f" of {self.minimum:g} or more" if self.minimum is not None else ""
        return words[self.kind] + least


_DECLARED = (
    Flag("continue", bool, "Go on with the conversation used last (its model too).", SESSION_PANEL, ("-c",), key=False),
    Flag(
        "session", str, "Go on with the conversation of this name or number; a new name begins one.", SESSION_PANEL,
        key=False,
    ),
    Flag("model", str, "Alias, hub id, folder or GGUF file.", MODEL_PANEL, ("-m",)),
    Flag("draft", str, "auto, none, ngram, or a draft's id or folder.", MODEL_PANEL),
    Flag("max_memory", str, "The hard cap: 6GiB, 6G, 800MB.", MODEL_PANEL),
    Flag("ctx_size", int, "Context in tokens.", MODEL_PANEL, ("--ctx",), minimum=16),
    Flag("profile", str, "Memory policy, see `specmemo probe`.", MODEL_PANEL),
    Flag("device", str, "auto, cpu, cuda, cuda:1 or mps.", MODEL_PANEL),
    Flag("dtype", Precision, "Weight precision.", MODEL_PANEL, metavar="[auto|bf16|fp16|fp32|q8|q4]"),
    Flag("batch_size", int, "Conversations in flight at once.", MODEL_PANEL, minimum=1, maximum=256, metavar="N"),
    Flag("gpus", int, "Shard the model over N workers.", MODEL_PANEL, minimum=1),
    Flag("nnodes", int, "Machines that share the model; the same command runs on each.", MODEL_PANEL, minimum=1),
    Flag(
        "rdzv_endpoint", str, "Where the machines meet: the first one, where the chat is.", MODEL_PANEL,
        metavar="HOST:PORT",
    ),
    Flag("node_rank", int, "This machine's number; the first one's is 0.", MODEL_PANEL, minimum=0),
    Flag("threads", int, "Threads to compute with; 0: as in a chat.", MODEL_PANEL, minimum=0),
    Flag("temperature", float, "0 is greedy.", SAMPLING_PANEL, ("--temp",)),
    Flag("top_k", int, "0 is off.", SAMPLING_PANEL),
    Flag("top_p", float, "1 is off.", SAMPLING_PANEL),
    Flag("min_p", float, "0 is off.", SAMPLING_PANEL),
    Flag("repeat_penalty", float, "1 is off.", SAMPLING_PANEL),
    Flag("seed", int, "Same seed, device, dtype and versions: same text.", SAMPLING_PANEL, ("-s",)),
    Flag("exact", Switch, "off: branches of drafts cost less, and may change a text.", SAMPLING_PANEL),
    Flag("max_new_tokens", int, "0: as many as the context holds.", SAMPLING_PANEL, ("-n",), minimum=0),
    Flag("stop", str, "A text that ends the reply; may be repeated.", SAMPLING_PANEL, key=False),
    Flag("system", str, "System prompt.", SAMPLING_PANEL),
    Flag("chat_template", str, "auto, none (send the text raw) or a Jinja file.", SAMPLING_PANEL),
    Flag("trust_remote_code", bool, "Run Python code that comes with the model.", MODEL_PANEL, key=False),
    Flag("offline", bool, "Never use the network.", MODEL_PANEL),
    Flag("json", bool, "One JSON object on stdout.", OUTPUT_PANEL, key=False),
    Flag("color", Color, "When to use colour.", OUTPUT_PANEL),
    Flag("no_markdown", bool, "Show replies as plain text.", OUTPUT_PANEL),
    Flag("verbose", bool, "Show plan and statistics.", OUTPUT_PANEL, ("-v",), key=False),
    Flag("quiet", bool, "No notes.", OUTPUT_PANEL, ("-q",), key=False),
    Flag("debug", bool, "A traceback with errors.", OUTPUT_PANEL),
)  # fmt: skip
FLAGS: Mapping[str, Flag] = {flag.name: flag for flag in _DECLARED}
KEYS: Mapping[str, Flag] = {name: flag for name, flag in FLAGS.items() if flag.key}


class _Chosen:
    """What the user asked for, by the names of flags."""

    @classmethod
    def of(cls, parameters: Mapping[str, Any], **changes: Any) -> Self:
        """The choice among a command's parameters; what the command does not have keeps its default."""
        found = {}
        for field in fields(cls):  # type: ignore[arg-type]
            value = {**parameters, **changes}.get(field.name, field.default)
            value = value.value if isinstance(value, StrEnum) else value
            found[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**found)


@dataclass(frozen=True)
class ModelChoice(_Chosen):
    """The flags of model and memory, before anything was looked at. None or "auto": not asked for."""

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
class SamplingChoice(_Chosen):
    """The sampling flags. A temperature of None: what the model's generation config says. A seed of None: a fresh one
    where the reply is sampled."""

    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int | None = None
    exact: str = "on"
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()
