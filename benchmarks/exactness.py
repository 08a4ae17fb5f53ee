"""Whether a draft changes a text: `python -m benchmarks.exactness MODEL`.

Answers 20 conversations by `specmemo batch` without a draft and with each of `--drafts`, greedy and at temperature 0.8,
in each precision and with each number of rows, and counts the conversations whose text is the same to the letter. The
plain text of one row is what all others are held against: neither a draft nor other rows may change it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONVERSATIONS = Path(__file__).parent / "prompts" / "twenty_talks.jsonl"
TEMPERATURES = (0.0, 0.8)


def replies(source: Path, flags: list[str]) -> list[list[dict[str, Any]]]:
    """Text and statistics of every reply of every conversation. Raises RuntimeError where one failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "replies.jsonl"
        command = [sys.executable, "-m", "specmemo_chat", "batch", str(source), "-o", str(out), "--seed", "7", *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [
        [{"text": text, "stats": stats} for text, stats in zip(line["replies"], line["stats"], strict=True)]
        for line in lines
    ]


def texts(talks: list[list[dict[str, Any]]]) -> list[list[str]]:
    return [[reply["text"] for reply in talk] for talk in talks]


def compared(
    plain: list[list[dict[str, Any]]], other: list[list[dict[str, Any]]], names: dict[str, Any]
) -> dict[str, Any]:
    """How many conversations are the same; fewer steps than tokens show that drafts were accepted."""
    stats = [reply["stats"] for talk in other for reply in talk]
    return {
        **names,
        "identical_to_plain": [
            sum(a == b for a, b in zip(texts(plain), texts(other), strict=True)),
            len(plain),
        ],
        "new_tokens": sum(each["new_tokens"] for each in stats),
        "steps": sum(each["steps"] for each in stats),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line; exit status 1 where a text differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exactness", description=__doc__)
    parser.add_argument("model", help="alias, hub id, folder or GGUF file")
    parser.add_argument("--dtypes", nargs="+", default=["auto"])
    parser.add_argument("--drafts", nargs="+", default=["auto"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1], help="conversations at once")
    parser.add_argument("--turns", type=int, choices=(1, 2), default=1)
    parser.add_argument("--talks", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=48, help="of each reply")
    given = parser.parse_args(arguments)
    talks = [json.loads(line)["turns"][: given.turns] for line in CONVERSATIONS.read_text("utf-8").splitlines()]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "talks.jsonl"
        source.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in talks[: given.talks]), "utf-8")
        for dtype in given.dtypes:
            for temperature in TEMPERATURES:
                common = ["-m", given.model, "--dtype", dtype, "--temp", str(temperature), "-n", str(given.tokens)]
                plain = replies(source, [*common, "--draft", "none", "--batch-size", "1"])
                for rows in given.rows:
                    drafts = [draft for draft in ("none", *given.drafts) if rows > 1 or draft != "none"]
                    for draft in drafts:
                        other = replies(source, [*common, "--draft", draft, "--batch-size", str(rows)])
                        names = {"dtype": dtype, "temperature": temperature, "rows": rows, "draft": draft}
                        results.append(compared(plain, other, names))
                        print(json.dumps(results[-1]), flush=True)
    if any(same != count for same, count in (result["identical_to_plain"] for result in results)):
        sys.exit(1)


if __name__ == "__main__":
    main()
