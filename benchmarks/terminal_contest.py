"""The REPL held against `batch`: the same conversation in both, in turns, in processes that stay.

Four methods: the REPL in a pseudo-terminal; the request that `specmemo batch` sends its worker; that again, as the A/A
control; and a worker that is asked message by message without a terminal. The latter and the REPL take turns with every
message, after pauses of the same length: what differs between them is the terminal's doing, what differs between the
worker with pauses and the one without is the pause's. Processes differ in their speed for as long as they live, so new
ones are started every few rounds.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.pseudo_terminal import TYPING_S, ChatTerminal
from specmemo_chat.bench.measuring.statistics import median_ratio

Say = Callable[[str], None]
METHODS = ("terminal", "batch", "again", "paused")
# What is held against what; of `again` and `batch` the speeds differ by chance alone.
RATIOS = {
    "ratio": ("terminal", "batch"),
    "control": ("again", "batch"),
    "terminal_alone": ("terminal", "paused"),
    "pause_alone": ("paused", "batch"),
}


@dataclass(frozen=True)
class Reply:
    """One reply: its text, what it reports of itself, and the seconds that a person waited for it."""

    text: str
    tokens_per_second: float
    waited_s: float


class Stolen:
    """The part of the wanted processor time that the hypervisor gave to others, with and without pauses."""

    def __init__(self) -> None:
        self._seconds = {name: [0.0, 0.0] for name in ("pauses", "batch")}

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """Inside, a conversation is held."""
        before = psutil.cpu_times()
        yield
        after = psutil.cpu_times()
        stolen = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
        used = after.user + after.system - before.user - before.system
        self._seconds[name][0] += stolen
        self._seconds[name][1] += stolen + used

    def shares(self) -> dict[str, float]:
        """0 where the machine does not tell."""
        return {name: round(stolen / wanted, 4) if wanted else 0.0 for name, (stolen, wanted) in self._seconds.items()}


class Terminal:
    """A REPL that holds one conversation after the other. `folder` is for the files that it saves."""

    def __init__(self, flags: list[str], folder: Path) -> None:
        self._folder = folder
        self._waited: list[float] = []
        self._chat = ChatTerminal(*flags)
        try:
            self._chat.prompt()
            self._chat.loaded()
        except BaseException:
            self._chat.close()
            raise

    def clear(self) -> None:
        """Begin another conversation."""
        self._chat.ask("/clear")
        self._waited = []

    def say(self, message: str) -> None:
        """Type, wait, press Enter, wait for the next prompt."""
        self._waited.append(self._chat.ask(message))

    def replies(self) -> list[Reply]:
        """Of this conversation."""
        saved = self._folder / "chat.json"
        saved.unlink(missing_ok=True)  # /save writes over nothing
        self._chat.ask(f"/save {saved}")
        turns = json.loads(saved.read_text(encoding="utf-8"))["turns"]
        return [
            Reply(turn["reply"], turn["stats"]["tokens_per_second"], seconds)
            for turn, seconds in zip(turns, self._waited, strict=True)
        ]

    def close(self) -> None:
        self._chat.close()


class Script:
    """A worker and a client without a terminal (scripted)."""

    def __init__(self, flags: list[str]) -> None:
        command = [sys.executable, "-m", "benchmarks.scripted", *flags]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self._read()

    def batch(self, messages: Sequence[str]) -> list[Reply]:
        """A conversation without pauses."""
        return self._ask({"turns": messages})

    def clear(self) -> None:
        """Begin another conversation."""
        self._ask({"clear": True})

    def say(self, message: str) -> Reply:
        """Wait as long as `Terminal.say` does before Enter, then send the message."""
        time.sleep(TYPING_S)
        return self._ask({"say": message})[0]

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, asked: dict[str, Any]) -> list[Reply]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        return [
            Reply(text, stats["tokens_per_second"], stats["ttft_s"] + stats["decode_s"])
            for text, stats in zip(answer["replies"], answer["stats"], strict=True)
        ]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the chat without a terminal ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def started(flags: list[str], folder: Path) -> Iterator[tuple[Terminal, Script]]:
    """Both, in new processes."""
    with closing(Script(flags)) as script, closing(Terminal(flags, folder)) as terminal:
        yield terminal, script


def by_turns(
    terminal: Terminal, script: Script, messages: Sequence[str], order: random.Random
) -> tuple[list[Reply], list[Reply]]:
    """The conversation in the REPL and without one, message by message; who comes first is drawn."""
    paused = []
    terminal.clear()
    script.clear()
    for message in messages:
        first = order.random() < 0.5
        if first:
            terminal.say(message)
        paused.append(script.say(message))
        if not first:
            terminal.say(message)
    return terminal.replies(), paused


def contest(
    flags: list[str], messages: Sequence[str], rounds: int, rounds_a_start: int, folder: Path, say: Say
) -> dict[str, Any]:
    """`rounds` times all four, in a random order, with new processes every `rounds_a_start`."""
    order = random.Random(0)
    held: dict[str, list[list[Reply]]] = {name: [] for name in METHODS}
    stolen = Stolen()
    ready: dict[str, Any] = {}
    for first in range(0, rounds, rounds_a_start):
        with started(flags, folder) as (terminal, script):
            # Nobody's first conversation is timed: kernels are prepared and step times refined in it.
            by_turns(terminal, script, messages, order)
            script.batch(messages)
            ready = script.ready
            for number in range(first, min(first + rounds_a_start, rounds)):
                for name in order.sample(("batch", "again", "pauses"), 3):
                    with stolen.watch("pauses" if name == "pauses" else "batch"):
                        if name == "pauses":
                            in_terminal, paused = by_turns(terminal, script, messages, order)
                            held["terminal"].append(in_terminal)
                            held["paused"].append(paused)
                        else:
                            held[name].append(script.batch(messages))
                say(f"round {number + 1} of {rounds}")
    starts = [number // rounds_a_start for number in range(rounds)]
    return ready | summary(held, starts) | {"starts": len(set(starts)), "stolen_share": stolen.shares()}


def summary(held: dict[str, list[list[Reply]]], starts: Sequence[int]) -> dict[str, Any]:
    """What `contest` gives, from the conversations of each method, round by round; `starts[i]` says in which processes
    round i was held."""
    return {
        "replies": sum(map(len, held["batch"])),
        "identical": sum(
            reply.text.strip() == other.text.strip()
            for mine, others in zip(held["terminal"], held["batch"], strict=True)
            for reply, other in zip(mine, others, strict=True)
        ),
        "tokens_per_second": {
            name: round(statistics.median(reply.tokens_per_second for talk in talks for reply in talk), 2)
            for name, talks in held.items()
        },
        **{
            name: _ratio(held[one], held[other], starts, lambda reply: reply.tokens_per_second)
            for name, (one, other) in RATIOS.items()
        },
        "reply_ratio": _ratio(held["terminal"], held["batch"], starts, lambda reply: 1 / reply.waited_s),
        "reply_control": _ratio(held["again"], held["batch"], starts, lambda reply: 1 / reply.waited_s),
    }


def _ratio(
    some: list[list[Reply]], others: list[list[Reply]], starts: Sequence[int], speed: Callable[[Reply], float]
) -> dict[str, Any] | None:
    """The speed of `some` against that of `others`, over the replies with the same text. Drawn are all rounds of a
    start: its replies share what the machine did meanwhile, and how fast its processes happen to be."""
    ratios, groups = [], []
    for start, mine, theirs in zip(starts, some, others, strict=True):
        for reply, other in zip(mine, theirs, strict=True):
            if reply.text.strip() == other.text.strip() and reply.tokens_per_second and other.tokens_per_second:
                ratios.append(speed(reply) / speed(other))
                groups.append(start)
    found = median_ratio(ratios, groups)
    return found.as_json() if found is not None else None
