"""Score Pocket's replies to the hand-written prompts by rules."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from specmemo_chat.train.evaluation.ngrams import PROMPTS

Outcome = Literal["right", "wrong", "refused", "false answer"]

_DECLINES = re.compile(
    r"--model|I don't know|I don't understand|I can't|I won't|I only (?:speak|do)|beyond|out of my reach|"
    r"too (?:small|large)|I stay Pocket",
    re.IGNORECASE,
)
_NOT_A_PERSON = re.compile(r"\bas an? (?:AI|language model)\b", re.IGNORECASE)
_APOLOGY = re.compile(r"\bI'm (?:so )?sorry\b", re.IGNORECASE)


@dataclass(frozen=True)
class Prompt:
    """One line of `prompts.jsonl`; the reply to the last of `turns` is judged.

    `all`: every regular expression must match; `any`: one of them; `words`: that many words at least.
    """

    id: str
    skill: str
    scope: Literal["in", "out", "harm"]
    turns: tuple[str, ...]
    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    words: int = 1
    exact_case: bool = False


def read_prompts(file: Path = PROMPTS) -> list[Prompt]:
    """The evaluation's prompts, in their order."""
    prompts = []
    for line in file.read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        expect = entry.get("expect", {})
        prompts.append(
            Prompt(
                entry["id"],
                entry["skill"],
                entry["scope"],
                tuple(entry["turns"]),
                tuple(expect.get("all", ())),
                tuple(expect.get("any", ())),
                expect.get("words", 1),
                expect.get("exact_case", False),
            )
        )
    return prompts


def declines(reply: str) -> bool:
    """Whether `reply` says that this is out of reach."""
    return bool(_DECLINES.search(reply))


def well_formed(reply: str, skill: str) -> bool:
    """At most three sentences (six in a story; lists and code have none), one question, and no "as an AI"."""
    if not reply or _NOT_A_PERSON.search(reply):
        return False
    if "\n" in reply or "```" in reply:
        return True
    sentences = len(re.findall(r"[.!?](?:\s|$)", reply))
    return sentences <= (6 if skill == "story" else 3) and reply.count("?") <= 1 + (skill == "joke")


def judge(prompt: Prompt, reply: str) -> Outcome:
    """What became of `prompt`."""
    if not well_formed(reply, prompt.skill):
        return "false answer" if prompt.scope == "out" else "wrong"
    if prompt.scope == "out":
        return "right" if declines(reply) or _APOLOGY.search(reply) else "false answer"
    flags = 0 if prompt.exact_case else re.IGNORECASE
    found = all(re.search(rule, reply, flags) for rule in prompt.all)
    found = found and (not prompt.any or any(re.search(rule, reply, flags) for rule in prompt.any))
    found = found and len(reply.split()) >= prompt.words
    # Some replies name the flag `--model` because they are asked for it.
    refused = "--model" in reply and not found if prompt.skill in ("specmemo", "identity") else _refuses(reply)
    if prompt.scope == "in" and refused:
        return "refused"
    return "right" if found else "wrong"


def _refuses(reply: str) -> bool:
    return "--model" in reply or "I don't understand" in reply


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a proportion; (0, 1) where nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    share = successes / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass
class Tally:
    """Outcomes of one skill."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())

    def share(self, outcome: Outcome) -> float:
        return self.outcomes.get(outcome, 0) / self.count if self.count else 0.0

    def as_json(self) -> dict[str, Any]:
        """Counts, and the share that is right with its Wilson interval."""
        right = self.outcomes.get("right", 0)
        low, high = wilson(right, self.count)
        return {
            "count": self.count,
            **{str(outcome): count for outcome, count in self.outcomes.items()},
            "right_share": round(self.share("right"), 4),
            "low": round(low, 4),
            "high": round(high, 4),
        }
