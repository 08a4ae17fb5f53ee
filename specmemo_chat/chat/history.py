"""The text side of a conversation: messages, their rendering, and which token ids the next prompt has.

The ids are those of one encoding of the whole text, but for the replies: generated ids are kept as they are. Where the
rendered history goes on in the rendering with the new message, only the new text is tokenised; where a template
rewrites history, everything is tokenised again and the arena's longest common prefix is reused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Protocol

from specmemo_chat.errors import UsageError

# Stands for a reply where the text around it is looked for; a conversation that holds it is tokenised as a whole.
_MARK = "\N{OBJECT REPLACEMENT CHARACTER}reply\N{OBJECT REPLACEMENT CHARACTER}"
# So many characters decide how the text behind them is tokenised.
_REACH = 64
# So many of the newest turns keep a prompt of their own: all would take memory by the square of their number.
_PROMPTS = 4
# What may stand before a text where the token before it would reach into it.
_ANCHORS = ("a", "\n", ".", "1")


class Codec(Protocol):
    """What a conversation needs of a tokenizer (models/tokenizer.py)."""

    @property
    def frame(self) -> tuple[list[int], list[int]]: ...

    def encode(self, text: str, *, framed: bool = False) -> list[int]: ...

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str: ...

    def render(self, messages: Sequence[dict[str, str]], template: str, *, reply: bool) -> str: ...


@dataclass
class Turn:
    """One user message and its reply.

    `prompt` are the token ids up to the opening of the reply, `text_hash` that of their text without the blanks at its
    end; an older turn's are the first `shared` ones of the newest turn's prompt. `reply_ids` are the generated ids that
    belong to the visible `reply` (None: not answered yet), the end token included where the model closed the turn
    itself. `leftover`: the end of `reply` that no whole token in `reply_ids` covers (a stop text cut a token in two).
    `size`: tokens counted by parts, 0 where that was not done yet.
    """

    user: str
    reply: str | None = None
    prompt: list[int] = field(default_factory=list)
    reply_ids: list[int] = field(default_factory=list)
    leftover: str = ""
    text_hash: int = 0
    shared: int = 0
    size: int = 0

    @property
    def known(self) -> bool:
        """Whether its ids are known, not only its texts."""
        return bool(self.prompt or self.shared)

    @property
    def end(self) -> int:
        """Tokens up to the end of the reply, where its ids are known."""
        return (len(self.prompt) or self.shared) + len(self.reply_ids)

    def again(self) -> Turn:
        """The same message, to be answered anew."""
        return replace(self, reply=None, reply_ids=[], leftover="", size=0)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading ids are equal."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))


@dataclass(frozen=True)
class Prompt:
    """The token ids to be answered, and the hash of their text (see Turn). `rewritten`: the template changed earlier
    turns, nothing could be appended."""

    tokens: list[int]
    text_hash: int
    rewritten: bool = False

    def turn(self, user: str) -> Turn:
        """The turn of the message `user`, which this is the prompt of."""
        return Turn(user, prompt=self.tokens, text_hash=self.text_hash)


class History:
    """System prompt and turns, rendered by a chat template (None: the texts are sent as they are, with the special
    tokens that the tokenizer itself puts around a text)."""

    def __init__(self, codec: Codec, template: str | None, eos_ids: frozenset[int], system: str | None = None) -> None:
        self._codec = codec
        self._template = template
        self._eos_ids = eos_ids
        self.system = system
        self.turns: list[Turn] = []
        self._overheads: dict[str | None, tuple[int, int]] = {}

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

    def prompt(self, text: str, turns: Sequence[Turn] | None = None) -> Prompt:
        """The ids of the whole conversation (or of `turns`, some of its own) with the new message `text`, up to the
        opening of the reply."""
        before = self.turns if turns is None else turns
        full = self._render([*self.messages(before), {"role": "user", "content": text}], reply=True)
        text_hash = hash(full.rstrip())
        known = turns is None and bool(before) and bool(before[-1].prompt)
        appended = self._append(full, text) if known else None
        if appended is not None:
            for turn in self.turns[:-_PROMPTS]:
                if turn.prompt and appended[: len(turn.prompt)] == turn.prompt:
                    turn.shared, turn.prompt = len(turn.prompt), []
            return Prompt(appended, text_hash)
        if known:
            for turn in self.turns:
                turn.shared = 0
        return Prompt(self._encode(full), text_hash, rewritten=known)

    def opens_reasoning(self) -> bool:
        """Whether the template opens a reasoning block, so that a reply begins inside one."""
        try:
            return self._render([{"role": "user", "content": "?"}], reply=True).rstrip().endswith("<think>")
        except UsageError:  # a template that refuses this says so at the first message
            return False

    def reopen(self) -> list[int]:
        """The ids of the last turn's reply so far, without its end, for going on there. Sets what of the turn's ids is
        not known yet from its texts."""
        last = self.turns[-1]
        if not last.prompt:
            prompt = self.prompt(last.user, self.turns[:-1])
            last.prompt, last.text_hash = prompt.tokens, prompt.text_hash
        if not last.reply_ids and last.reply:
            asked = self._render(self.messages([*self.turns[:-1], last.again()]), reply=True)
            # Templates may write blanks between the opening and the reply.
            whole = self._render(self.messages(), reply=False)
            at = whole.find(last.reply, len(asked)) if whole.startswith(asked) else -1
            text = whole[len(asked) : at + len(last.reply)] if at >= 0 else last.reply
            last.reply_ids, last.leftover = self._encode_after(asked, text), ""
        ids = list(last.reply_ids)
        if ids and ids[-1] in self._eos_ids:
            ids.pop()
        if not last.leftover:
            return ids
        before = self._codec.decode((last.prompt + ids)[-_REACH:], special=True)
        return ids + self._encode_after(before, last.leftover)

    def _append(self, full: str, text: str) -> list[int] | None:
        """The kept ids of the last turn, its missing end-of-turn tokens and the new text, which is rendered in `full`;
        None where that is not what the template writes."""
        last = self.turns[-1]
        marked = replace(last, reply=_MARK)
        asked = [*self.messages([*self.turns[:-1], marked]), {"role": "user", "content": text}]
        parts = self._render(asked, reply=True).split(_MARK)
        if len(parts) != 2 or last.reply is None:
            return None
        head, tail = parts
        reply = full[len(head) : len(full) - len(tail)]
        if full != head + reply + tail or reply.strip() != last.reply.strip() or hash(head.rstrip()) != last.text_hash:
            return None
        closing = self._codec.frame[1] if self._template is None else []
        ids, tail = last.reply_ids, last.leftover + tail
        if ids and ids[-1] in self._eos_ids:
            written = self._codec.decode(ids[-1:], special=True)
            begins = len(tail) - len(tail.lstrip())
            if tail.startswith(written):
                tail = tail[len(written) :]
            elif tail.startswith(written, begins):
                tail = tail[begins + len(written) :]
            else:
                ids = ids[:-1]  # the model ended the turn with a token that this template never writes
        kept = last.prompt[: len(last.prompt) - len(closing)] + ids
        return kept + self._encode_after(full[: len(full) - len(tail)], tail) + closing

    def _encode_after(self, before: str, text: str) -> list[int]:
        """The ids that `text` has behind `before` in one text: no sign of a text's beginning, no token of another way
        to cut it. Where a token would reach over the border, those behind some other text."""
        for anchor in (before[-_REACH:], *_ANCHORS):
            head = self._codec.encode(anchor)
            ids = self._codec.encode(anchor + text)
            if ids[: len(head)] == head:
                return ids[len(head) :]
        return self._codec.encode(text)

    def _encode(self, text: str) -> list[int]:
        return self._codec.encode(text, framed=self._template is None)

    def _render(self, messages: Sequence[dict[str, str]], *, reply: bool) -> str:
        if self._template is None:
            return "".join(message["content"] for message in messages)
        return self._codec.render(messages, self._template, reply=reply)

    # --- how long it is

    def turn_tokens(self, most: int) -> list[int]:
        """How many tokens each turn takes in a context of `most`, of the newest turns that it holds; the first one's
        include the system prompt."""
        last = self.turns[-1] if self.turns else None
        if last is None:
            return []
        if not last.prompt:
            sizes = self.newest(most - self.overhead[0])
            return [sizes[0] + self.overhead[0], *sizes[1:]] if sizes else []
        # How long all are together is known, and how long each is perhaps from its texts alone.
        sizes = [self.size(index) for index in range(len(self.turns))]
        sizes[0] += self.overhead[0]
        ends = [last.end * end // sum(sizes) for end in accumulate(sizes, initial=0)]
        return [end - start for start, end in pairwise(ends)]

    def newest(self, most: int, stop: int | None = None) -> list[int]:
        """The sizes of as many of the newest turns (before turn `stop`) as take at most `most` tokens together, oldest
        first. No more turns are looked at."""
        sizes: list[int] = []
        for index in reversed(range(len(self.turns) if stop is None else stop)):
            size = self.size(index)
            most -= size
            if most < 0:
                break
            sizes.append(size)
        return sizes[::-1]

    def size(self, index: int) -> int:
        """How many tokens turn `index` takes, without the system prompt: by its ids, where they and those before them
        are known, else by its texts, which are counted once."""
        turn = self.turns[index]
        before = self.turns[index - 1] if index else None
        if turn.known and (before is None or before.known):
            return max(1, turn.end - (before.end if before is not None else self.overhead[0]))
        if not turn.size:
            reply = len(turn.reply_ids) or self.count(turn.reply or "")
            turn.size = self.count(turn.user) + reply + self.overhead[1]
        return turn.size

    def count(self, text: str) -> int:
        """Tokens of `text` by itself."""
        return len(self._codec.encode(text))

    @property
    def overhead(self) -> tuple[int, int]:
        """Tokens that stand before all turns (a system prompt), and those that the template writes around the texts of
        each."""
        if self.system not in self._overheads:
            turn = Turn("a", "a")
            one, two = (len(self._encode(self._render(self.messages([turn] * count), reply=False))) for count in (1, 2))
            self._overheads[self.system] = max(0, 2 * one - two), max(0, two - one - 2 * self.count("a"))
        return self._overheads[self.system]

    def undo(self, turns: int) -> None:
        """Forget the newest `turns` turns."""
        newest = self.turns[-1]
        del self.turns[-turns:]
        if self.turns and self.turns[-1].shared:
            self.turns[-1].prompt = newest.prompt[: self.turns[-1].shared]

    def drop(self, turns: int) -> None:
        """Forget the oldest `turns` turns (never the system prompt). The others will be rendered and tokenised anew."""
        for index in range(turns, len(self.turns)):
            self.turns[index].size = self.size(index)
        del self.turns[:turns]
        for turn in self.turns:
            turn.prompt, turn.shared, turn.reply_ids, turn.leftover = [], 0, [], ""
