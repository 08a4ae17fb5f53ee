"""Chats that are killed at random moments: `python tests/kill_harness.py FILE KILLS SEED` prints a summary as JSON.

Each chat is a fork of this process: the real client, recorder and reply view over an engine that answers at once. It
writes what its user has seen into a pipe: the conversation as it stands when a prompt appears, and every piece of text.
After SIGKILL the file is opened as the next chat would open it and held against that. Nothing may be missing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from specmemo_chat.events import Done, Event, Ready, ReplyEnd, Statistics, Text
from specmemo_chat.host.client import ChatClient, ShownTurn
from specmemo_chat.host.requests import Load, Regenerate, Request, Say
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.terms import Terms
from specmemo_chat.sessions.recorder import Recorder
from specmemo_chat.sessions.store import SessionStore
from specmemo_chat.sessions.turns import Resumed
from specmemo_chat.settings import GenerationSettings

LONGEST_LIFE_S = 0.15
SETTINGS = GenerationSettings()
# A piece of text is stored before it is shown: the file may be one ahead.
LONGEST_WORD = len("w999999999 ")
LOAD = Load(Plan("fake", "fake", "cpu", "fp32", context_tokens=100, cap_bytes=0, terms=Terms()))
Pairs = list[list[str]]


class FastEngine:
    """An executor without a worker: a reply of a few words, each an event."""

    alive = True

    def __init__(self, random_: random.Random) -> None:
        self._random = random_

    def request(self, request: Request, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        if isinstance(request, Load):
            yield Ready("fake", "cpu", "fp32", "none", 100, 0.0)
        elif isinstance(request, Say | Regenerate):
            words = [f"w{self._random.randrange(10**9)} " for _ in range(self._random.randrange(1, 12))]
            for word in words:
                time.sleep(self._random.random() * 0.003)
                yield Text(word)
            yield ReplyEnd("".join(words), "stop", Statistics(new_tokens=len(words)))
        else:
            yield Done({"turns": 0})

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


def latest(file: Path) -> Resumed | None:
    with SessionStore(file) as store:
        found = store.sessions(1)
        return store.resume(found[0]) if found else None


def chat(file: Path, say: Any, seed: int, *, go_on: bool) -> None:
    """One life: resumes or begins, then talks until it is killed. `say` tells the parent what the user sees."""
    chance = random.Random(seed)
    client = ChatClient(lambda: FastEngine(chance), LOAD)
    recorder = Recorder(lambda: SessionStore(file, patience_s=20), "fake", partial_every_s=0.0)
    recorder.open()
    resumed = latest(file) if go_on else None
    if resumed is not None:
        recorder.resume(resumed)
        client.turns = [ShownTurn(turn.user, turn.reply) for turn in resumed.turns]
    client.keeper = recorder
    number = 0
    while True:
        if recorder.news():
            say("trouble", [str(recorder.error)])
        say("prompt", [[turn.user, turn.reply] for turn in client.turns], recorder.session)
        number += 1
        choice = chance.random()
        if choice < 0.1 and client.turns:
            client.undo()
            continue
        if choice < 0.15 and len(client.turns) > 1:
            client.restore(client.turns[: chance.randrange(1, len(client.turns))], None)
            continue
        if choice < 0.3 and client.turns:
            user, events = client.turns[-1].user, client.regenerate(SETTINGS)
        else:
            user = f"message {seed}.{number}"
            events = client.say(user, SETTINGS)
        shown = ""
        for event in events:
            if isinstance(event, Text):
                shown += event.text
                say("reply", user, shown)


class Life:
    """A chat in a process of its own."""

    def __init__(self, file: Path, seed: int, *, go_on: bool) -> None:
        reading, writing = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(reading)
            try:
                chat(file, lambda *seen: os.write(writing, (json.dumps(seen) + "\n").encode()), seed, go_on=go_on)
            except BaseException as error:  # noqa: BLE001 - reported to the parent, which fails
                os.write(writing, (json.dumps(["trouble", repr(error)]) + "\n").encode())
            os._exit(1)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")

    def end(self) -> list[list[Any]]:
        """Kill it; what its user had seen."""
        os.kill(self._child, signal.SIGKILL)
        with self._pipe as pipe:
            data = pipe.read()
        _, status = os.waitpid(self._child, 0)
        assert os.WIFSIGNALED(status), f"the chat ended by itself: {data[-500:]!r}"
        return [json.loads(line) for line in data.decode().splitlines()]


def check(file: Path, seen: list[list[Any]], *, two: bool) -> str:
    """Hold the file against what was seen; where the kill struck: "start", "reply" or "prompt"."""
    assert not [line for line in seen if line[0] == "trouble"], seen
    with SessionStore(file) as store:
        store.check_integrity()
        prompts = [line[1] for line in seen if line[0] == "prompt"]
        number = next((line[2] for line in reversed(seen) if line[0] == "prompt"), None)
        if number is None:
            return "start"
        info = store.find(str(number))
        assert info is not None, "the conversation is gone"
        turns = store.turns(number)
        stored = {(turn.user, turn.reply) for turn in turns}
        for conversation in prompts:
            for user, reply in conversation:
                assert (user, reply) in stored, f"lost: {user!r}"
        now = [[turn.user, turn.reply] for turn in store.resume(info).turns]
        if seen[-1][0] == "prompt":
            # As the user last saw it; or a turn taken back just before the kill, or a first word about to be shown.
            seen_now = prompts[-1][: len(now)]
            assert now in (seen_now, [*seen_now, now[-1] if now else []]), (now, prompts[-1])
            assert now == seen_now or len(now[-1][1]) <= LONGEST_WORD, (now, prompts[-1])
            return "prompt"
        # In mid-reply: what was shown of it is stored, as partial unless its end came just before the kill.
        user, text = seen[-1][1:]
        last = max((turn for turn in turns if turn.user == user), key=lambda turn: turn.id)
        # Of two chats at once one may find the file busy; a partial text is not waited for.
        assert last.reply.startswith(text) or (two and text.startswith(last.reply)), (last, text)
        assert len(last.reply) <= len(text) + LONGEST_WORD or last.state == "complete", (last, text)
        kept = prompts[-1][:-1] if prompts[-1] and prompts[-1][-1][0] == user else prompts[-1]
        assert now[: len(kept)] == kept, (now, kept, seen[-1])
        return "reply" if last.state == "partial" else "prompt"


def pairs(resumed: Resumed) -> Pairs:
    return [[turn.user, turn.reply] for turn in resumed.turns]


def main() -> None:
    file, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    struck = {"start": 0, "reply": 0, "prompt": 0}
    done = turns = 0
    while done < kills:
        two = chance.random() < 0.1
        before = latest(file) if not two and file.exists() and chance.random() < 0.8 else None
        # Two at once begin a conversation each; one alone mostly goes on with the last.
        lives = [Life(file, seed * 10**6 + done + index, go_on=before is not None) for index in range(1 + two)]
        time.sleep(chance.random() * LONGEST_LIFE_S)
        for seen in [life.end() for life in lives]:
            struck[check(file, seen, two=two)] += 1
            done += 1
            if before is not None and seen:
                assert seen[0][1] == pairs(before), "not the conversation that was stored"
        with SessionStore(file) as store:
            stored = sum(info.stored for info in store.sessions())
        assert stored >= turns, "stored turns went missing"
        turns = stored
        if stored > 1000:
            file.unlink()
            turns = 0
    print(json.dumps({"kills": done, "struck": struck}))


if __name__ == "__main__":
    main()
