"""How well a model predicts a text: perplexity by the program's own forwards, in windows of the planned context.

A window overlaps the one before it by half, and what it shares with that one is context only: every token but the first
is predicted once, from half a window of tokens at least (where there are so many before it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from specmemo_chat.bench.measuring.job import Job
from specmemo_chat.bench.measuring.subject import Report, Subject
from specmemo_chat.engine.runner import Runner
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import Plan

# Rows whose distributions are computed together, as where tokens are drawn.
_AT_ONCE = 8


@dataclass(frozen=True)
class Window:
    """Tokens [first, last) of a text, of which those from `fresh` on are predicted here."""

    first: int
    fresh: int
    last: int


def windows(tokens: int, context: int) -> Iterator[Window]:
    """The windows of a text of so many tokens."""
    first, fresh = 0, 1
    while fresh < tokens:
        last = min(tokens, first + context)
        yield Window(first, fresh, last)
        first, fresh = first + max(1, context // 2), last


@dataclass
class Found:
    """Sums over `tokens` predicted tokens: of negative log-likelihoods (`nll`); beside another model of its own
    (`other`), of the divergence KL(other || this) (`divergence`), and of equal first choices (`equal`)."""

    tokens: int = 0
    nll: float = 0.0
    other: float = 0.0
    divergence: float = 0.0
    equal: int = 0

    def add(self, logits: torch.Tensor, targets: torch.Tensor, reference: torch.Tensor | None) -> None:
        """Logits [n, vocab], the tokens that came [n], and the other model's logits if there is one."""
        for rows in range(0, len(targets), _AT_ONCE):
            part = slice(rows, rows + _AT_ONCE)
            own, came = logits[part].float().log_softmax(-1), targets[part, None]
            self.tokens += len(came)
            self.nll -= float(own.gather(1, came).double().sum())
            if reference is None:
                continue
            theirs = reference[part].float().log_softmax(-1)
            self.other -= float(theirs.gather(1, came).double().sum())
            self.equal += int((own.argmax(-1) == theirs.argmax(-1)).sum())
            self.divergence += float((theirs.exp() * (theirs - own)).double().sum())

    def values(self, dtype: str, against: str | None) -> dict[str, Any]:
        """The keys of docs/reference.md."""
        count = max(1, self.tokens)
        found: dict[str, Any] = {
            "dtype": dtype,
            "tokens": self.tokens,
            "nll_per_token": self.nll / count,
            "perplexity": math.exp(self.nll / count),
        }
        if against is not None:
            found["against"] = {
                "dtype": against,
                "nll_per_token": self.other / count,
                "perplexity": math.exp(self.other / count),
                "kl_divergence": self.divergence / count,
                "equal_argmax": self.equal / count,
            }
        return found


@dataclass
class Reader:
    """A model that reads windows, in forwards of at most the plan's largest step: the plan has their logits."""

    plan: Plan
    subject: Subject
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        plan = self.plan
        arena = self.subject.target.new_arena(1, plan.context_tokens, plan.growth_tokens, 0)
        self.runner = Runner(self.subject.target, arena)

    def begin(self, tokens: int) -> None:
        """A window of so many tokens; the one before it is forgotten."""
        self.runner.arena.truncate(0, 0)
        self.runner.stretches[0] = self.subject.target.stretch(tokens)

    def read(self, tokens: list[int]) -> torch.Tensor:
        """The logits after every one of the next `tokens` of the window: [n, vocab]."""
        return self.runner.prefill(0, tokens, logits=len(tokens))


def perplexity(job: Job, report: Report) -> dict[str, Any]:
    """What the job's text is worth to its plans: "plain", and "against" where another precision is asked for. Raises
    UsageError for a text of fewer than two tokens."""
    plan, against = job.plans["plain"], job.plans.get("against")
    readers = [
        Reader(own, Subject(own, system=None, chat_template="none", trust_remote_code=job.trust_remote_code))
        for own in (plan, against)
        if own is not None
    ]
    tokens = readers[0].subject.tokenizer.encode(job.text, framed=True)
    if len(tokens) < 2:
        raise UsageError(f"{job.prompts} has too few tokens ({len(tokens)}) to predict any", "give a longer text")
    context = min(own.plan.context_tokens for own in readers)
    step = min(own.plan.tree_nodes for own in readers)
    found, interrupted = Found(), False
    try:
        with torch.inference_mode():
            for window in windows(len(tokens), context):
                for reader in readers:
                    reader.begin(window.last - window.first)
                for first in range(window.first, window.last - 1, step):
                    last = min(first + step, window.last - 1)
                    logits = [reader.read(tokens[first:last]) for reader in readers]
                    skipped = max(0, window.fresh - first - 1)
                    if skipped < last - first:
                        came = torch.tensor(tokens[first + 1 + skipped : last + 1], device=logits[0].device)
                        found.add(logits[0][skipped:], came, logits[1][skipped:] if against is not None else None)
                    report(found.tokens, len(tokens) - 1, "tokens")
    except KeyboardInterrupt:
        if not found.tokens:
            raise
        interrupted = True
    values = found.values(plan.dtype, against.dtype if against is not None else None)
    return values | {"context_tokens": context, "interrupted": interrupted}
