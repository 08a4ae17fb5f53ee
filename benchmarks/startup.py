"""How long a chat takes to start: `python -m benchmarks.startup`.

Times whole commands, from starting the process to the first byte of the reply on its standard output; the worker's own
breakdown comes from `-v`. One run before the measured ones warms the file cache.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

PROMPT = "Hello! What can you do?"


@dataclass(frozen=True)
class Start:
    """Seconds from the command to the first byte of the reply, and the worker's share of them by name."""

    first_byte_s: float
    breakdown: dict[str, float]


def start_once(model: str) -> Start:
    """Run one chat. Raises RuntimeError with its messages where it fails."""
    command = [sys.executable, "-m", "specmemo_chat", "chat", "-v", "-n", "8", "--model", model, "-p", PROMPT]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("the command has no output")
        first = process.stdout.read(1)
        seconds = time.perf_counter() - began
        process.stdout.read()
        notes = process.stderr.read().decode()
    if process.returncode or not first:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {notes}")
    return Start(seconds, {name: float(value) for name, value in re.findall(r"(\w+_s) ([\d.]+)", notes)})


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--runs", type=int, default=5, help="measured runs (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    start_once(options.model)
    starts = [start_once(options.model) for _ in range(options.runs)]
    names = starts[0].breakdown
    result = {
        "schema": 1,
        "model": options.model,
        "runs": [round(start.first_byte_s, 3) for start in starts],
        "median_s": round(statistics.median(start.first_byte_s for start in starts), 3),
        "breakdown": {name: round(statistics.median(start.breakdown[name] for start in starts), 3) for name in names},
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"from the command to the first byte of the reply: median {result['median_s']:.2f} s of {result['runs']}")
    for name, seconds in result["breakdown"].items():
        print(f"  {name:24} {seconds:6.2f}")


if __name__ == "__main__":
    main()
