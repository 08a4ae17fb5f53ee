"""What the terminal costs: `python -m specmemo_chat.bench.terminal`.

The same conversation is held in the REPL, through a pseudo-terminal, and by `specmemo batch`, in turns, each time in
new processes; batch a second time as the A/A control. A pair is one reply with the same text. `ratio` compares the
tokens per second that both report; `reply_ratio` holds the whole reply against the clock of the person who waits: in
the REPL from Enter to the next prompt, in batch the prefill and the decoding alone. `--start` measures instead how long
the prompt takes from the command until it shows what is typed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.bench.pseudo_terminal import ChatTerminal
from specmemo_chat.bench.statistics import median_ratio

# Messages whose replies are long for the bundled model: a reply of ten tokens is over before it can be timed.
MESSAGES = (
    "Tell me a very short story about a snail in a library.",
    "Explain speculative decoding, please.",
    "Tell me a very short story about a fox and a lighthouse.",
    "How does specmemo save memory?",
    "What can you do?",
    "Tell me a very short story about a baker who lost a key.",
)
TYPED = "§"


@dataclass(frozen=True)
class Reply:
    """One reply: its text, what it reports of itself, and the seconds that a person waited for it."""

    text: str
    tokens_per_second: float
    waited_s: float


def by_terminal(flags: list[str], messages: tuple[str, ...], folder: Path) -> list[Reply]:
    """The conversation in the REPL."""
    saved = folder / "chat.json"
    saved.unlink(missing_ok=True)
    chat = ChatTerminal(*flags)
    try:
        chat.prompt()
        chat.loaded()
        waited = [chat.ask(message) for message in messages]
        chat.ask(f"/save {saved}")
    finally:
        chat.close()
    turns = json.loads(saved.read_text(encoding="utf-8"))["turns"]
    return [
        Reply(turn["reply"], turn["stats"]["tokens_per_second"], seconds)
        for turn, seconds in zip(turns, waited, strict=True)
    ]


def by_batch(flags: list[str], messages: tuple[str, ...], folder: Path) -> list[Reply]:
    """The conversation by `specmemo batch`. Raises RuntimeError where it fails."""
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text(json.dumps({"turns": messages}) + "\n", encoding="utf-8")
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "specmemo_chat", "batch", str(source), "-o", str(out), "--batch-size", "1"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    line = json.loads(out.read_text(encoding="utf-8"))
    return [
        Reply(text, stats["tokens_per_second"], stats["ttft_s"] + stats["decode_s"])
        for text, stats in zip(line["replies"], line["stats"], strict=True)
    ]


def contest(flags: list[str], messages: tuple[str, ...], rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """`rounds` times all three, in a random order."""
    methods = {"terminal": by_terminal, "batch": by_batch, "again": by_batch}
    order = random.Random(0)
    held: dict[str, list[list[Reply]]] = {name: [] for name in methods}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for name in order.sample(list(methods), len(methods)):
                held[name].append(methods[name](flags, messages, Path(folder)))
            say(f"round {number + 1} of {rounds}")
    return {
        "replies": sum(map(len, held["batch"])),
        "identical": sum(
            reply.text.strip() == other.text.strip()
            for mine, others in _pairs(held, "terminal")
            for reply, other in zip(mine, others, strict=True)
        ),
        "tokens_per_second": {
            name: round(statistics.median(reply.tokens_per_second for talk in talks for reply in talk), 2)
            for name, talks in held.items()
        },
        "ratio": _ratio(held, "terminal", lambda reply: reply.tokens_per_second),
        "control": _ratio(held, "again", lambda reply: reply.tokens_per_second),
        "reply_ratio": _ratio(held, "terminal", lambda reply: 1 / reply.waited_s),
        "reply_control": _ratio(held, "again", lambda reply: 1 / reply.waited_s),
    }


def _pairs(held: dict[str, list[list[Reply]]], name: str) -> list[tuple[list[Reply], list[Reply]]]:
    return list(zip(held[name], held["batch"], strict=True))


def _ratio(held: dict[str, list[list[Reply]]], name: str, speed: Callable[[Reply], float]) -> dict[str, Any] | None:
    """The speed of `name` against that of batch, over the replies with the same text; whole rounds are drawn, because
    the replies of one share what the machine did meanwhile."""
    ratios, rounds = [], []
    for number, (mine, others) in enumerate(_pairs(held, name)):
        for reply, other in zip(mine, others, strict=True):
            if reply.text.strip() == other.text.strip() and reply.tokens_per_second and other.tokens_per_second:
                ratios.append(speed(reply) / speed(other))
                rounds.append(number)
    found = median_ratio(ratios, rounds)
    return found.as_json() if found is not None else None


def start_seconds(flags: list[str]) -> dict[str, float]:
    """From the command to the open prompt, and to the character that is typed then being shown; the processor time of
    the terminal's process tells what of it is the machine's other work."""
    chat = ChatTerminal(*flags)
    try:
        chat.prompt()
        opened = chat.seconds
        chat.echoed(TYPED)
        return {"prompt_s": opened, "typed_s": chat.seconds, "processor_s": chat.processor_s}
    finally:
        chat.close()


def starts(flags: list[str], runs: int) -> dict[str, Any]:
    """The medians of `runs`, after one that warms the file cache."""
    start_seconds(flags)
    found = [start_seconds(flags) for _ in range(runs)]
    seconds = {name: [round(run[name], 3) for run in found] for name in found[0]}
    return {name: {"median": statistics.median(values), "runs": values} for name, values in seconds.items()}


@contextmanager
def _own_folders() -> Iterator[None]:
    """Nothing of the user's is read or written, but what the device was measured as stays known between the runs. The
    modules' bytecode is kept, as an installed package has it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: str(Path(folder) / name.lower()) for name in names}
        yield


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m specmemo_chat.bench.terminal", description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--rounds", type=int, default=20, help="conversations of each kind (default %(default)s)")
    parser.add_argument("--messages", type=int, default=len(MESSAGES), help="only the first of them")
    parser.add_argument("-n", type=int, default=96, help="new tokens a reply at most (default %(default)s)")
    parser.add_argument("--start", action="store_true", help="measure the start of the prompt instead")
    parser.add_argument("--runs", type=int, default=5, help="measured starts (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    flags = ["--model", options.model, "-n", str(options.n)]
    with _own_folders():
        if options.start:
            result = starts(flags, options.runs)
        else:
            messages = MESSAGES[: options.messages]
            result = contest(flags, messages, options.rounds, lambda text: print(text, file=sys.stderr))
    if options.json:
        print(json.dumps({"schema": 1, "model": options.model} | result))
        return
    if options.start:
        for name, what in (
            ("prompt_s", "the prompt is open"),
            ("typed_s", "it shows what is typed"),
            ("processor_s", "  processor time until then"),
        ):
            print(f"{what:28} {result[name]['median']:6.2f} s, median of {result[name]['runs']}")
        return
    print(f"{result['identical']} of {result['replies']} replies identical")
    for name, what in (
        ("ratio", "tokens/s, REPL against batch"),
        ("control", "  control, batch against batch"),
        ("reply_ratio", "whole replies, REPL against batch"),
        ("reply_control", "  control, batch against batch"),
    ):
        print(f"{what:36} {_shown(result[name])}")


def _shown(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "no pair"
    return "{median:.3f} [{low:.3f}, {high:.3f}] of {pairs} pairs".format(**ratio)


if __name__ == "__main__":
    main()
