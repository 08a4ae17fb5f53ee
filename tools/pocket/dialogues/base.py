"""What the dialogue generator is made of: fragments, skills and the held-out rule.

A *fragment* is one self-contained exchange of one or more turns about one skill. The mixer
(`mix.py`) strings fragments together into dialogues. A *skill* is a function that draws one
fragment from a random generator; modules register theirs with `@skill(name, share)`.

Entities that the evaluation uses never appear in training: an entity belongs to the evaluation when
`held_out(entity)` is true (about one in eight), and `train_pool` removes those from a list.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Turn:
    """One user message and the reply to it, both plain text without surrounding blanks."""

    user: str
    reply: str


@dataclass(frozen=True)
class Fragment:
    """Consecutive turns of one skill.

    `exact` turns off the mixer's noise on the user's text (case, punctuation, typos): the reply
    depends on its letters. `opening` fragments only start a dialogue. `gap` asks the mixer to put
    0 to 4 other fragments' turns between this fragment's turns (memory over several turns);
    fillers are drawn from the skills registered with `filler=True`. `personal` fragments recall what
    the user told, or say that it was not told: a dialogue has one, for a second could deny the first.
    """

    turns: tuple[Turn, ...]
    exact: bool = False
    opening: bool = False
    gap: bool = False
    personal: bool = False


SkillFunction = Callable[[random.Random], Fragment]


@dataclass(frozen=True)
class Skill:
    """A named source of fragments; `share` is its weight among all skills (shares need not add up to 1)."""

    name: str
    share: float
    sample: SkillFunction
    filler: bool


SKILLS: dict[str, Skill] = {}


def skill(name: str, share: float, *, filler: bool = True) -> Callable[[SkillFunction], SkillFunction]:
    """Register the decorated function as the skill `name`; `filler`: may stand between the turns of a memory."""

    def register(function: SkillFunction) -> SkillFunction:
        if name in SKILLS:
            raise ValueError(f"skill {name!r} is registered twice")
        SKILLS[name] = Skill(name, share, function, filler)
        return function

    return register


def held_out(entity: str) -> bool:
    """Whether `entity` (a name, a place, an operand pair such as "17+25") is kept for the evaluation."""
    return zlib.crc32(entity.strip().lower().encode()) % 8 == 0


def train_pool(entities: Iterable[str]) -> list[str]:
    """The entities that training may use, without duplicates, in their first order."""
    return [entity for entity in dict.fromkeys(entities) if not held_out(entity)]


def answered(asks: dict[str, tuple[str, ...]], replies: Iterable[str]) -> list[tuple[tuple[str, ...], str]]:
    """(questions, whole reply) for each beginning of a reply in `asks`. Raises ValueError where it begins none, or several."""
    whole = list(replies)
    pairs = []
    for begins, users in asks.items():
        (reply,) = (reply for reply in whole if reply.startswith(begins))
        pairs.append((users, reply))
    return pairs


def one(*pairs: tuple[str, str] | Turn, exact: bool = False, opening: bool = False, gap: bool = False) -> Fragment:
    """A fragment from (user, reply) pairs."""
    turns = tuple(pair if isinstance(pair, Turn) else Turn(*pair) for pair in pairs)
    return Fragment(turns, exact=exact, opening=opening, gap=gap)
