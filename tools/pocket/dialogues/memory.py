"""Dialogues in which the user tells something, and asks for it turns later."""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import Fragment, Turn, skill
from tools.pocket.dialogues.memory_facts import Kind, kind_named, put_in

_KINDS = {
    "name": 10.0,
    "place": 4.0,
    "pet": 4.0,
    "favourite": 3.0,
    "likes": 2.5,
    "relative": 1.5,
    "job": 1.5,
    "age": 1.0,
}
_SUMMARY = (
    "What do you know about me?", "Tell me what you know about me.", "What have I told you about myself?", "who am i to you",
    "Sum up what you know about me.", "What do you remember about me?", "Do you remember what I told you about me?",
    "Say everything you know about me.",
)  # fmt: skip
_JOINTS = (" and ", ", and ", ". ", ", ", "! ")
_TAILS = ("",) * 6 + (
    " Remember that.",
    " Please remember it.",
    " Don't forget it!",
    " Keep that in mind.",
    " I'll ask you later.",
)
_CHECKS = (
    ("Will you remember that?", "Yes, as long as this conversation lasts."),
    ("You won't forget that, will you?", "No, I'll remember it while this conversation lasts."),
    ("Can you remember things?", "Yes, what you tell me in this conversation."),
)


def _kinds(rng: random.Random, count: int) -> list[tuple[str, Kind, str]]:
    names = list(_KINDS)
    chosen: list[str] = []
    while len(chosen) < count:
        name = rng.choices(names, weights=list(_KINDS.values()))[0]
        if name not in chosen:
            chosen.append(name)
    drawn = [(name, kind_named(name, rng)) for name in chosen]
    return [(name, kind, kind.draw(rng)) for name, kind in drawn]


def _say(rng: random.Random, forms: tuple[str, ...], value: str, old: str = "") -> str:
    return put_in(rng.choice(forms), value).replace("{old}", old)


def _reply(rng: random.Random, forms: tuple[str, ...], value: str) -> str:
    text = put_in(rng.choice(forms), value)
    return text[0].upper() + text[1:]


def _tell(rng: random.Random, facts: list[tuple[str, Kind, str]]) -> Turn:
    """One message with one or two facts."""
    said = [_say(rng, kind.tell, value) for _, kind, value in facts]
    if len(said) == 1:
        return Turn(said[0] + rng.choice(_TAILS), _reply(rng, facts[0][1].ack, facts[0][2]))
    joint = rng.choice(_JOINTS)
    first, second = said[0].rstrip(".!?"), said[1]
    if joint.strip() in ("and", ",", ", and") and not second.startswith(("I ", "I'm", "I've", facts[1][2])):
        second = second[0].lower() + second[1:]
    replies = [rng.choice(kind.ack[-2:] if name != "name" else kind.ack[:1]) for name, kind, _ in facts]
    parts = [put_in(form, value) for form, (_, _, value) in zip(replies, facts, strict=True)]
    parts = [part[0].upper() + part[1:] for part in parts]
    reply = " ".join(part for part in parts if part.count("?") == 0) or parts[0]
    return Turn(first + joint + second, reply)


def _ask(rng: random.Random, kind: Kind, value: str) -> Turn:
    return Turn(_say(rng, kind.ask, value), _reply(rng, kind.answer, value))


@skill("memory", 22, filler=False)
def memory(rng: random.Random) -> Fragment:
    """Tell one to three facts, perhaps correct one, then ask."""
    facts = _kinds(rng, rng.choice((1, 1, 1, 2, 2, 3)))
    turns: list[Turn] = []
    waiting = list(facts)
    while waiting:
        count = 2 if len(waiting) > 1 and rng.random() < 0.5 else 1
        turns.append(_tell(rng, waiting[:count]))
        waiting = waiting[count:]
    if rng.random() < 0.06:
        turns.append(Turn(*rng.choice(_CHECKS)))
    if rng.random() < 0.22:
        # The fact told last is what "no, it's Ana" means.
        name, kind, old = facts[-1]
        new = kind.draw(rng)
        if new != old:
            if rng.random() < 0.4:
                turns.append(_ask(rng, kind, old))
            turns.append(Turn(_say(rng, kind.correct, new, old), put_in(kind.fixed, new)))
            facts[-1] = (name, kind, new)
    asked = facts[:]
    rng.shuffle(asked)
    for _, kind, value in asked[: rng.choice((1, 1, 2, 3))]:
        turns.append(_ask(rng, kind, value))
    if len(facts) > 1 and rng.random() < 0.12:
        summary = " ".join(put_in(kind.answer[0], value) for _, kind, value in facts)
        turns.append(Turn(rng.choice(_SUMMARY), summary))
    elif rng.random() < 0.12:
        missing = rng.choice([name for name in _KINDS if name not in {name for name, _, _ in facts}])
        kind = kind_named(missing, rng)
        turns.append(Turn(_say(rng, kind.ask, ""), kind.unknown))
    return Fragment(tuple(turns), gap=True, personal=True)


@skill("memory_unknown", 2.5, filler=False)
def memory_unknown(rng: random.Random) -> Fragment:
    """A question for what was never told; often the user then tells it, and asks again."""
    if rng.random() < 0.08:
        return Fragment((Turn(rng.choice(_SUMMARY), "Nothing yet. What would you like to tell me?"),), opening=True)
    _, kind, value = _kinds(rng, 1)[0]
    turns = [Turn(_say(rng, kind.ask, ""), kind.unknown)]
    if rng.random() < 0.6:
        told = value if rng.random() < 0.3 else _say(rng, kind.tell + kind.correct[:1], value)
        turns.append(Turn(told, put_in(kind.fixed, value)))
        turns.append(_ask(rng, kind, value))
    return Fragment(tuple(turns), gap=rng.random() < 0.5, personal=True)
