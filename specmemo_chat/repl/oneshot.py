"""One message, one reply: `chat TEXT`, `chat -p TEXT`, or a prompt from standard input."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from specmemo_chat.device.streams import input_is_closed
from specmemo_chat.errors import UsageError
from specmemo_chat.events import ReplyEnd, Statistics
from specmemo_chat.host.client import ChatClient
from specmemo_chat.memory.contract import Plan
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED
from specmemo_chat.terminal.reasoning import split_reasoning
from specmemo_chat.terminal.stream import ReplyView
from specmemo_chat.texts import decode, read_at_most

# So long after Ctrl-C the worker may take to end the reply in its own words.
PATIENCE_S = 0.5


def input_is_piped() -> bool:
    """Whether standard input is something else than a terminal."""
    return not sys.stdin.isatty() and not input_is_closed()


def piped_input() -> str | None:
    """What was piped to standard input, None where it is a terminal. Raises UsageError where it cannot be read, is
    not UTF-8, or is so long that no context holds it."""
    if not input_is_piped():
        return None
    try:
        data = read_at_most(sys.stdin.buffer, "standard input")
    except OSError as error:
        raise UsageError(f"standard input cannot be read: {error.strerror}", "pipe a text in") from error
    return decode(data, "standard input")


def compose_prompt(text: str | None, piped: str | None) -> str:
    """The text of the command line, then what was piped. Raises UsageError where nothing but blanks is left."""
    parts = [part for part in (text, piped) if part is not None and part.strip()]
    if not parts:
        raise UsageError("the prompt is empty", 'give a text: specmemo chat -p "Hello!"')
    return "\n\n".join(part.strip("\n") for part in parts)


def reply_json(model: str, end: ReplyEnd, *, reasoning_open: bool = False) -> dict[str, Any]:
    """The object of docs/reference.md for one reply; what the model thought before its answer stands beside it."""
    reasoning, answer = split_reasoning(end.text, opened=reasoning_open)
    return {
        "schema": 1,
        "model": model,
        "text": answer,
        **({"reasoning": reasoning} if reasoning else {}),
        "finish_reason": end.finish_reason,
        "stats": end.stats.as_json(),
    }


def cut_off(text: str, plan: Plan | None, settings: GenerationSettings) -> ReplyEnd:
    """The end of a reply that Ctrl-C broke off before the worker said anything of it but `text`."""
    stats = Statistics(seed=settings.seed)
    if plan is not None:
        stats = replace(
            stats,
            planned_bytes=plan.total_bytes,
            planned_generation_bytes=plan.generation_bytes,
            cap_bytes=plan.cap_bytes,
        )
    return ReplyEnd(text, "interrupted", stats)


def run_once(
    client: ChatClient, model: str, prompt: str, settings: GenerationSettings, screen: Screen, *, as_json: bool
) -> int:
    """Show the reply (or print its JSON) and return the exit code. Ctrl-C ends it soon, whatever the worker does."""
    view = ReplyView(screen, show_text=not as_json, reasoning_open=client.reasoning_open)
    try:
        end = view.run(
            client.say(prompt, settings), client.interrupt, lambda: 0.0 if client.ready is None else PATIENCE_S
        )
    except KeyboardInterrupt:
        end = cut_off(view.text, client.plan, settings)
    if as_json:
        screen.print_json(reply_json(model, end, reasoning_open=client.reasoning_open()))
    elif screen.verbose and end.stats.steps:
        stats = end.stats
        ready = client.ready
        screen.note(
            f"{counted(stats.new_tokens, 'token')}, {stats.tokens_per_second:.1f} tokens/s, "
            f"first after {stats.ttft_s:.2f} s, "
            f"acceptance length {stats.mean_acceptance_length:.2f} ({stats.drafter}), load {stats.load_s:.2f} s"
        )
        if ready is not None:
            screen.note("load: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in ready.timings.items()))
    return INTERRUPTED if end.finish_reason == "interrupted" else 0
