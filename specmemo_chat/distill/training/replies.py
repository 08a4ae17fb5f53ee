"""The target's own replies to the prompts, as token ids: made by the engine, stored line by line, resumable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specmemo_chat.chat.history import History, common_prefix
from specmemo_chat.distill.training.data import Prompts
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence as Text
from specmemo_chat.errors import UsageError
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.settings import GenerationSettings


@dataclass(frozen=True)
class Example:
    """One text: its token ids, and the ranges [start, end) that the target wrote."""

    tokens: tuple[int, ...]
    replies: tuple[tuple[int, int], ...]


class ReplyStore:
    """`replies.jsonl` of a run: one line per conversation with its examples. A torn last line is cut off."""

    def __init__(self, file: Path) -> None:
        self.examples: dict[int, list[Example]] = {}
        try:
            if file.exists():
                data = file.read_bytes()
                whole = data.rfind(b"\n") + 1
                os.truncate(file, whole)
                for line in data[:whole].splitlines():
                    self._take(json.loads(line))
            self._file = file.open("ab")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{file} cannot be used: {error}", "give another folder with -o") from error

    def _take(self, values: dict[str, Any]) -> None:
        self.examples[values["line"]] = [
            Example(tuple(entry["tokens"]), tuple((start, end) for start, end in entry["replies"]))
            for entry in values["examples"]
        ]

    def add(self, line: int, examples: list[Example]) -> None:
        """Keep the examples of the conversation in input line `line`."""
        self.examples[line] = examples
        entries = [{"tokens": example.tokens, "replies": example.replies} for example in examples]
        self._file.write(json.dumps({"line": line, "examples": entries}).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass
class _Chat:
    """A conversation that is being answered in a row of the engine."""

    prompts: Prompts
    history: History
    row: int
    limit: int
    asked: int = 0
    held: list[int] = field(default_factory=list)
    sequence: Text | None = None
    tokens: list[int] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, prompt: Sequence[int], reply: Sequence[int]) -> None:
        """One more turn. A template that rewrites earlier turns starts a new example."""
        if self.tokens and list(prompt[: len(self.tokens)]) != self.tokens:
            self.flush()
        self.tokens = [*prompt, *reply]
        self.ranges.append((len(prompt), len(self.tokens)))

    def flush(self) -> None:
        if self.ranges:
            self.examples.append(Example(tuple(self.tokens), tuple(self.ranges)))
        self.tokens, self.ranges = [], []


def make_replies(
    engine: Engine,
    tokenizer: ChatTokenizer,
    template: str | None,
    prompts: Sequence[Prompts],
    store: ReplyStore,
    settings: GenerationSettings,
    system: str | None,
) -> Iterator[int]:
    """Answer every conversation that `store` lacks, as many at once as the engine has rows.

    Yields the number of conversations that are done, each time one is. A conversation ends where its next prompt
    leaves no room for a reply.
    """
    waiting = [entry for entry in prompts if entry.line not in store.examples]
    done = len(prompts) - len(waiting)
    waiting.reverse()
    rows: list[_Chat | None] = [None] * engine.plan.rows
    while waiting or any(rows):
        for row, chat in enumerate(rows):
            if chat is None and waiting:
                entry = waiting.pop()
                history = History(tokenizer, template, engine.target.eos_ids, entry.system or system)
                rows[row] = _Chat(entry, history, row, engine.plan.context_tokens)
                engine.arena.truncate(row, 0)
                if engine.drafter is not None:
                    engine.drafter.truncate(row, 0)
        for chat in [chat for chat in rows if chat is not None and chat.sequence is None]:
            if not _ask(engine, chat, settings):
                chat.flush()
                store.add(chat.prompts.line, chat.examples)
                rows[chat.row] = None
                done += 1
                yield done
        active = [chat for chat in rows if chat is not None]
        sequences = [chat.sequence for chat in active if chat.sequence is not None]
        if sequences:
            engine.step(sequences)
        for chat in active:
            if chat.sequence is not None and chat.sequence.finished is not None:
                _answered(engine, chat, tokenizer)


def _ask(engine: Engine, chat: _Chat, settings: GenerationSettings) -> bool:
    """Open the next turn of `chat`; False where there is none, or no room for one."""
    if chat.asked >= len(chat.prompts.users):
        return False
    user = chat.prompts.users[chat.asked]
    turn = chat.history.prompt(user).turn(user)
    prompt = turn.prompt
    if len(prompt) + 1 >= chat.limit:
        return False
    chat.asked += 1
    chat.history.turns.append(turn)
    keep = common_prefix(chat.held, prompt)
    chat.sequence = engine.open(prompt, settings, row=chat.row, keep=keep)
    return True


def _answered(engine: Engine, chat: _Chat, tokenizer: ChatTokenizer) -> None:
    sequence = chat.sequence
    assert sequence is not None
    chat.held = engine.close(sequence)
    reply = sequence.tokens[sequence.prompt_length :]
    turn = chat.history.turns[-1]
    turn.reply, turn.reply_ids = tokenizer.decode(reply), list(reply)
    chat.add(turn.prompt, reply)
    chat.sequence = None


def given_replies(
    tokenizer: ChatTokenizer,
    template: str | None,
    prompts: Sequence[Prompts],
    store: ReplyStore,
    eos_ids: frozenset[int],
    system: str | None,
) -> None:
    """The replies of the data itself (`--keep-replies`), in the tokens that the model would read."""
    for entry in prompts:
        if entry.line in store.examples:
            continue
        chat = _Chat(entry, History(tokenizer, template, eos_ids, entry.system or system), 0, 0)
        ends = sorted(eos_ids)[:1] if tokenizer.eos_id is None else [tokenizer.eos_id]
        for user, reply in zip(entry.users, entry.replies or (), strict=True):
            turn = chat.history.prompt(user).turn(user)
            turn.reply = reply
            chat.history.turns.append(turn)
            turn.reply_ids = [*chat.history.reopen(), *ends]
            chat.add(turn.prompt, turn.reply_ids)
        chat.flush()
        store.add(entry.line, chat.examples)
