"""What declining is put together from: forms with slots, subjects known and unheard of, halves of replies."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tools.pocket.dialogues import decline_forms as forms
from tools.pocket.dialogues import decline_subjects as subjects
from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import held_out
from tools.pocket.dialogues.tables import CAPITALS

Exchange = tuple[str, str]

Family = tuple[float, Callable[[random.Random], Exchange]]

KNOWS = (
    "A larger model can help: start me with `--model`.",
    "A larger model knows more: see `--model`.",
    "Try `specmemo chat --model NAME` for that.",
    "With `--model` you can chat with a bigger model.",
)

CAN = (KNOWS[0], "A larger model can: see `--model`.", *KNOWS[2:])

ABOUT = (
    "I don't know about {s}.",
    "I know nothing about {s}.",
    "I'm too small to know about {s}.",
    "That's outside my reach: {s}.",
    "That is beyond a model my size: {s}.",
    "I never learnt about {s}.",
    "I can't help with {s}.",
)

ASIDE = "What else would you like to do?"

_PRONOUNS = {
    "i": "you",
    "i'm": "you're",
    "i've": "you've",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "am": "are",
}


def yours(text: str) -> str:
    """`text` with the user's "my" and "me" turned into "your" and "you"."""
    return re.sub(
        r"(?<![\w-])[A-Za-z]+(?:'[a-z]+)?(?![\w-])", lambda match: _PRONOUNS.get(match[0].lower(), match[0]), text
    )


def fill(text: str, slots: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: slots.get(match[1], match[0]), text)


def ask(rng: random.Random, choices: Sequence[str], adorned: float = 0.22, /, **slots: str) -> str:
    """One of the forms with its slots filled, sometimes with an opener before it or a tail after it."""
    form = rng.choice(choices)
    opener = rng.choice(forms.OPENERS) + " " if rng.random() < adorned else ""
    if opener.endswith((", ", ": ", "but ")) and form[0].isupper() and not form.startswith(("I ", "I'")):
        form = form[0].lower() + form[1:]
    if form.endswith((".", "?", "!")) and rng.random() < adorned / 2:
        form += " " + rng.choice(forms.TAILS)
    return opener + fill(form, slots)


def answer(rng: random.Random, heads: Sequence[str], pointers: Sequence[str] = KNOWS, /, **slots: str) -> str:
    own = {name: yours(value) for name, value in slots.items()}
    return f"{fill(rng.choice(heads), own)} {rng.choice(pointers)}"


def unseen_word(rng: random.Random) -> str:
    while True:
        word = entities.made_up(rng, 1, 3)
        if len(word) > 3 and not held_out(word):
            return word


def any_person(rng: random.Random) -> str:
    if rng.random() < 0.55:
        return rng.choice(subjects.PEOPLE)
    name = f"{entities.first_name(rng)} {unseen_word(rng).capitalize()}"
    return (
        f"{rng.choice(('Dr', 'Professor', 'Captain', 'Saint', 'Lady', 'King'))} {name}" if rng.random() < 0.1 else name
    )


def any_noun(rng: random.Random, pool: Sequence[str], unseen: float = 0.25) -> str:
    """A subject of `pool`, or a word that nobody knows: naming it back must be copying, not recall."""
    if rng.random() >= unseen:
        return rng.choice(pool)
    word = unseen_word(rng)
    return rng.choice(
        (
            word,
            word,
            word.capitalize(),
            f"the {word}",
            f"the {word} {rng.choice(('effect', 'theory', 'law', 'war', 'test', 'method'))}",
        )
    )


def any_place(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice([*subjects.COUNTRIES, *CAPITALS, *CAPITALS.values()])
    return entities.place(rng)


def unlisted_place(rng: random.Random) -> str:
    """A place whose capital is not in the table."""
    while True:
        place = rng.choice(subjects.COUNTRIES) if rng.random() < 0.45 else entities.place(rng)
        if place not in CAPITALS and place not in CAPITALS.values() and place != "Korea":
            return place


def tell_about(rng: random.Random, choices: Sequence[str], subject: str) -> Exchange:
    return ask(rng, choices, s=subject), answer(rng, ABOUT, s=subject)
