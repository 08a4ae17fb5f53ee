"""Questions about the world that Pocket has no answer to."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tools.pocket.dialogues import decline_forms as forms
from tools.pocket.dialogues import decline_subjects as subjects
from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import held_out, train_pool
from tools.pocket.dialogues.decline_slots import (
    ABOUT,
    CAN,
    KNOWS,
    Exchange,
    Family,
    answer,
    any_noun,
    any_person,
    any_place,
    ask,
    fill,
    tell_about,
    unlisted_place,
    unseen_word,
    yours,
)
from tools.pocket.dialogues.tables import COLOURS, MIXES, MONTHS, OPPOSITES
from tools.pocket.dialogues.vocabulary import WORDS as ALL_WORDS

WORDS = train_pool(ALL_WORDS)

_CLAUSE = ("I don't know {c}.", "I don't know {c}.", "I can't tell you {c}.", "Sorry, I don't know {c}.")

_HOW = ("I don't know how to {s}.", "I can't explain how to {s}.", "I'm too small to know how to {s}.")

_NO_HOW = ("so ", "matter", "like", "hate", "need", "cost", "taste", "smell bad", "fear", "attack", "hold")

_TIMED = [
    verb
    for verb in subjects.DO_VERBS
    if verb.split()[0] in "sleep eat drink grow migrate breed die build lay hide hunt mate".split()
]

_OUTSIDE_OPPOSITES = tuple(word for word in WORDS if all(word not in pair for pair in OPPOSITES))

_COLOUR_NAMES = (
    "red blue yellow green orange purple pink brown black white grey turquoise gold silver beige violet".split()
)

_COUNTS = "two three four five 2 3 4 5 five six ten 10 twenty".split()


def _what(rng: random.Random) -> Exchange:
    subject = any_noun(rng, subjects.CONCEPTS)
    if rng.random() < 0.1:
        other = any_noun(rng, subjects.CONCEPTS)
        joined = f"{subject} {rng.choice(('and', 'or'))} {other}"
        return ask(rng, forms.WHAT_TWO, s=subject, t=other), answer(rng, ABOUT, s=joined.replace(" or ", " and "))
    return tell_about(rng, forms.WHAT, subject)


def _who(rng: random.Random) -> Exchange:
    return tell_about(rng, forms.WHO, any_person(rng))


def _thing(rng: random.Random) -> Exchange:
    return tell_about(rng, forms.THING, any_noun(rng, subjects.LANDMARKS))


def _event(rng: random.Random) -> Exchange:
    subject = (
        rng.choice(subjects.EVENTS)
        if rng.random() < 0.75
        else f"the {rng.choice(('battle', 'siege', 'treaty', 'fall', 'war'))} of {entities.place(rng)}"
    )
    return tell_about(rng, forms.EVENT, subject)


def _work(rng: random.Random) -> Exchange:
    title = (
        rng.choice(subjects.WORKS)
        if rng.random() < 0.8
        else f"The {rng.choice(WORDS).capitalize()} of {entities.place(rng)}"
    )
    return tell_about(rng, forms.WORK, title)


def _attribute(rng: random.Random) -> Exchange:
    attribute = fill(rng.choice(forms.ATTRIBUTES), {"p": any_place(rng)})
    return ask(rng, forms.ASK_ATTRIBUTE, s=attribute), answer(
        rng, ("I don't know {s}.", "I can't tell you {s}.", "Sorry, I don't know {s}."), s=attribute
    )


def _about_place(rng: random.Random) -> Exchange:
    place, other = any_place(rng), any_place(rng)
    form = rng.choice(forms.PLACE)
    if "{t}" in form:
        return ask(rng, (form,), s=place, t=other), answer(rng, ("I don't know about {s} or {t}.",), s=place, t=other)
    return tell_about(rng, (form,), place)


def _capital(rng: random.Random) -> Exchange:
    place = unlisted_place(rng)
    form = rng.choice(forms.CAPITAL)
    shown = place.removeprefix("the ") if form.startswith("{s}") else place
    return ask(rng, (form,), s=shown), answer(rng, ("I don't know the capital of {s}.",), s=place)


def _how_to(rng: random.Random) -> Exchange:
    task = rng.choice(subjects.TASKS)
    if rng.random() < 0.15:
        task = (
            rng.choice(
                ("make", "cook", "fix", "clean", "play", "build", "grow", "use", "repair", "bake", "draw", "sell")
            )
            + f" a {unseen_word(rng)}"
        )
        task = re.sub(r"\ba (?=[aeiou])", "an ", task)
    return ask(rng, forms.HOW_TO, s=task), answer(rng, _HOW, CAN if rng.random() < 0.3 else KNOWS, s=task)


def _should(rng: random.Random) -> Exchange:
    deed = rng.choice(forms.SHOULDS)
    return ask(rng, forms.SHOULD, s=deed), answer(
        rng, ("I can't tell you whether to {s}.", "I don't know whether to {s}.")[:1], s=deed
    )


def _legal(rng: random.Random) -> Exchange:
    deed = rng.choice(forms.LEGALS)
    return ask(rng, forms.LEGAL, s=deed), answer(rng, ("I don't know whether it is legal to {s}.",), s=deed)


def _medicine(rng: random.Random) -> Exchange:
    draw = rng.random()
    if draw < 0.25:
        name = rng.choice(forms.MEDICINES)
        reply = "I know no medicine: ask a doctor about {m}. A larger model knows more: see `--model`."
        return ask(rng, forms.MEDICINE, m=name), fill(reply, {"m": name})
    if draw < 0.55:
        sign = rng.choice(forms.SERIOUS)
        reply = (
            "Please see a doctor about {s} now. I can't judge it, and a larger model (`--model`) is no doctor either."
        )
        return ask(rng, forms.SYMPTOM, s=sign), fill(reply, {"s": yours(sign)})
    sign = rng.choice(forms.SYMPTOMS)
    return ask(rng, forms.SYMPTOM, s=sign), answer(rng, ("I'm no doctor, so I can't judge {s}.",), s=sign)


def _opinion(rng: random.Random) -> Exchange:
    matter = (
        rng.choice(forms.POLITICS)
        if rng.random() < 0.8
        else f"the {rng.choice(('war', 'crisis', 'election', 'vote'))} in {entities.place(rng)}"
    )
    return ask(rng, forms.OPINION, s=matter), answer(
        rng, ("I have no opinion on {s}.", "I can't say anything about {s}."), s=matter
    )


def _recommend(rng: random.Random) -> Exchange:
    want = rng.choice(forms.RECOMMENDS)
    if re.search(r"restaurant|hotel|bar|cafe|sushi|doctor|dentist|lawyer|bank|school", want) and rng.random() < 0.5:
        want = f"{want} in {entities.place(rng)}".replace(" nearby in", " in")
    return ask(rng, forms.RECOMMEND, s=want), answer(
        rng, ("I can't recommend {s}.", "I can't recommend {s}: I'm too small."), KNOWS, s=want
    )


def _price(rng: random.Random) -> Exchange:
    goods = rng.choice(subjects.GOODS) if rng.random() < 0.85 else f"the {unseen_word(rng)}"
    return ask(rng, forms.ASK_PRICE, s=goods), answer(rng, ("I don't know the price of {s}.",), s=goods)


def _indirect(rng: random.Random, question: str, clause: str) -> Exchange:
    """`question` or a way round it ("Do you know why ..."), and a reply that repeats `clause`."""
    if rng.random() < 0.65:
        user = ask(rng, (question,))
    elif clause.startswith(("the ", "a ", "another ", "my ")):
        user = ask(rng, forms.ASK_ATTRIBUTE, s=clause)
    else:
        user = ask(rng, forms.INDIRECT, c=clause)
    return user, answer(rng, _CLAUSE, c=clause)


def _clause(rng: random.Random) -> Exchange:
    kind = rng.choices(range(8), weights=(4, 6, 5, 4, 3, 2.5, 2, 2))[0]
    match kind:
        case 0:
            what, how = rng.choice(subjects.WHY_IS)
            if rng.random() < 0.35:
                what, how = rng.choice(list(COLOURS.items()))
            return _indirect(rng, f"Why is {what} {how}?", f"why {what} is {how}")
        case 1:
            verb = rng.choice(subjects.DO_VERBS)
            word = (
                "why"
                if any(part in f" {verb}" or verb.startswith(part) for part in _NO_HOW)
                else rng.choice(("why", "why", "how"))
            )
            if verb in _TIMED:
                word = rng.choice((word, "when", "where"))
            plural = rng.choice(subjects.PLURALS) if rng.random() < 0.85 else f"{unseen_word(rng)}s"
            return _indirect(rng, f"{word.capitalize()} do {plural} {verb}?", f"{word} {plural} {verb}")
        case 2:
            measure = rng.choice(forms.MEASURES)
            what = (
                rng.choice(subjects.LANDMARKS)
                if rng.random() < 0.6
                else rng.choice((any_person(rng), f"the {unseen_word(rng)}", unseen_word(rng).capitalize()))
            )
            return _indirect(rng, f"How {measure} is {what}?", f"how {measure} {what} is")
        case 3:
            deed = rng.choice(subjects.WHO_DID)
            if rng.random() < 0.25:
                done = rng.choice(("invented", "wrote", "discovered", "built", "owns", "founded", "designed"))
                deed = f"{done} the {unseen_word(rng)}"
            return _indirect(rng, f"Who {deed}?", f"who {deed}")
        case 4:
            what, done = rng.choice(subjects.WHEN_WAS)
            if rng.random() < 0.25:
                what, done = entities.place(rng), rng.choice(("founded", "built", "destroyed", "discovered"))
            word = rng.choice(("when", "when", "when", "why", "how"))
            return _indirect(rng, f"{word.capitalize()} was {what} {done}?", f"{word} {what} was {done}")
        case 5:
            count = rng.choice(subjects.HOW_MANY)
            return _indirect(rng, f"How many {count}?", f"how many {count}")
        case 6:
            part, whole = rng.choice(subjects.HOW_MANY_HAS)
            return _indirect(rng, f"How many {part} does {whole} have?", f"how many {part} {whole} has")
        case _:
            event = rng.choice(subjects.WHAT_IFS)
            question = rng.choice(
                (
                    "What would happen if {s}?",
                    "What happens if {s}?",
                    "What if {s}?",
                    "Imagine {s}. What then?",
                    "Suppose {s}. What would happen?",
                )
            )
            return ask(rng, (question,), s=event), answer(rng, _CLAUSE, c=f"what would happen if {event}")


def _near_miss(rng: random.Random) -> Exchange:
    """What the skills next door cover only in part: colours, young animals, opposites, mixtures, lists, words."""
    draw = rng.random()
    if draw < 0.1:
        while True:
            left, right = rng.sample(_COLOUR_NAMES, 2)
            if (left, right) not in MIXES and (right, left) not in MIXES:
                break
        choices = (
            "Mix {x} and {y}.",
            "What colour do {x} and {y} make?",
            "What do you get if you mix {x} and {y}?",
            "{x} and {y} make which colour?",
        )
        return ask(rng, choices, x=left, y=right), answer(
            rng, ("I don't know what {x} and {y} make.",), x=left, y=right
        )
    if draw < 0.25:
        kind = rng.choice(forms.LISTS)
        return ask(rng, forms.ASK_LIST, s=kind, c=rng.choice(_COUNTS)), answer(
            rng, ("I have no list of {s}.", "I can't list {s}."), s=kind
        )
    question, clause = rng.choice(forms.CLAUSES)
    animal = rng.choice(subjects.ANIMALS_BEYOND) if rng.random() < 0.85 else unseen_word(rng)
    slots = {
        "a": animal,
        "ia": f"{'an' if animal[0] in 'aeiou' else 'a'} {animal}",
        "p": any_place(rng),
        "q": any_place(rng),
        "n": entities.first_name(rng),
        "k": rng.choice(subjects.COLOURLESS) if rng.random() < 0.8 else f"the {unseen_word(rng)}",
        "m": rng.choice(MONTHS),
        "w": rng.choice(_OUTSIDE_OPPOSITES) if rng.random() < 0.8 else unseen_word(rng),
    }
    slots["ta"] = rng.choice((slots["ia"], f"the {animal}"))
    return _indirect(rng, fill(question, slots), fill(clause, slots))


_CALCULATIONS = forms.bars(
    """{a} / {b} | {a} divided by {b} | the square root of {a} | the cube root of {a} | {c}% of {a} | {c} percent of
    {a} | {c}/{d} + {d}/{e} | half of {a} | a third of {a} | {c} squared | {c} cubed | {c} to the power of {d} |
    {d}^{c} | x + {a} = {b} | {d}x - {b} = {a} | x^2 - {c} = 0 | the integral of x^{d} | the derivative of {c}x^{d}
    | the sine of {c} | the logarithm of {a} | {d} factorial | {a} modulo {b} | {c}.{d} + {e}.{d} | {c}.{d} x {e} |
    {c} + {d} + {e} | {c} + {d} - {e} | ({c} + {d}) x {e} | {c} x {d} + {e} | -{c} - {d} | the average of {c} and
    {e} | {a} in binary | {a} in Roman numerals | {c} million plus {d} million | {c} miles in kilometres | {c}
    pounds in kilos | {c} dollars in euros | {c} degrees Fahrenheit in Celsius | the area of a circle with radius
    {c} | the prime factors of {a} | the remainder of {a} / {d} | {c} times {e} | {c} x {e} | {c} * {e} | {c} x {e}"""
)

_CALCULATE = forms.bars(
    """What is {s}? | what's {s} | {s} | {s}? | {s} = ? | Calculate {s}. | Compute {s}. | How much is {s}? | Work out
    {s}. | Can you calculate {s}? | Solve {s}. | I need {s}. | Tell me {s}. | Do you know what {s} is? | Help me
    with {s}. | What does {s} make? | Could you work out {s}? | My homework: {s} | Find {s}. | and {s}? | Give me
    {s}."""
)

_LARGE = forms.bars(
    """{a} + {b} | {a} - {b} | {a} x {b} | {a} * {b} | {a} plus {b} | {a} minus {b} | {a} times {b} | {a}+{b} | {a}-{b}
    | {a}*{b} | the sum of {a} and {b} | the product of {a} and {b}"""
)


def _second(rng: random.Random) -> int:
    return rng.randint(2 if rng.random() < 0.3 else 100, 10 ** rng.randint(2, 5) + 100)


def _pair(rng: random.Random, draw: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Two operands that the evaluation keeps for itself under no sign, in neither order."""
    while True:
        a, b = draw()
        if not any(held_out(f"{a}{sign}{b}") or held_out(f"{b}{sign}{a}") for sign in "+-*x"):
            return a, b


def _maths(rng: random.Random) -> Exchange:
    """Numbers of three and more digits, and every operation but the three that Pocket has."""
    if rng.random() < 0.5:
        a, b = _pair(rng, lambda: (rng.randint(100, 10 ** rng.randint(3, 6)), _second(rng)))
        if rng.random() < 0.3:
            a, b = b, a
        sides = {"a": str(a), "b": str(b)}
        return ask(rng, _CALCULATE, 0.1, s=fill(rng.choice(_LARGE), sides)), answer(
            rng, ("Numbers that large are beyond me: {a} and {b}.",), CAN, **sides
        )
    a, b = _pair(rng, lambda: (rng.randint(20, 2000), rng.randint(2, 90)))
    c, e = _pair(rng, lambda: (rng.randint(13, 99), rng.randint(13, 99)))
    numbers = {"a": a, "b": b, "c": c, "d": rng.randint(2, 12), "e": e}
    sum_ = fill(rng.choice(_CALCULATIONS), {name: str(number) for name, number in numbers.items()})
    return ask(rng, _CALCULATE, 0.1, s=sum_), answer(
        rng,
        ("I can't work out {s}.", "{s} is beyond my arithmetic.", "I can't work out {s}: I only do small sums."),
        CAN,
        s=sum_,
    )


QUESTIONS: tuple[Family, ...] = (
    (13, _what),
    (9, _who),
    (4, _thing),
    (4, _event),
    (4, _work),
    (5, _attribute),
    (5.5, _about_place),
    (5, _capital),
    (10, _how_to),
    (2.2, _should),
    (1.6, _legal),
    (3.2, _medicine),
    (2.6, _opinion),
    (3.6, _recommend),
    (1.6, _price),
    (14, _clause),
    (8, _near_miss),
    (6.5, _maths),
)
