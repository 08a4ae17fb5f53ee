"""A chat without a terminal, for measurements: `python -m benchmarks.scripted`.

Prints `{"device": ..., "dtype": ...}` when the model is loaded, then answers lines of JSON by lines of JSON,
`{"replies": [...], "stats": [...]}`: `{"turns": [...]}` is a conversation of its own, answered as `specmemo batch` has
it answered; `{"say": text}` goes on with the conversation as the REPL does; `{"clear": true}` begins another one.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from specmemo_chat.chat.task import Task
from specmemo_chat.errors import SpecmemoError, WorkerError
from specmemo_chat.events import Answered, ReplyEnd
from specmemo_chat.host.client import ChatClient
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.flags import ModelChoice, SamplingChoice
from specmemo_chat.setup.prepare import prepare, start_client
from specmemo_chat.terminal.console import Screen


def answer(client: ChatClient, asked: dict[str, Any], settings: GenerationSettings) -> dict[str, Any]:
    """What one line asks for. Raises SpecmemoError where it cannot be answered."""
    replies: list[str] = []
    stats: list[dict[str, Any]] = []
    if "turns" in asked:
        request = [Task(1, tuple(asked["turns"]), system=client.system)]
        for event in client.answer_all(request, settings):
            if isinstance(event, Answered):
                if event.error:
                    raise WorkerError(event.error)
                replies, stats = event.replies, [each.as_json() for each in event.stats]
    elif "say" in asked:
        for said in client.say(asked["say"], settings):
            if isinstance(said, ReplyEnd):
                replies, stats = [said.text], [said.stats.as_json()]
    else:
        client.restore([], client.system)
    return {"replies": replies, "stats": stats}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scripted", description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("-n", type=int, default=0, help="new tokens a reply at most")
    options = parser.parse_args(arguments)
    screen = Screen("never", quiet=True)
    try:
        prepared = prepare(ModelChoice(model=options.model), SamplingChoice(max_new_tokens=options.n), screen)
        client = start_client(prepared)
        try:
            for _ in client.load():
                continue
            screen.print_json({"device": prepared.plan.device, "dtype": prepared.plan.dtype})
            for line in sys.stdin:
                screen.print_json(answer(client, json.loads(line), prepared.settings))
        finally:
            client.close()
    except SpecmemoError as error:
        screen.error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
