"""The slash commands of the REPL: each a small function on the session, with its one line of help."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from specmemo_chat.cli.text import safe_line
from specmemo_chat.errors import UsageError
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.sizes import format_size

if TYPE_CHECKING:
    from specmemo_chat.cli.repl import Repl

Action = Callable[["Repl", str], None]


@dataclass(frozen=True)
class Command:
    """One slash command. `values` completes its argument."""

    name: str
    usage: str
    help: str
    action: Action
    values: Callable[[], Iterable[str]] = tuple


COMMANDS: dict[str, Command] = {}
ALIASES = {"?": "help", "exit": "bye", "quit": "bye"}


class Leave(Exception):
    """Raised by /bye."""


def command(
    name: str, usage: str, help: str, values: Callable[[], Iterable[str]] = tuple
) -> Callable[[Action], Action]:
    def register(action: Action) -> Action:
        COMMANDS[name] = Command(name, usage, help, action, values)
        return action

    return register


def run(repl: Repl, line: str) -> None:
    """Carry out the line (it starts with a slash). Raises UsageError for a command that does not exist."""
    name, _, argument = line[1:].strip().partition(" ")
    found = COMMANDS.get(ALIASES.get(name, name))
    if found is None:
        near = [f"/{known}" for known in COMMANDS if name and known.startswith(name[:2])]
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"there is no command /{safe_line(name)}", f"{hint}/help lists the commands")
    found.action(repl, argument.strip())


SETTABLE: dict[str, Callable[[str], Any]] = {
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "repeat_penalty": float,
    "seed": int,
    "max_new_tokens": int,
    "stop": lambda text: (text,) if text else (),
}
SWITCHES = {"on": True, "off": False, "true": True, "false": False}


def _settable() -> Iterable[str]:
    return (*SETTABLE, "speculate", "show_accepted")


@command("help", "/help", "This list")
def _help(repl: Repl, _argument: str) -> None:
    width = max(len(entry.usage) for entry in COMMANDS.values())
    for entry in COMMANDS.values():
        repl.say(f"  {entry.usage:<{width}}  {entry.help}")
    repl.say('  Enter sends, Alt+Enter or Ctrl+J begins a new line, """ opens a block. Ctrl-C stops a reply.')


@command("clear", "/clear", "Forget the conversation and start anew")
def _clear(repl: Repl, _argument: str) -> None:
    repl.client.restore([], repl.client.system)
    repl.say("conversation cleared")


@command("regen", "/regen [SEED]", "Answer the last message again, with a new seed or the given one")
def _regen(repl: Repl, argument: str) -> None:
    if not repl.client.turns:
        raise UsageError("there is no reply to make again", "send a message first")
    if argument:
        seed = _parse(int, "seed", argument)
    else:
        seed = repl.settings.seed if repl.settings.greedy else secrets.randbits(32)
    repl.show_reply(repl.client.regenerate(dataclasses.replace(repl.settings, seed=seed)))


@command("undo", "/undo", "Take back the last message and its reply")
def _undo(repl: Repl, _argument: str) -> None:
    turn = repl.client.undo()
    repl.say(f"taken back: {safe_line(turn.user)[:60]}")


@command("system", "/system [TEXT]", "Set the system prompt and start anew; without TEXT show it; `none` removes it")
def _system(repl: Repl, argument: str) -> None:
    if not argument:
        repl.say(repl.client.system or "no system prompt")
        return
    repl.client.restore([], None if argument == "none" else argument)
    repl.say("system prompt removed" if argument == "none" else "system prompt set; the conversation starts anew")


@command("set", "/set NAME VALUE", "Change a setting: " + ", ".join(_settable()), _settable)
def _set(repl: Repl, argument: str) -> None:
    name, _, value = argument.partition(" ")
    name, value = name.replace("-", "_"), value.strip()
    if name in ("speculate", "show_accepted"):
        if value not in SWITCHES:
            raise UsageError(f"{name} is on or off, not {safe_line(value)!r}", f"/set {name} on")
        if name == "speculate":
            repl.settings = dataclasses.replace(repl.settings, speculate=SWITCHES[value])
        else:
            repl.show_accepted = SWITCHES[value]
    elif name in SETTABLE:
        repl.settings = dataclasses.replace(repl.settings, **{name: _parse(SETTABLE[name], name, value)})
    else:
        raise UsageError(f"there is no setting {safe_line(name)!r}", "settings: " + ", ".join(_settable()))
    repl.say(f"{name} = {value}")


def _parse(kind: Callable[[str], Any], name: str, value: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{name} needs a number, not {safe_line(value)!r}", f"/set {name} 1") from None


@command("show", "/show", "Model, plan and settings")
def _show(repl: Repl, _argument: str) -> None:
    for line in repl.describe():
        repl.say(line)
    for field in dataclasses.fields(GenerationSettings):
        repl.say(f"  {field.name:<16} {getattr(repl.settings, field.name)}")
    repl.say(f"  {'show_accepted':<16} {'on' if repl.show_accepted else 'off'}")


@command("stats", "/stats", "What the last reply cost and what speculation did")
def _stats(repl: Repl, _argument: str) -> None:
    if repl.last_end is not None:
        stats = repl.last_end.stats
        repl.say(
            f"  last reply: {stats.new_tokens} tokens, {stats.tokens_per_second:.1f} tokens/s, "
            f"first after {stats.ttft_s:.2f} s, {stats.steps} steps, "
            f"acceptance length {stats.mean_acceptance_length:.2f} ({stats.drafter})"
        )
        repl.say(f"  prompt: {stats.prompt_tokens} tokens, {stats.reused_tokens} reused")
    report = repl.client.inspect()
    turns = f"{report['turns']} turn{'' if report['turns'] == 1 else 's'}"
    repl.say(f"  context: {report['used_tokens']} of {report['context_tokens']} tokens, {turns}")
    memory = report["memory"]
    repl.say(
        f"  memory: {format_size(memory['peak_bytes'])} at its peak, planned {format_size(memory['planned_bytes'])}, "
        f"cap {format_size(memory['cap_bytes'])}"
    )
    speculation = report["speculation"]
    for nodes, steps in speculation["steps"].items():
        kind = "plain" if nodes == "1" else f"{nodes} nodes"
        repl.say(f"  {kind:>9}: {steps:5} steps of {1000 * speculation['seconds'][nodes]:.1f} ms")
    repl.say(f"   drafting: {1000 * speculation['draft_seconds']:.2f} ms a step")


@command("compare", "/compare", "Make the last reply with and without a draft: both times, and whether they are equal")
def _compare(repl: Repl, _argument: str) -> None:
    result = repl.client.compare(repl.settings)
    for name in ("speculative", "plain"):
        stats = result[name]["stats"]
        repl.say(
            f"  {name:<12} {stats['decode_s']:6.2f} s  {stats['tokens_per_second']:7.1f} tokens/s  "
            f"{stats['new_tokens']} tokens in {stats['steps']} steps"
        )
    plain, speculative = result["plain"]["stats"]["decode_s"], result["speculative"]["stats"]["decode_s"]
    if speculative > 0 and plain > 0:
        repl.say(f"  {plain / speculative:.2f}x; the texts are {'identical' if result['identical'] else 'DIFFERENT'}")


@command("bye", "/bye", "Leave")
def _bye(_repl: Repl, _argument: str) -> None:
    raise Leave
