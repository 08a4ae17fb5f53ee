"""What a later turn costs: `python -m benchmarks.turns`.

Runs conversations of twelve turns through `specmemo batch` and reports, for each turn, the part of the earlier text
whose keys and values were reused, and the time to its first token against that of turn 2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONVERSATIONS = Path(__file__).parent / "prompts" / "twelve_turns.jsonl"


def run_conversations(model: str, source: Path, new_tokens: int) -> list[list[dict[str, Any]]]:
    """The statistics of every turn of every conversation. Raises RuntimeError where a conversation failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "replies.jsonl"
        command = [sys.executable, "-m", "specmemo_chat", "batch", str(source), "-o", str(out), "--model", model]
        done = subprocess.run([*command, "-n", str(new_tokens)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [json.loads(line)["stats"] for line in out.read_text(encoding="utf-8").splitlines()]


def summary(conversations: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Per turn: the smallest reused share of what stood before its message, the median seconds to the first token."""
    turns = []
    for number in range(len(conversations[0])):
        shares = []
        for stats in conversations:
            if number:
                before = stats[number - 1]["prompt_tokens"] + stats[number - 1]["new_tokens"]
                shares.append(stats[number]["reused_tokens"] / before)
        turns.append(
            {
                "turn": number + 1,
                "prompt_tokens": statistics.median(stats[number]["prompt_tokens"] for stats in conversations),
                "reused_share": round(min(shares), 4) if shares else None,
                "ttft_s": round(statistics.median(stats[number]["ttft_s"] for stats in conversations), 5),
            }
        )
    return {
        "schema": 1,
        "conversations": len(conversations),
        "turns": turns,
        "reused_share": min(turn["reused_share"] for turn in turns[1:]),
        "ttft_last_over_second": round(turns[-1]["ttft_s"] / turns[1]["ttft_s"], 3),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--prompts", type=Path, default=CONVERSATIONS, help="JSONL with turns (default: its own)")
    parser.add_argument("-n", type=int, default=80, help="new tokens a turn at most (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    result = summary(run_conversations(options.model, options.prompts, options.n))
    if options.json:
        print(json.dumps(result))
        return
    print(f"{'turn':>4} {'prompt':>7} {'reused':>7} {'first token':>12}")
    for turn in result["turns"]:
        share = "" if turn["reused_share"] is None else f"{100 * turn['reused_share']:.1f} %"
        print(f"{turn['turn']:4} {turn['prompt_tokens']:7.0f} {share:>7} {1000 * turn['ttft_s']:9.1f} ms")
    print(
        f"{result['conversations']} conversations: at least {100 * result['reused_share']:.1f} % reused; "
        f"turn {len(result['turns'])} / turn 2: {result['ttft_last_over_second']:.2f}"
    )


if __name__ == "__main__":
    main()
