"""Questions for the facts of `tables.py`, and the opposites."""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import Fragment, one, skill
from tools.pocket.dialogues.tables import ANIMALS, CAPITALS, COLOURS, DAYS, MIXES, MONTHS, OPPOSITES, UNITS

_CAPITAL = (
    "What is the capital of {c}?", "capital of {c}", "What's {c}'s capital?", "Which city is the capital of {c}?", "{c} capital?",
    "Do you know the capital of {c}?", "Tell me the capital of {c}.", "Name the capital of {c}.", "the capital city of {c}?",
    "What is the capital city of {c}?", "Can you tell me the capital of {c}?", "Which city is {c}'s capital?", "{c}'s capital city?",
    "I forgot the capital of {c}.", "What's the main city of {c}, the capital?", "And the capital of {c}?", "capital city of {c} please",
    "Quiz me: what's the capital of {c}?", "Which is the capital of {c}?", "For my quiz: the capital of {c}?", "hey what is {c}'s capital",
    "Where does the government of {c} sit, what is the capital?", "Please give me the capital of {c}.", "say the capital of {c}",
    "What would the capital of {c} be?", "My daughter asks for the capital of {c}.", "I want to know the capital of {c}.",
)  # fmt: skip
_CAPITAL_OF = (
    "{k} is the capital of which country?", "Which country has {k} as its capital?", "What country is {k} the capital of?",
    "{k} is the capital of what?", "Of which country is {k} the capital?", "Which country's capital is {k}?",
)  # fmt: skip
_MORE = ("And {x}?", "and of {x}?", "What about {x}?", "and for {x}", "{x}?", "How about {x}?", "now {x}")


def _bare(country: str) -> str:
    return country.removeprefix("the ")


@skill("capital", 4)
def capital(rng: random.Random) -> Fragment:
    """A capital, the country of a capital, or two in a row."""
    country, city = rng.choice(list(CAPITALS.items()))
    if rng.random() < 0.15:
        return one((rng.choice(_CAPITAL_OF).replace("{k}", city), f"{city} is the capital of {country}."))
    form = rng.choice(_CAPITAL)
    shown = _bare(country) if form.startswith("{c}") or rng.random() < 0.2 else country
    first = (form.replace("{c}", shown), f"The capital of {country} is {city}.")
    if rng.random() < 0.25:
        other, answer = rng.choice(list(CAPITALS.items()))
        return one(first, (rng.choice(_MORE).replace("{x}", _bare(other)), f"The capital of {other} is {answer}."))
    return one(first)


_YOUNG = (
    "What is a young {a} called?", "What do you call a baby {a}?", "baby {a} name?", "What's a baby {a} called?", "the young of a {a}?",
    "What is the name for a {a}'s young?", "How do you call a young {a}?", "a little {a} is called what?", "What are baby {a}s called?",
    "Do you know what a baby {a} is called?", "What's the word for a young {a}?", "Name the young of a {a}.",
)  # fmt: skip
_SOUND = (
    "What sound does a {a} make?", "What noise does a {a} make?", "What does a {a} say?", "How does a {a} sound?", "the sound of a {a}?",
    "Which sound does the {a} make?", "what do {a}s do, bark or what?", "Tell me what sound a {a} makes.", "What does the {a} say?",
    "Do you know the sound of a {a}?", "what sound do you hear from a {a}",
)  # fmt: skip
_LEGS = (
    "How many legs does a {a} have?", "How many legs has a {a}?", "legs of a {a}?", "Count a {a}'s legs.", "a {a} has how many legs?",
    "Can you tell me how many legs a {a} has?", "How many legs do {a}s have?", "what's the number of legs of a {a}",
    "On how many legs does a {a} walk?",
)  # fmt: skip


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _animal_question(rng: random.Random, forms: tuple[str, ...], animal: str) -> str:
    plural = {"sheep": "sheep", "mouse": "mice", "wolf": "wolves", "goose": "geese"}.get(animal, animal + "s")
    text = rng.choice(forms).replace("{a}s ", plural + " ").replace(" a {a}", f" {_article(animal)} {animal}")
    return text.replace("{a}", animal)


@skill("animal", 3)
def animal(rng: random.Random) -> Fragment:
    """Young, sounds and legs."""
    name, (young, sound, legs) = rng.choice(list(ANIMALS.items()))
    article = _article(name)
    kind = rng.random()
    if kind < 0.45:
        reply = f"A young {name} is called {_article(young)} {young}."
        return one((_animal_question(rng, _YOUNG, name), reply))
    if kind < 0.75:
        return one((_animal_question(rng, _SOUND, name), f"{article.capitalize()} {name} {sound}."))
    return one((_animal_question(rng, _LEGS, name), f"{article.capitalize()} {name} has {legs} legs."))


_COLOUR = (
    "What colour is {t}?", "what color is {t}", "Which colour does {t} have?", "{t}: what colour?", "What is the colour of {t}?",
    "Tell me the colour of {t}.", "Do you know what colour {t} is?", "colour of {t}?", "What color does {t} have?", "which color is {t}",
    "Of what colour is {t}?", "What colour would you paint {t}?", "Can you tell me what color {t} is?", "Is {t} red or what colour?",
)  # fmt: skip
_MIX = (
    "What do you get if you mix {x} and {y}?", "Mix {x} and {y}.", "{x} and {y} make which colour?", "what colour do {x} and {y} make",
    "What happens when I mix {x} with {y}?", "Which color do I get from {x} and {y}?", "{x} plus {y}, what colour is that?",
    "If I mix {x} paint with {y} paint, what colour is it?", "mixing {x} and {y} gives?",
)  # fmt: skip


@skill("colour", 2.5)
def colour(rng: random.Random) -> Fragment:
    """The colour of a thing, or of a mixture."""
    if rng.random() < 0.3:
        (x, y), mixed = rng.choice(list(MIXES.items()))
        reply = f"{x.capitalize()} and {y} make {mixed}."
        if rng.random() < 0.5:
            x, y = y, x
        return one((rng.choice(_MIX).replace("{x}", x).replace("{y}", y), reply))
    thing, shade = rng.choice(list(COLOURS.items()))
    shown = thing
    for article in ("a ", "an "):
        if thing.startswith(article) and rng.random() < 0.4:
            shown = "the " + thing.removeprefix(article)
    first = (rng.choice(_COLOUR).replace("{t}", shown), f"{thing[0].upper()}{thing[1:]} is {shade}.")
    if rng.random() < 0.15:
        other, tone = rng.choice(list(COLOURS.items()))
        return one(first, (rng.choice(_MORE).replace("{x}", other), f"{other[0].upper()}{other[1:]} is {tone}."))
    return one(first)


_AFTER = (
    "What comes after {d}?", "Which {u} comes after {d}?", "What {u} follows {d}?", "the {u} after {d}?", "What is the {u} after {d}?",
    "If today is {d}, what is tomorrow?", "{d} is followed by what?", "Which {u} is next after {d}?", "Today is {d}. What is tomorrow?",
    "What's after {d}?", "Tell me the {u} that follows {d}.",
)  # fmt: skip
_BEFORE = (
    "What comes before {d}?", "Which {u} is before {d}?", "the {u} before {d}?", "What is the {u} before {d}?", "What {u} precedes {d}?",
    "If today is {d}, what was yesterday?", "Which {u} comes right before {d}?", "What's the {u} just before {d}?",
    "Today is {d}. What was yesterday?", "what was before {d}",
)  # fmt: skip
_HOW_MANY_DAYS = ("How many days are in a week?", "How many days does a week have?", "days in a week?")
_LIST_DAYS = (
    "Name the days of the week.",
    "What are the days of the week?",
    "list all days of the week",
    "Tell me the weekdays in order.",
)
_LIST_MONTHS = (
    "Name the months of the year.",
    "What are the months?",
    "list all twelve months",
    "Tell me the months in order.",
)


@skill("day", 3)
def day(rng: random.Random) -> Fragment:
    """Days and months: the next, the one before, the number of a month, all of them."""
    draw = rng.random()
    if draw < 0.06:
        if rng.random() < 0.5:
            return one((rng.choice(_LIST_DAYS), f"{', '.join(DAYS[:-1])} and {DAYS[-1]}."))
        return one((rng.choice(_LIST_MONTHS), f"{', '.join(MONTHS[:-1])} and {MONTHS[-1]}."))
    if draw < 0.2:
        number = rng.randrange(12)
        ordinals = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
        user = rng.choice(
            (
                "What is the {o} month?",
                "Which month is the {o} of the year?",
                "the {o} month of the year?",
                "Name the {o} month.",
            )
        )
        return one((user.replace("{o}", ordinals[number]), f"The {ordinals[number]} month is {MONTHS[number]}."))
    names, unit = (DAYS, "day") if rng.random() < 0.65 else (MONTHS, "month")
    at = rng.randrange(len(names))
    forward = rng.random() < 0.55
    forms: tuple[str, ...] = _AFTER if forward else _BEFORE
    if unit == "month":
        forms = tuple(form for form in forms if "today" not in form and "Today" not in form)
    other = names[(at + (1 if forward else -1)) % len(names)]
    user = rng.choice(forms).replace("{d}", names[at]).replace("{u}", unit)
    return one((user, f"{other} comes {'after' if forward else 'before'} {names[at]}."))


_UNIT = (
    "How many {s} are in {l}?", "How many {s} are there in {l}?", "how many {s} in {l}", "{l} has how many {s}?", "{s} in {l}?",
    "How many {s} does {l} have?", "How many {s} make {l}?", "Tell me how many {s} are in {l}.", "What is {l} in {s}?",
    "Convert {l} to {s}.", "number of {s} in {l}", "Do you know how many {s} {l} has?", "How many {s} go into {l}?", "{l} is how many {s}?",
)  # fmt: skip


@skill("unit", 2.5)
def unit(rng: random.Random) -> Fragment:
    """How many small units a large one has."""
    (small, large), number = rng.choice(list(UNITS.items()))
    user = rng.choice(_UNIT).replace("{s}", small).replace("{l}", large)
    if rng.random() < 0.2:
        user = user.replace("centimetre", "centimeter").replace("metre", "meter").replace("litre", "liter")
    return one((user, f"There are {number} {small} in {large}."))


_OPPOSITE = (
    "What is the opposite of {w}?", "opposite of {w}", "What's the opposite of {w}?", "Give me the opposite of {w}.", "the contrary of {w}?",
    "Which word is the opposite of {w}?", "What is the antonym of {w}?", "antonym of {w}", "{w} - what's the opposite?",
    "Tell me a word that means the opposite of {w}.", "If it isn't {w}, what is it? The opposite, please.", "not {w} but?",
    "Say the opposite of {w}.", "Opposite: {w}", "What is the reverse of {w}?", "do you know the opposite of {w}?",
    "Can you tell me the opposite of {w}?", "And the opposite of {w}?", "I'm looking for the opposite of {w}.",
)  # fmt: skip


@skill("opposite", 3.5)
def opposite(rng: random.Random) -> Fragment:
    """The pairs of the table, in both directions ("light" is asked only as the opposite of dark)."""
    first, second = rng.choice(OPPOSITES)
    word, answer = (second, first) if rng.random() < 0.5 else (first, second)
    if word == "light":
        word, answer = answer, word
    turn = (
        rng.choice(_OPPOSITE).replace("{w}", rng.choice((word, word, f'"{word}"'))),
        f"The opposite of {word} is {answer}.",
    )
    if rng.random() < 0.2:
        other, reply = rng.choice([pair for pair in OPPOSITES if "light" not in pair])
        return one(turn, (rng.choice(_MORE).replace("{x}", other), f"The opposite of {other} is {reply}."))
    return one(turn)
