"""Dialogues of Pocket's generator as a file, the data that its draft head is trained on:

    python -m tools.pocket.chats --count 12000 -o chats.jsonl
    specmemo train-draft --model pocket --data chats.jsonl -o head

`train-draft` takes the user's messages from it and lets the model reply itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

from tools.pocket.dialogues.mix import dialogues
from tools.pocket.dialogues.small_talk import read_small_talk


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.pocket.chats", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the JSONL file")
    parser.add_argument("--count", type=int, default=12_000, help="dialogues (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another one than Pocket was trained with")
    parser.add_argument("--small-talk", type=Path, help="Synthetic-Persona-Chat as gzipped JSONL (CC-BY 4.0)")
    options = parser.parse_args(arguments)
    talk = read_small_talk(options.small_talk) if options.small_talk else None
    drawn = dialogues(options.seed, talk.turns, talk.words) if talk else dialogues(options.seed)
    with options.out.open("w", encoding="utf-8") as file:
        for messages in itertools.islice(drawn, options.count):
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    print(f"{options.count} dialogues: {options.out}")


if __name__ == "__main__":
    main()
