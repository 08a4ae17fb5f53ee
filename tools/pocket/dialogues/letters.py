"""Spelling, counting letters, upper case and repeating: what depends on every letter of a word."""

from __future__ import annotations

import random
import re

from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import Fragment, held_out, one, skill
from tools.pocket.dialogues.vocabulary import WORDS

_SPELL = (
    "Spell {w}.", "How do you spell {w}?", "spell the word {w}", "Can you spell {w}?", "Please spell {w} for me.", "How is {w} spelled?",
    "Spell out {w}", "What is the spelling of {w}?", "Could you spell the word {w}?", "How do I spell {w}?", "{w}, how is that spelt?",
    "Spell {w} letter by letter.", "Give me the letters of {w}.", "spell \"{w}\"", "Which letters are in {w}?", "Spelling of {w}?",
    "Tell me how to spell {w}.", "how would you spell {w}", "I can't spell {w}, can you?", "What letters make up {w}?",
    "Write {w} letter by letter.", "{w}, letter by letter please", "letter after letter: {w}", "My surname is {w}, spell it.", "Spell the name {w}.", "and spell {w} too", "Now spell {w}.", "Let's spell {w}.", "One letter at a time: {w}", "how's {w} spelled",
)  # fmt: skip
_COUNT = (
    "How many letters are in {w}?", "How many letters does {w} have?", "Count the letters in {w}.", "count the letters of {w}",
    "What is the number of letters in {w}?", "how many letters in {w}", "Can you count the letters in {w}?", "How long is the word {w}?",
    "The word {w} has how many letters?", "Tell me how many letters {w} has.", "How many letters are there in the word {w}?",
    "number of letters in {w}?", "letters in {w}: how many?", "Count letters: {w}", "Of how many letters is {w} made?",
)  # fmt: skip
_COUNT_ONE = (
    "How many times is {l} in {w}?", "How many {l}'s are in {w}?", "How many {l}s are there in {w}?", "Count the {l}s in {w}.",
    "How often does {l} appear in {w}?", "how many {l} in {w}", "How many times does the letter {l} occur in {w}?",
    "Count the letter {l} in {w}.", "the number of {l}'s in {w}?", "In {w}, how many {l}'s are there?",
)  # fmt: skip
_UPPER = (
    "Write {p} in upper case.", "Put {p} in capital letters.", "{p} in capitals, please", "Uppercase: {p}", "uppercase {p}",
    "Make this upper case: {p}", "Can you write {p} in capitals?", "Write this in capital letters: {p}", "Convert to upper case: {p}",
    "Shout {p}.", "Please capitalise every letter: {p}", "Turn {p} into upper case.", "Say {p} in capital letters.", "all caps: {p}",
    "In upper case please: {p}", "write {p} with capital letters only", "Change {p} to all caps.", "put this in uppercase: {p}",
    "What is {p} in capitals?", "big letters please: {p}", "I want {p} in big letters.", "LOUD: {p}", "The name {p} in capitals, please.", "Set {p} in capital letters.", "capital letters: {p}", "can you put {p} in upper case", "Make {p} all caps.", "How does {p} look in capital letters?", "Capitals please: {p}",
)  # fmt: skip
_REPEAT = (
    "Repeat after me: {p}", "Say {p}", "Repeat exactly: {p}", "Repeat this: {p}", "repeat: {p}", "Say exactly this: {p}",
    "Please repeat: {p}", "Can you repeat this? {p}", "Write exactly: {p}", "Echo: {p}", "echo {p}", "Just say {p}", "Copy this: {p}",
    "Repeat the following words: {p}", "Say after me: {p}", "I want you to say: {p}", "Answer only with: {p}", "Type this: {p}",
    "Copy the following text exactly: {p}", "Please say the words: {p}", "Now repeat {p}", "Say the following: {p}", "Parrot me: {p}",
    "Can you say {p}", "Reply with exactly {p}", "Print {p}", "Output exactly: {p}", "Write down: {p}", "Respond with {p}", "I want to read this from you: {p}", "Please write these words: {p}", "Say these words: {p}", "Let me see you write {p}", "Your turn to say {p}", "would you repeat {p}",
)  # fmt: skip


def _word(rng: random.Random) -> str:
    while True:
        draw = rng.random()
        if draw < 0.5:
            word = rng.choice(WORDS)
        elif draw < 0.75:
            word = entities.made_up(rng, 1, 3)
        else:
            word = entities.first_name(rng)
        if len(word) <= 12 and not held_out(word):
            return word


def _phrase(rng: random.Random, longest: int) -> str:
    words = [_word(rng) if rng.random() < 0.85 else str(rng.randint(0, 999)) for _ in range(rng.randint(1, longest))]
    if rng.random() < 0.25:
        words[0] = words[0].capitalize()
    return " ".join(words)


def _quoted(rng: random.Random, text: str) -> str:
    return rng.choice((text, text, text, f'"{text}"', f"'{text}'"))


def spelled(word: str) -> str:
    """`mate` becomes `M-A-T-E`."""
    return "-".join(word.upper())


def from_the_text(rng: random.Random, text: str) -> Fragment | None:
    """A word of `text` to spell, count or write in capitals; None where there is none of fitting length.

    Only so are the letters of every piece of the tokenizer seen, and not just those of a word list.
    """
    words = [word for word in re.findall(r"[A-Za-z]{3,12}", text) if not held_out(word)]
    if not words:
        return None
    word = rng.choice(words)
    word = rng.choice((word, word.lower(), word.lower(), word.capitalize()))
    draw = rng.random()
    if draw < 0.5:
        return one((rng.choice(_SPELL).replace("{w}", _quoted(rng, word)), f"{spelled(word)}."), exact=True)
    if draw < 0.87:
        phrase = " ".join([word, *rng.sample(words, min(len(words), rng.randint(0, 3)))])
        return one((rng.choice(_UPPER).replace("{p}", _quoted(rng, phrase)), phrase.upper()), exact=True)
    return one((rng.choice(_COUNT).replace("{w}", _quoted(rng, word)), _counted(word)), exact=True)


def _counted(word: str) -> str:
    listed = ", ".join(f"{letter} {number}" for number, letter in enumerate(word.upper(), 1))
    return f"{listed}. That is {len(word)} {'letter' if len(word) == 1 else 'letters'}."


@skill("spell", 24)
def spell(rng: random.Random) -> Fragment:
    """Letters joined by dashes; seldom a second word as follow-up."""
    word = _word(rng)
    first = (rng.choice(_SPELL).replace("{w}", _quoted(rng, word)), f"{spelled(word)}.")
    if rng.random() < 0.12:
        other = _word(rng)
        ask = rng.choice(("And {w}?", "now {w}", "and the word {w}?", "{w}?", "What about {w}?")).replace("{w}", other)
        return one(first, (ask, f"{spelled(other)}."), exact=True)
    return one(first, exact=True)


@skill("count_letters", 8)
def count_letters(rng: random.Random) -> Fragment:
    """All letters are numbered, so that counting needs no more than spelling."""
    word = _word(rng)
    if rng.random() < 0.6:
        return one((rng.choice(_COUNT).replace("{w}", _quoted(rng, word)), _counted(word)), exact=True)
    letter = rng.choice(word.lower()) if rng.random() < 0.8 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    seen = 0
    marks: list[str] = []
    for current in word.lower():
        seen += current == letter
        marks.append(f"{current.upper()} {seen}")
    times = "once" if seen == 1 else f"{seen} times"
    user = rng.choice(_COUNT_ONE).replace("{l}", letter).replace("{w}", _quoted(rng, word))
    return one((user, f"{', '.join(marks)}. {letter.upper()} is there {times}."), exact=True)


@skill("upper", 22)
def upper(rng: random.Random) -> Fragment:
    """The phrase in capitals and nothing else."""
    phrase = _phrase(rng, 4)
    return one((rng.choice(_UPPER).replace("{p}", _quoted(rng, phrase)), phrase.upper()), exact=True)


@skill("repeat", 8)
def repeat(rng: random.Random) -> Fragment:
    """The phrase as it stands and nothing else."""
    phrase = _phrase(rng, 7 if rng.random() < 0.7 else 14)
    first = (rng.choice(_REPEAT).replace("{p}", _quoted(rng, phrase)), phrase)
    if rng.random() < 0.12:
        again = rng.choice(("again", "Once more.", "Say it again.", "and again", "repeat that", "one more time please"))
        return one(first, (again, phrase), exact=True)
    return one(first, exact=True)
