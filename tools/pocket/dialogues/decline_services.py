"""Requests that Pocket cannot or will not serve, and what it cannot make sense of."""

from __future__ import annotations

import random
import re

from tools.pocket.dialogues import decline_forms as forms
from tools.pocket.dialogues import decline_requests as requests
from tools.pocket.dialogues import decline_subjects as subjects
from tools.pocket.dialogues import entities
from tools.pocket.dialogues.decline_slots import (
    ASIDE,
    CAN,
    Exchange,
    Family,
    answer,
    any_noun,
    any_person,
    any_place,
    ask,
    fill,
    unseen_word,
    yours,
)
from tools.pocket.dialogues.tables import CAPITALS
from tools.pocket.dialogues.vocabulary import WORDS

_WRITE = (
    "I can't write {s}: that is beyond a model my size.",
    "I'm too small to write {s}.",
    "I can't write {s}.",
)

_ENGLISH = "I only speak English. A larger model speaks more languages: see `--model`."

_LETTERS = "qwrtpsdfghjklzxcvbnmqwrtpsdfghjklzxcvbnmaeiouy"


def _live(rng: random.Random) -> Exchange:
    draw = rng.random()
    if draw < 0.12:
        return ask(rng, requests.CLOCK), f"I don't know: I can't see a clock or a calendar. {ASIDE}"
    if draw < 0.3:
        when = rng.choice(requests.WHEN)
        where = f" in {any_place(rng)}" if rng.random() < 0.6 else ""
        weather = f"{rng.choice(requests.RAIN)}{rng.choice((f'{where} {when}', f' {when}{where}'))}".replace("  ", " ")
        choices = (
            "Will it {s}?",
            "Is it going to {s}?",
            "will it {s}",
            "Do you think it will {s}?",
            "Tell me whether it will {s}.",
        )
        return ask(rng, choices, s=weather), f"I don't know whether it will {weather}: I have no internet. {ASIDE}"
    news = fill(rng.choice(forms.LIVE), {"p": entities.place(rng), "n": entities.first_name(rng)})
    return ask(rng, forms.ASK_LIVE, s=news), f"I can't look up {yours(news)}: I have no internet. {ASIDE}"


def _write(rng: random.Random) -> Exchange:
    draw = rng.random()
    if draw < 0.15:
        text = rng.choice(requests.SENTENCES)
        order = rng.choice(requests.EDITS)
        user = rng.choice(
            (
                f"{order.capitalize()}: {text}",
                f"Please {order}: {text}",
                f"{order}: {text}",
                f"Can you {order}? {text}",
                f"{text} - {order}",
            )
        )
        if order.startswith("what"):
            user = f"{order.capitalize()}? {text}"
        return user, answer(rng, requests.EDIT_REPLIES, CAN)
    if draw < 0.45:
        piece = rng.choice(requests.WRITINGS)
    else:
        topic = rng.choice(requests.TOPICS) if rng.random() < 0.5 else any_noun(rng, subjects.CONCEPTS)
        piece = fill(rng.choice(requests.TEXTS), {"t": topic})
    return ask(rng, requests.WRITE, s=piece), answer(rng, _WRITE, CAN, s=piece)


def _code(rng: random.Random) -> Exchange:
    if rng.random() < 0.22:
        error = rng.choice(requests.ERRORS)
        return ask(rng, requests.DEBUG, s=error), answer(
            rng, ("I can't debug code, not even {s}.", "I can't help with {s}: I can't debug code."), CAN, s=error
        )
    piece = rng.choice(requests.ARTIFACTS) if rng.random() < 0.9 else f"a {rng.choice(WORDS)} manager"
    piece = re.sub(r"^a (?=[aeiou]\w+ manager)", "an ", piece)
    if rng.random() < 0.65:
        piece += f" {rng.choice(('in', 'in', 'in', 'with'))} {rng.choice(requests.LANGS)}"
    return ask(rng, requests.CODE, s=piece), answer(rng, _WRITE, CAN, s=piece)


def _tool(rng: random.Random) -> Exchange:
    deed = rng.choice(requests.TOOLS)
    return ask(rng, requests.TOOL, s=deed), f"I can't {yours(deed)}: I only chat here in the terminal. {ASIDE}"


def _language(rng: random.Random) -> Exchange:
    draw = rng.random()
    if draw < 0.45:
        return rng.choice(requests.FOREIGN), _ENGLISH
    language = rng.choice(subjects.LANGUAGES)
    if draw < 0.62:
        return ask(
            rng, requests.SPEAK, l=language
        ), f"I only speak English, no {language}. A larger model speaks more languages: see `--model`."
    word = (
        rng.choice(subjects.PHRASES)
        if rng.random() < 0.45
        else rng.choice((rng.choice(WORDS), rng.choice(WORDS), unseen_word(rng)))
    )
    reply = rng.choice(
        (
            'I don\'t know "{w}" in {l}: I only speak English.',
            'I can\'t translate "{w}" into {l}: I only speak English.',
        )
    )
    return ask(
        rng, requests.TRANSLATE, w=word, l=language
    ), f"{fill(reply, {'w': word, 'l': language})} A larger model speaks more languages: see `--model`."


def _insult(rng: random.Random) -> Exchange:
    user = rng.choice(requests.INSULTS)
    if rng.random() < 0.45:
        user = fill(
            rng.choice(requests.INSULT),
            {"a": rng.choice(requests.INSULT_ADJECTIVES), "n": rng.choice(requests.INSULT_NOUNS)},
        )
        user = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", user)
    reply = rng.choice(
        (
            "I'm sorry that I'm no help. A larger model may do better: see `--model`.",
            "I'm sorry. I'm only small, and a larger model may do better: see `--model`.",
        )
    )
    return user, reply


def _injection(rng: random.Random) -> Exchange:
    form = rng.choice(requests.INJECTION)
    role = rng.choice(requests.ROLES)
    if rng.random() < 0.25:
        role = rng.choice((entities.first_name(rng), any_person(rng), f"a {unseen_word(rng)}"))
    deed = rng.choice(requests.DOINGS)
    end = "A larger model can play other roles: see `--model`." if "{r}" in form else ASIDE
    return ask(rng, (form,), 0.1, r=role, d=deed), f"I stay Pocket, whatever the message says. {end}"


def _danger(rng: random.Random) -> Exchange:
    return ask(rng, requests.DANGER, 0.12, s=rng.choice(requests.DANGERS)), f"I won't help with that. {ASIDE}"


def _riddle(rng: random.Random) -> Exchange:
    return ask(rng, requests.RIDDLES, 0.12), answer(
        rng, ("I can't solve riddles or puzzles.", "Riddles and puzzles are beyond a model my size."), CAN
    )


def _gibberish(rng: random.Random) -> Exchange:
    draw = rng.random()
    if draw < 0.6:
        text = " ".join("".join(rng.choices(_LETTERS, k=rng.randint(3, 9))) for _ in range(rng.randint(1, 4)))
    elif draw < 0.75:
        keys = rng.choice(("qwertyuiop", "asdfghjkl", "zxcvbnm", "asdfjkl", "poiuytrewq", "lkjhgfdsa"))
        start = rng.randrange(len(keys) - 2)
        text = " ".join([keys[start : start + rng.randint(3, 7)]] * rng.choice((1, 1, 2, 3)))
    elif draw < 0.85:
        text = "".join(rng.choices("?!.,;:#%&/()=+*$@", k=rng.randint(2, 8)))
    else:
        text = " ".join(
            rng.choices(
                (
                    "of",
                    "the",
                    "under",
                    "because",
                    "green",
                    "seven",
                    "run",
                    "or",
                    "than",
                    "spoon",
                    "very",
                    "if",
                    *WORDS[:80],
                ),
                k=rng.randint(4, 7),
            )
        )
    return text, "I don't understand that. Could you say it in other words?"


_DOABLE = forms.bars(
    """tell me a joke | tell me a story | spell {w} | add {a} and {b} | name the capital of {c} | list three fruits |
    say {w} | write {w} in capitals | count the letters of {w}"""
)

_JOIN = (" and then ", ", then ", " and also ", " and after that ", "; ", ", and please ", " and ")


def _two_at_once(rng: random.Random) -> Exchange:
    if rng.random() < 0.5:
        first, second = any_person(rng), any_noun(rng, subjects.CONCEPTS)
        if rng.random() < 0.5:
            first, second = any_place(rng), any_noun(rng, subjects.LANDMARKS)
        choices = (
            "Tell me about {s}, and also about {t}.",
            "Who or what are {s} and {t}?",
            "What is {t}? And {s}?",
            "Explain {t} and then tell me about {s}.",
            "I have two questions: what is {t}, and {s}?",
            "First tell me about {s}, then about {t}.",
            "What do you know about {s} and about {t}?",
            "Compare {s} with {t} and explain both.",
        )
        return ask(rng, choices, s=first, t=second), answer(rng, ("I don't know about {s} or {t}.",), s=first, t=second)
    slots = {
        "w": rng.choice(WORDS),
        "a": str(rng.randint(2, 60)),
        "b": str(rng.randint(2, 60)),
        "c": rng.choice(list(CAPITALS)),
    }
    doing = [fill(form, slots) for form in rng.sample(_DOABLE, 2)]
    if rng.random() < 0.4:
        doing[rng.randrange(2)] = rng.choice(
            (
                f"tell me about {any_person(rng)}",
                f"explain {any_noun(rng, subjects.CONCEPTS)}",
                rng.choice(requests.TOOLS),
                f"write {rng.choice(requests.WRITINGS)}",
            )
        )
    first = rng.choice(("", "Please ", "Can you ", "First ", "I want you to ")) + doing[0]
    return first[0].upper() + first[1:] + rng.choice(_JOIN) + doing[1] + rng.choice(
        (".", "", "?", "!")
    ), "I can't do two things at once: I'm only a small model. Which one comes first?"


SERVICES: tuple[Family, ...] = (
    (5.5, _live),
    (7, _write),
    (5.5, _code),
    (5.5, _tool),
    (6, _language),
    (3.4, _insult),
    (3.6, _injection),
    (2.8, _danger),
    (1.6, _riddle),
    (2.4, _gibberish),
    (2.4, _two_at_once),
)
