"""What helps against an error, in words that can be typed at the prompt of the REPL."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from specmemo_chat.errors import Flag, Remedy, told
from specmemo_chat.repl.switch import FLAGS

# Flags that /set stands for.
SETTINGS = {"--temperature", "--top-k", "--top-p", "--min-p", "--repeat-penalty", "--seed", "--max-new-tokens"}


def in_repl(remedies: Iterable[Remedy], model: str) -> str | None:
    """The remedies as one sentence; `model` is what /model would have to be given before their flags."""
    return told(remedies, lambda flag: typed(flag, model), lambda words: words.repl) or None


def typed(flag: Flag, model: str) -> str:
    """The line of the REPL that does what `flag` does on a command line."""
    value = shlex.quote(flag.value)
    if flag.name in FLAGS and flag.beside:
        return f"/model {flag.beside} {flag.name} {value}"
    if flag.name in ("--model", "--draft", "--system"):
        return f"/{flag.name[2:]} {value}"
    if flag.name in SETTINGS:
        return f"/set {flag.name[2:].replace('-', '_')} {value}"
    if flag.name in FLAGS:
        return f"/model {model} {flag.name} {value}"
    return f"start the chat anew with {flag.typed}"
