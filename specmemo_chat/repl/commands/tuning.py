"""How replies are sampled and shown: /set and /show."""

from __future__ import annotations

import dataclasses
import difflib
import secrets
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.commands.registry import Suggestion, command, matching
from specmemo_chat.repl.desk import Desk
from specmemo_chat.settings import SettingError
from specmemo_chat.terminal.text import safe_line

SWITCHES = {"on": True, "off": False, "true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True)
class Setting:
    """One name that /set knows. `read` turns the typed text into its value; `values` are suggestions with their
    meaning."""

    read: Callable[[str, str], Any]
    help: str
    values: dict[str, str]


def _number(kind: Callable[[str], Any]) -> Callable[[str, str], Any]:
    def read(name: str, text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise UsageError(
                f"{name} needs {what}, not {safe_line(text)[:40]!r}", f"/set {name} {_example(name)}"
            ) from None

    return read


def _example(name: str) -> str:
    """A value that does something: the last one suggested."""
    return list(SETTINGS[name].values)[-1]


def _seed(name: str, text: str) -> int:
    return secrets.randbits(31) if text == "random" else int(_number(int)(name, text))


def _switch(name: str, text: str) -> bool:
    if text.lower() not in SWITCHES:
        raise UsageError(f"{name} is on or off, not {safe_line(text)[:40]!r}", f"/set {name} on")
    return SWITCHES[text.lower()]


def _stops(_name: str, text: str) -> tuple[str, ...]:
    if text == "off":
        return ()
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the stop texts cannot be read: {error}", '/set stop "END" "second text"') from None
    return tuple(word.replace("\\n", "\n").replace("\\t", "\t") for word in words)


ON_OFF = {"on": "", "off": ""}
SETTINGS: dict[str, Setting] = {
    "temperature": Setting(_number(float), "0 is greedy", {"0": "greedy", "0.7": "", "1": "the model's own"}),
    "top_k": Setting(_number(int), "draw from the K likeliest tokens", {"0": "off", "40": ""}),
    "top_p": Setting(_number(float), "draw from the likeliest tokens that make up P", {"1": "off", "0.95": ""}),
    "min_p": Setting(_number(float), "leave out what is P times less likely than the best", {"0": "off", "0.05": ""}),
    "repeat_penalty": Setting(_number(float), "make repeated tokens less likely", {"1": "off", "1.1": ""}),
    "seed": Setting(_seed, "same seed: same text", {"random": "a fresh one", "0": ""}),
    "max_new_tokens": Setting(_number(int), "the longest reply", {"0": "as many as the context holds", "512": ""}),
    "stop": Setting(_stops, "texts that end a reply", {"off": "none", '"END"': ""}),
    "speculate": Setting(_switch, "draft and verify, or decode plainly", ON_OFF),
    "stop_loops": Setting(_switch, "stop a reply that only repeats itself", ON_OFF),
    "exact": Setting(_switch, "no draft may change a text", ON_OFF),
    "show_accepted": Setting(_switch, "colour what came from a draft", ON_OFF),
}


# As the command line calls them.
SHORT = {"temp": "temperature", "n": "max_new_tokens", "s": "seed"}


def _name(typed: str) -> str:
    name = typed.replace("-", "_")
    return SHORT.get(name, name)


def _complete(_repl: Desk, argument: str) -> Iterable[Suggestion]:
    name, space, value = argument.partition(" ")
    if not space:
        return matching(name, {key: setting.help for key, setting in SETTINGS.items()})
    setting = SETTINGS.get(_name(name))
    return matching(value, setting.values) if setting is not None else ()


@command("set", "/set NAME VALUE", "Change how replies are sampled or shown; alone: the settings", _complete,
         needs_model=False)  # fmt: skip
def _set(repl: Desk, argument: str) -> None:
    name, _, value = argument.partition(" ")
    name, value = _name(name), value.strip()
    if not name:
        _list(repl)
        return
    setting = SETTINGS.get(name)
    if setting is None:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"/set {near[0]} {_example(near[0])}" if near else "settings: " + ", ".join(SETTINGS)
        raise UsageError(f"there is no setting {safe_line(name)[:40]!r}", hint)
    if not value:
        repl.say(f"{name} = {_shown(repl, name)}: {setting.help}")
        return
    changed = setting.read(name, value)
    if name == "show_accepted":
        repl.show_accepted = changed
    else:
        try:
            repl.settings = dataclasses.replace(repl.settings, **{name: changed})
        except SettingError as error:
            raise UsageError(error.sentence.format(name=name), f"/set {name} {_example(name)}") from None
        repl.chosen.add(name)
    repl.say(f"{name} = {_shown(repl, name)}")
    if name in ("top_k", "top_p", "min_p", "seed") and repl.settings.greedy:
        repl.say("  (without effect while the temperature is 0)")


def _shown(repl: Desk, name: str) -> str:
    value = repl.show_accepted if name == "show_accepted" else getattr(repl.settings, name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(repr(text) for text in value) or "off"
    return str(value)


def _list(repl: Desk) -> None:
    for name, setting in SETTINGS.items():
        line = f"  {name:<15} {_shown(repl, name):<10}"
        repl.say(f"{line} {setting.help}" if len(line) + len(setting.help) < repl.width else line.rstrip())


@command("show", "/show", "Model, plan and settings, and where each value came from", needs_model=False)
def _show(repl: Desk, _argument: str) -> None:
    for line in repl.describe():
        repl.say(line)
    system = repl.client.system
    repl.say(f"  {'system':<15} {safe_line(system)[: max(20, repl.width - 20)] if system else 'none'}")
    for row in repl.origins.of(repl.prepared, repl.settings, repl.chosen):
        repl.say(f"  {row.name:<15} {safe_line(row.shown):<14} {row.source}")
    repl.say(f"  {'show_accepted':<15} {_shown(repl, 'show_accepted')}")
