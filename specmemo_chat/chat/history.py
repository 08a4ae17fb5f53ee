"""The text side of a conversation: messages, their rendering, and which token ids the next prompt has.

Generated token ids are kept as they are. Where the rendered history is a prefix of the rendered history plus the new
message, only the new text is tokenised; where a template rewrites history, everything is tokenised again and the
arena's longest common prefix is reused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from specmemo_chat.errors import UsageError


class Codec(Protocol):
    """What a conversation needs of a tokenizer."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str: ...

    def render(self, messages: Sequence[dict[str, str]], template: str, *, reply: bool) -> str: ...


@dataclass
class Turn:
    """One user message and its reply.

    `prompt` are the token ids up to the opening of the reply, `reply_ids` the generated ids that belong to the visible
    `reply` (None: not answered yet), the end token included where the model closed the turn itself. `leftover`: the
    end of `reply` that no whole token in `reply_ids` covers (a stop text cut a token in two).
    """

    user: str
    reply: str | None = None
    prompt: list[int] = field(default_factory=list)
    reply_ids: list[int] = field(default_factory=list)
    leftover: str = ""


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading ids are equal."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))


@dataclass(frozen=True)
class Prompt:
    """The token ids to be answered. `rewritten`: the template changed earlier turns, nothing could be appended."""

    tokens: list[int]
    rewritten: bool = False


class History:
    """System prompt and turns, rendered by a chat template (None: the texts are sent as they are)."""

    def __init__(self, codec: Codec, template: str | None, eos_ids: frozenset[int], system: str | None = None) -> None:
        self._codec = codec
        self._template = template
        self._eos_ids = eos_ids
        self.system = system
        self.turns: list[Turn] = []

    def empty(self) -> History:
        """One without turns, of the same template and system prompt."""
        return History(self._codec, self._template, self._eos_ids, self.system)

    def messages(self, turns: Sequence[Turn] | None = None) -> list[dict[str, str]]:
        """The conversation as role/content pairs; a turn without a reply has only its user message."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns if turns is None else turns:
            messages.append({"role": "user", "content": turn.user})
            if turn.reply is not None:
                messages.append({"role": "assistant", "content": turn.reply})
        return messages

    def prompt(self, text: str) -> Prompt:
        """The ids of the whole conversation with the new message `text`, up to the opening of the reply."""
        full = self._render([*self.messages(), {"role": "user", "content": text}], reply=True)
        appended = self._append(full)
        if appended is not None:
            return Prompt(appended)
        return Prompt(self._codec.encode(full), rewritten=bool(self.turns and self.turns[-1].prompt))

    def opens_reasoning(self) -> bool:
        """Whether the template opens a reasoning block, so that a reply begins inside one."""
        try:
            return self._render([{"role": "user", "content": "?"}], reply=True).rstrip().endswith("<think>")
        except UsageError:  # a template that refuses this says so at the first message
            return False

    def reopen(self) -> list[int]:
        """The ids of the last turn's reply so far, without its end, for going on there. Sets the turn's `prompt` where
        only its text was known."""
        last = self.turns[-1]
        if not last.prompt:
            asked = [*self.messages(self.turns[:-1]), {"role": "user", "content": last.user}]
            last.prompt = self._codec.encode(self._render(asked, reply=True))
            last.reply_ids = self._codec.encode(last.reply or "")
        ids = list(last.reply_ids)
        if ids and ids[-1] in self._eos_ids:
            ids.pop()
        return ids + (self._codec.encode(last.leftover) if last.leftover else [])

    def turn_tokens(self) -> list[int]:
        """How many tokens each turn takes in the context; the first one's include the system prompt."""
        ends = [0]
        for count, turn in enumerate(self.turns, start=1):
            if turn.prompt:
                ends.append(len(turn.prompt) + len(turn.reply_ids))
            else:
                ends.append(len(self._codec.encode(self._render(self.messages(self.turns[:count]), reply=False))))
        return [end - start for start, end in pairwise(ends)]

    def _append(self, full: str) -> list[int] | None:
        """The kept ids of the last turn, its missing end-of-turn tokens and the new text; None where that is not
        what the template would write."""
        last = self.turns[-1] if self.turns else None
        if last is None or not last.prompt or not last.reply:
            return None
        reply = last.reply.strip()
        before = self._render(self.messages(), reply=False)
        at = before.rfind(reply)
        if at < 0 or not full.startswith(before):
            return None
        tail = before[at + len(reply) :]
        kept = last.prompt + last.reply_ids
        if kept[-1] in self._eos_ids:
            closing = self._codec.decode(kept[-1:], special=True)
            found = tail.find(closing)
            if found < 0:
                kept = kept[:-1]  # the model ended the turn with a token that this template never writes
            else:
                tail = tail[found + len(closing) :]
        return kept + self._codec.encode(last.leftover + tail + full[len(before) :])

    def _render(self, messages: Sequence[dict[str, str]], *, reply: bool) -> str:
        if self._template is None:
            return "".join(message["content"] for message in messages)
        return self._codec.render(messages, self._template, reply=reply)

    def drop_oldest(self) -> Turn | None:
        """Forget the oldest turn (never the system prompt). The remaining turns are rendered anew."""
        if not self.turns:
            return None
        dropped = self.turns.pop(0)
        for turn in self.turns:
            turn.prompt = []
            turn.reply_ids = []
        return dropped
