"""What the terminal costs: `python -m benchmarks.terminal`.

The same conversation is held in the REPL, through a pseudo-terminal, and as `specmemo batch` has its worker hold it
(terminal_contest); as a batch a second time as the A/A control, and without a terminal but with the REPL's pauses
before the messages. A pair is one reply with the same text. `ratio` compares the tokens per second that both report;
`reply_ratio` holds the whole reply against the clock of the person who waits: in the REPL from Enter to the next
prompt, in a batch the prefill and the decoding alone. `--start` measures instead how long the prompt takes from the
command until it shows what is typed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.pseudo_terminal import ChatTerminal
from benchmarks.terminal_contest import contest
from specmemo_chat.bench.measuring.environment import environment

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
def _own_folders() -> Iterator[Path]:
    """A folder to write to. Nothing of the user's is read or written, but what the device was measured as stays known
    between the runs. The modules' bytecode is kept, as an installed package has it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    names = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: str(Path(folder) / name.lower()) for name in names}
        yield Path(folder)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.terminal", description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--rounds", type=int, default=20, help="conversations of each kind (default %(default)s)")
    parser.add_argument("--every", type=int, default=2, help="new processes every so many (default %(default)s)")
    parser.add_argument("--messages", type=int, default=len(MESSAGES), help="only the first of them")
    parser.add_argument("-n", type=int, default=96, help="new tokens a reply at most (default %(default)s)")
    parser.add_argument("--start", action="store_true", help="measure the start of the prompt instead")
    parser.add_argument("--runs", type=int, default=5, help="measured starts (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.every, options.messages, options.runs) < 1:
        parser.error("counts begin at 1")
    flags = ["--model", options.model, "-n", str(options.n)]
    with _own_folders() as folder:
        if options.start:
            result = starts(flags, options.runs)
        else:
            messages = MESSAGES[: options.messages]
            try:
                result = contest(flags, messages, options.rounds, options.every, folder, _say)
            except RuntimeError as error:
                sys.exit(f"nothing was measured: {error}")
            except KeyboardInterrupt:
                sys.exit(130)
    if options.json:
        print(
            json.dumps(
                {"schema": 1, "model": options.model}
                | result
                | {"environment": environment(result.get("device", "cpu"))}
            )
        )
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
        ("terminal_alone", "  against the same pauses, no terminal"),
        ("pause_alone", "  those pauses against batch"),
        ("reply_ratio", "whole replies, REPL against batch"),
        ("reply_control", "  control, batch against batch"),
    ):
        print(f"{what:38} {_shown(result[name])}")
    shares = result["stolen_share"]
    print(f"taken by the hypervisor: {shares['pauses']:.1%} with the pauses, {shares['batch']:.1%} in batch")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _shown(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "no pair"
    return "{median:.3f} [{low:.3f}, {high:.3f}] of {pairs} pairs".format(**ratio)


if __name__ == "__main__":
    main()
