"""Methods against each other: the same prompts, in turns of short blocks, reply by reply."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from specmemo_chat.bench.measuring.methods import Method, Reply
from specmemo_chat.bench.measuring.schedule import rounds
from specmemo_chat.bench.measuring.statistics import Ratio, median_ratio
from specmemo_chat.bench.measuring.subject import Report, Subject
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.bench.measuring.tracker import generation_memory
from specmemo_chat.errors import UsageError
from specmemo_chat.settings import GenerationSettings

# Tokens after which a method that can stop lets the others go on.
BLOCK_TOKENS = 20
PLAIN, CONTROL = "plain", "control"


@dataclass
class Record:
    """Replies by method, in the same order: `talks[i]` is the conversation of every method's i-th reply. Methods are
    compared with the one called `reference`."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    reference: str = PLAIN
    talks: list[str] = field(default_factory=list)
    longest: tuple[int, Talk | None] = (0, None)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    def ratio(self, name: str, base: str = "", *, whole: bool = False) -> Ratio | None:
        """Speed of `name` over that of `base` (the reference), reply by reply: of decoding, or (`whole`) of the reply
        with its prefill."""
        ratios, groups = [], []
        for mine, other, talk in zip(self.replies[name], self.replies[base or self.reference], self.talks, strict=True):
            left, right = (_whole_rate(mine), _whole_rate(other)) if whole else (mine.rate, other.rate)
            if left > 0 and right > 0:
                ratios.append(left / right)
                groups.append(talk)
        return median_ratio(ratios, groups)

    def summary(self, name: str) -> dict[str, Any]:
        """The figures of docs/reference.md for one method, without memory."""
        replies = self.replies[name]
        seconds = sum(reply.decode_s for reply in replies)
        decoded = sum(reply.decoded for reply in replies)
        steps = sum(reply.steps for reply in replies)
        same = sum(a.tokens == b.tokens for a, b in zip(replies, self.replies[self.reference], strict=True))
        speedup, whole = self.ratio(name), self.ratio(name, whole=True)
        return {
            "tokens_per_second": round(decoded / seconds, 3) if seconds else 0.0,
            "speedup_vs_plain": speedup.as_json() if speedup is not None else None,
            "reply_speedup_vs_plain": whole.as_json() if whole is not None else None,
            "mean_acceptance_length": round(decoded / steps, 4) if steps else 0.0,
            "ttft_s": round(statistics.median(reply.ttft_s for reply in replies), 6) if replies else 0.0,
            "new_tokens": sum(len(reply.tokens) for reply in replies),
            "identical_to_plain": [same, len(replies)],
        }


def _whole_rate(reply: Reply) -> float:
    seconds = reply.ttft_s + reply.decode_s
    return len(reply.tokens) / seconds if seconds > 0 else 0.0


def contest(
    subject: Subject,
    methods: Sequence[Method],
    talks: Sequence[Talk],
    settings: GenerationSettings,
    pairs: int,
    report: Report,
    *,
    context_tokens: int,
    seed: int = 0,
    reference: str = PLAIN,
) -> Record:
    """Run `methods` (one of them called `reference`) over `talks`, again from the start where these do not suffice,
    until `pairs` replies of each can be compared. The first conversation is run once before, to warm up.

    Every method gets the prompts that the reference's replies make. An interrupt ends it with what there is. Raises
    UsageError where a first message does not fit the context.
    """
    order = rounds(methods, seed)
    record, warm_up = (Record({method.name: [] for method in methods}, reference) for _ in range(2))
    for talk in talks:
        _check(subject, talk, context_tokens)
    compared = 0
    try:
        _talk(subject, talks[0], order, settings, context_tokens, warm_up)
        while compared < pairs:
            for talk in talks:
                report(compared, pairs, talk.id)
                _talk(subject, talk, order, settings, context_tokens, record, pairs)
                compared = sum(reply.decoded > 0 for reply in record.replies[reference])
                if compared >= pairs:
                    break
            if not compared:
                raise UsageError(
                    "no reply is longer than one token: there is nothing to compare", "give other --prompts"
                )
    except KeyboardInterrupt:
        record.interrupted = True
        # A reply that not every method has made is none.
        for replies in record.replies.values():
            del replies[len(record.talks) :]
    report(compared, pairs, "")
    return record


def _talk(
    subject: Subject,
    talk: Talk,
    order: Any,
    settings: GenerationSettings,
    context_tokens: int,
    record: Record,
    pairs: int = 0,
) -> None:
    dialogue = subject.dialogue(talk)
    for number, text in enumerate(talk.turns, start=1):
        prompt = dialogue.prompt(text)
        if len(prompt) + 1 >= context_tokens:
            note = f"conversation {talk.id}: turn {number} does not fit the context of {context_tokens} tokens"
            if note not in record.notes:
                record.notes.append(note)
            return
        replies = one_reply(order, prompt, settings)
        for name, reply in replies.items():
            record.replies[name].append(reply)
        record.talks.append(talk.id)
        first = replies[record.reference]
        record.longest = max(record.longest, (len(prompt) + len(first.tokens), talk), key=lambda pair: pair[0])
        if pairs and sum(reply.decoded > 0 for reply in record.replies[record.reference]) >= pairs:
            return
        dialogue.answered(first.tokens)


def one_reply(order: Any, prompt: list[int], settings: GenerationSettings) -> dict[str, Reply]:
    """The reply of every method to `prompt`: they read it one after the other, then go on block by block."""
    present = next(order)
    for method in present:
        method.enter()
        method.begin(prompt, settings)
    finished: set[str] = set()
    tokens = BLOCK_TOKENS
    while len(finished) < len(present):
        for method in next(order):
            if method.name not in finished:
                method.enter()
                if method.run(tokens):
                    finished.add(method.name)
        tokens += BLOCK_TOKENS
    return {method.name: method.end() for method in present}


def talk_bytes(
    make: Callable[[], Method], subject: Subject, talk: Talk, settings: GenerationSettings, context_tokens: int
) -> int:
    """Peak bytes of generation over one whole conversation of a fresh method, weights excluded: `subject` has loaded
    them before."""
    with generation_memory(subject.models, str(subject.target.device)) as measured:
        method, dialogue = make(), subject.dialogue(talk)
        for text in talk.turns:
            prompt = dialogue.prompt(text)
            if len(prompt) + 1 >= context_tokens:
                break
            dialogue.answered(one_reply(rounds([method], 0), prompt, settings)[method.name].tokens)
        del method
    return measured.peak_bytes


def _check(subject: Subject, talk: Talk, context_tokens: int) -> None:
    tokens = len(subject.dialogue(talk).prompt(talk.turns[0]))
    if tokens + 1 >= context_tokens:
        raise UsageError(
            f"conversation {talk.id}: its first message has {tokens} tokens and the context holds {context_tokens}",
            f"give --ctx-size {tokens + 64} or other --prompts",
        )
