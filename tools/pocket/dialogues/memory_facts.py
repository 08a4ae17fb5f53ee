"""What a user may tell about themselves: how it is told, asked for, corrected and recalled."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tools.pocket.dialogues import entities


@dataclass(frozen=True)
class Kind:
    """One kind of fact. In the sentences `{v}` is the value; replies repeat it as the user wrote it.

    `tell`: what the user says; `ack`: replies to it; `ask`: the questions; `answer`: the reply from memory;
    `correct`: corrections; `unknown`: the reply where it was never told.
    """

    draw: Callable[[random.Random], str]
    tell: tuple[str, ...]
    ack: tuple[str, ...]
    ask: tuple[str, ...]
    answer: tuple[str, ...]
    correct: tuple[str, ...]
    fixed: str
    unknown: str


def put_in(form: str, value: str) -> str:
    """`form` with its `{v}` filled: "a {v}" becomes "an architect"."""
    if value[:1] in tuple("aeiou"):
        form = form.replace(" a {v}", " an {v}")
    return form.replace("{v}", value)


_NAME = Kind(
    draw=entities.first_name,
    tell=(
        "My name is {v}.", "I'm {v}.", "I am {v}.", "Hi, I'm {v}.", "Hello, my name is {v}.", "My name's {v}", "Call me {v}.",
        "You can call me {v}.", "Hi! {v} here.", "This is {v}.", "hey, it's {v}", "Hello Pocket, I'm {v}!", "People call me {v}.",
        "Hi there, my name is {v}, nice to meet you.", "the name's {v}", "Everyone calls me {v}.", "I'm called {v}.",
        "Hi I am {v}, how are you?", "Just so you know, my name is {v}.", "Please remember that my name is {v}.",
        "Let me introduce myself: I'm {v}.", "My friends call me {v}.", "hi pocket! my name is {v}", "I go by {v}.",
        "Good morning, {v} here.", "Good evening! I'm {v}.", "Remember my name: {v}.", "By the way, I'm {v}.",
        "oh, and my name is {v}", "{v} is my name.", "For the record, I'm {v}.", "I am {v}, pleased to meet you.",
        "Hi, {v} speaking.", "Let's start: I'm {v}. Remember it.", "I should say who I am: {v}.", "it's me, {v}",
        "First things first: my name is {v}.", "Well, I'm {v}, and you?", "Can you remember that I'm called {v}?",
        "hiya, {v} here!", "Yo, I'm {v}", "My parents named me {v}.", "You are talking to {v}.", "I answer to {v}.",
    ),
    ack=("Nice to meet you, {v}!", "Nice to meet you, {v}! How can I help?", "Hello {v}! What would you like to do?", "Hello {v}!"),
    ask=(
        "What is my name?", "What's my name?", "Do you remember my name?", "Do you still know my name?", "who am I?",
        "What was my name again?", "Can you tell me my name?", "Tell me my name.", "What did I say my name was?", "my name?",
        "Say my name.", "How am I called?", "What am I called?", "Remember who I am?", "And what was my name?", "so what's my name",
        "Quick test: what's my name?", "Do you know what I'm called?", "Which name did I give you?", "What do people call me?",
        "Could you remind me of my name?", "I forgot, what is my name?", "Have you forgotten my name?", "Do you know who I am?",
        "What name did I tell you?", "What should you call me?", "what's my name again?", "Okay, now what is my name?",
        "Who are you talking to?", "Let's see if you remember my name.", "now tell me what my name is", "You remember my name, right?",
        "By what name do I go?", "Just checking: what is my name?", "What did I tell you my name was?", "hey, what's my name?",
    ),
    answer=("Your name is {v}.", "You are {v}.", "Your name is {v}."),
    correct=(
        "No, it's {v}.", "Actually, my name is {v}.", "no, my name is {v}", "Sorry, I meant {v}.", "That's wrong, I'm {v}.",
        "No, it's {v}, not {old}.", "Wait, I'm {v}, not {old}.", "I mistyped, it's {v}.", "Correction: my name is {v}.",
        "Not {old}, {v}!", "oops, I meant to write {v}", "Call me {v} instead.", "My name isn't {old}, it's {v}.",
        "Actually people call me {v}, not {old}.", "No no, {v}.", "You got it wrong: {v}.", "I changed my mind, call me {v}.",
        "It's {v} actually.", "That should be {v}.", "hmm no, I'm {v}",
    ),
    fixed="Thank you, {v}. I'll remember it.",
    unknown="You haven't told me your name yet. What is it?",
)  # fmt: skip

_PLACE = Kind(
    draw=entities.place,
    tell=(
        "I live in {v}.", "I'm from {v}.", "I come from {v}.", "My home is in {v}.", "I was born in {v} and still live there.",
        "We live in {v}.", "I'm living in {v} now.", "I moved to {v} last year.", "My flat is in {v}.", "Greetings from {v}!",
        "I've just moved to {v}.", "I am based in {v}.", "My home town is {v}.", "I grew up in {v} and never left.",
        "I'm writing from {v}.", "These days I live in {v}.", "i live in {v} btw", "I reside in {v}.", "My house is in {v}.",
        "Home for me is {v}.", "I have lived in {v} for years.", "My family and I live in {v}.", "You should know I live in {v}.",
        "Remember that I live in {v}.", "I settled in {v}.", "I stay in {v} at the moment.", "I'm in {v}, that's where I live.",
        "At the moment I'm living in {v} with my family.", "I call {v} home.", "Since May I live in {v}.",
    ),
    ack=("{v} sounds lovely!", "I'll remember that you live in {v}.", "{v} sounds lovely! What do you like about it?"),
    ask=(
        "Where do I live?", "Do you remember where I live?", "Which town do I live in?", "Where am I from?", "Where is my home?",
        "What place did I say I live in?", "Where did I say I live?", "Do you know where I live?", "where do i live again?",
        "Which place do I come from?", "Tell me where I live.", "What city am I in?", "Can you say where I live?",
        "In which place do I live?", "And where do I live?", "What's my home town?", "Remind me, where do I live?",
        "What did I tell you about where I live?", "Where was my home again?", "Name the place where I live.", "where's home for me?",
    ),
    answer=("You live in {v}.",),
    correct=(
        "No, I live in {v}.", "Actually, I live in {v}.", "Sorry, I meant {v}.", "I moved, now I live in {v}.",
        "No, it's {v}, not {old}.", "Correction: I live in {v}.", "Not {old}, {v}.", "That's wrong, it's {v}.",
        "We left {old} and live in {v} now.", "oops, I meant {v}",
    ),
    fixed="Thank you. I'll remember that you live in {v}.",
    unknown="You haven't told me where you live yet. Where is it?",
)  # fmt: skip


def _pet_kind(pet: str) -> Kind:
    return Kind(
        draw=entities.pet_name,
        tell=(
            f"I have a {pet} called {{v}}.", f"My {pet} is called {{v}}.", f"I've got a {pet} named {{v}}.",
            f"My {pet}'s name is {{v}}.", f"We have a {pet}, {{v}}.", f"I just got a {pet}! I named it {{v}}.",
            f"My {pet} {{v}} is sleeping next to me.", f"I have a {pet}, its name is {{v}}.", f"There's a {pet} in our house, {{v}}.",
            f"{{v}} is my {pet}.", f"Remember that my {pet} is called {{v}}.", f"Our {pet} is named {{v}}.",
            f"I own a {pet} by the name of {{v}}.", f"Let me tell you about my {pet} {{v}}.", f"I adopted a {pet} and called it {{v}}.",
            f"My {pet} answers to {{v}}.", f"I'm the proud owner of a {pet} called {{v}}.", f"the name of my {pet} is {{v}}",
            f"We named our {pet} {{v}}.", f"I live with a {pet} called {{v}}.",
        ),
        ack=("{v} is a lovely name for a " + pet + "!", "{v} is a lovely name!", f"I'll remember that your {pet} is called {{v}}."),
        ask=(
            f"What is my {pet} called?", f"What's my {pet}'s name?", f"Do you remember my {pet}'s name?", f"What did I call my {pet}?",
            f"What is the name of my {pet}?", "What's my pet called?", "What is my pet's name?", f"Tell me my {pet}'s name.",
            f"how is my {pet} called?", f"Do you still know what my {pet} is called?", "Do you remember my pet's name?",
            f"And my {pet}, what was its name?", f"What was my {pet} called again?", f"Can you tell me the name of my {pet}?",
            f"And the name of my {pet}?", f"what name did I give my {pet}?",
        ),
        answer=(f"Your {pet} is called {{v}}.",),
        correct=("No, it's {v}.", f"Actually, my {pet} is called {{v}}.", "Sorry, I meant {v}.", "No, it's {v}, not {old}.",
                 f"My {pet} isn't called {{old}} but {{v}}.", "Correction: {v}.", "oops, {v}, not {old}"),
        fixed=f"Thank you. I'll remember that your {pet} is called {{v}}.",
        unknown=f"You haven't told me what your {pet} is called. What is its name?",
    )  # fmt: skip


def _like_kind(subject: str, values: tuple[str, ...]) -> Kind:
    return Kind(
        draw=lambda rng: rng.choice(values),
        tell=(
            f"My favourite {subject} is {{v}}.", f"my favorite {subject} is {{v}}", f"The {subject} I like best is {{v}}.",
            f"If you ask me for my favourite {subject}: {{v}}.", f"I like {{v}} more than any other {subject}.",
            f"{{v}} is my favourite {subject}.", f"For me the best {subject} is {{v}}.", f"Remember: my favourite {subject} is {{v}}.",
            f"No {subject} beats {{v}} for me, it's my favourite.", f"My favourite {subject}? That's {{v}}.",
            f"I have a favourite {subject}, {{v}}.", f"Note that my favourite {subject} is {{v}}.",
        ),
        ack=(f"I'll remember that your favourite {subject} is {{v}}.", "{v} is a good choice!"),
        ask=(
            f"What is my favourite {subject}?", f"What's my favorite {subject}?", f"Which {subject} do I like best?",
            f"Do you remember my favourite {subject}?", f"What did I say my favourite {subject} was?", f"my favourite {subject}?",
            f"Tell me my favourite {subject}.", f"What {subject} do I like most?", f"And what's my favourite {subject}?",
            f"Do you know my favourite {subject}?", f"What {subject} is my favourite?",
        ),
        answer=(f"Your favourite {subject} is {{v}}.",),
        correct=("No, it's {v}.", f"Actually, my favourite {subject} is {{v}}.", "Sorry, I meant {v}.", "No, {v}, not {old}.",
                 "I changed my mind: {v}.", "oops, I meant {v}"),
        fixed=f"Thank you. I'll remember that your favourite {subject} is {{v}}.",
        unknown=f"You haven't told me your favourite {subject} yet. What is it?",
    )  # fmt: skip


_LIKES = Kind(
    draw=lambda rng: rng.choice(entities.HOBBIES + entities.FOODS),
    tell=("I like {v}.", "I love {v}.", "I really like {v}.", "I enjoy {v}.", "I'm a big fan of {v}.", "I can't get enough of {v}.",
          "{v} is what I like most.", "I'm crazy about {v}.", "What I like is {v}.", "I'm fond of {v}.", "i'm really into {v}",
          "You know, I love {v}.", "Nothing makes me happier than {v}.", "I am keen on {v}.", "I adore {v}."),
    ack=("I'll remember that you like {v}.", "{v} sounds good! What do you like about it?", "{v} sounds good!"),
    ask=("What do I like?", "Do you remember what I like?", "What did I say I like?", "Tell me what I like.", "what do i love?",
         "Which thing do I like?", "What am I a fan of?", "And what do I like?", "What do I enjoy?", "What was it that I like?",
         "Do you know what I like?", "What makes me happy?"),
    answer=("You like {v}.",),
    correct=("No, I like {v}.", "Actually, I like {v}.", "Sorry, I meant {v}.", "No, {v}, not {old}."),
    fixed="Thank you. I'll remember that you like {v}.",
    unknown="You haven't told me what you like yet. What is it?",
)  # fmt: skip

_JOB = Kind(
    draw=lambda rng: rng.choice(entities.JOBS),
    tell=("I work as a {v}.", "I'm a {v}.", "My job is {v}.", "I am a {v} by trade.", "I earn my living as a {v}.",
          "I've been a {v} for years.", "For work I'm a {v}.", "my profession is {v}", "I got a job as a {v}.", "At work I'm a {v}."),
    ack=("I'll remember that you work as a {v}.", "Working as a {v} sounds interesting! What do you like about it?"),
    ask=("What is my job?", "What do I do for a living?", "What's my job?", "Do you remember my job?", "What do I work as?",
         "What did I say my job was?", "what's my profession?", "Tell me what my job is.", "What work do I do?"),
    answer=("You work as a {v}.",),
    correct=("No, I'm a {v}.", "Actually, I work as a {v}.", "Sorry, I meant {v}.", "No, {v}, not {old}."),
    fixed="Thank you. I'll remember that you work as a {v}.",
    unknown="You haven't told me what your job is. What do you do?",
)  # fmt: skip

_AGE = Kind(
    draw=lambda rng: str(rng.randint(9, 89)),
    tell=("I'm {v} years old.", "I am {v}.", "My age is {v}.", "I turned {v} last week.", "I'm {v}.", "I just turned {v}.",
          "I have my {v}th birthday behind me, I'm {v} years old."),
    ack=("I'll remember that you are {v} years old.", "{v} is a fine age!"),
    ask=("How old am I?", "What is my age?", "Do you remember how old I am?", "What age did I say I am?", "how old did I say I am?",
         "Tell me my age.", "What's my age?"),
    answer=("You are {v} years old.",),
    correct=("No, I'm {v}.", "Actually, I'm {v} years old.", "Sorry, {v}.", "No, {v}, not {old}."),
    fixed="Thank you. I'll remember that you are {v} years old.",
    unknown="You haven't told me how old you are. How old are you?",
)  # fmt: skip


def _relative_kind(relative: str) -> Kind:
    article = "an" if relative[0] in "aeiou" else "a"
    return Kind(
        draw=entities.first_name,
        tell=(f"My {relative} is called {{v}}.", f"My {relative}'s name is {{v}}.", f"I have {article} {relative} called {{v}}.",
              f"My {relative} {{v}} is visiting.", f"{{v}} is my {relative}.", f"I have {article} {relative} named {{v}}.",
              f"I met my {relative} {{v}} today.", f"the name of my {relative} is {{v}}"),
        ack=(f"I'll remember that your {relative} is called {{v}}.", "{v} is a nice name!"),
        ask=(f"What is my {relative} called?", f"What's my {relative}'s name?", f"Do you remember my {relative}'s name?",
             f"What is the name of my {relative}?", f"Who is my {relative}?", f"how is my {relative} called?",
             f"Tell me my {relative}'s name."),
        answer=(f"Your {relative} is called {{v}}.",),
        correct=("No, it's {v}.", f"Actually, my {relative} is called {{v}}.", "Sorry, I meant {v}.", "No, {v}, not {old}."),
        fixed=f"Thank you. I'll remember that your {relative} is called {{v}}.",
        unknown=f"You haven't told me what your {relative} is called. What is the name?",
    )  # fmt: skip


RELATIVES = (
    "brother sister mother father wife husband son daughter friend neighbour boss uncle aunt cousin grandmother".split()
)


def kind_named(name: str, rng: random.Random) -> Kind:
    """The kind `name` with its own subject drawn: a pet's species, a relative, what is liked."""
    if name == "pet":
        return _pet_kind(rng.choice(entities.PETS))
    if name == "relative":
        return _relative_kind(rng.choice(RELATIVES))
    if name == "favourite":
        return _like_kind(
            *rng.choice(
                (
                    ("colour", entities.COLOUR_NAMES), ("food", entities.FOODS), ("hobby", entities.HOBBIES),
                    ("animal", entities.PETS), ("day", ("Monday", "Tuesday", "Friday", "Saturday", "Sunday")),
                )
            )
        )  # fmt: skip
    return {"name": _NAME, "place": _PLACE, "likes": _LIKES, "job": _JOB, "age": _AGE}[name]
