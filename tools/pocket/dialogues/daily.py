"""Small talk put together from parts: the user's day, plans, pets, meals and feelings, and what Pocket is asked of its own."""

from __future__ import annotations

import random

from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import Fragment, one, skill
from tools.pocket.dialogues.decline_forms import bars

_GOOD = bars(
    """happy | glad | excited | proud | relaxed | cheerful | thrilled | grateful | relieved | delighted | hopeful | amazing | fantastic | wonderful |
    lucky | calm | full of energy | on top of the world | over the moon | in a good mood | so excited | really happy | very proud | quite content"""
)
_BAD = bars(
    """sad | stressed | worried | nervous | upset | annoyed | angry | disappointed | exhausted | unhappy | frustrated | anxious | lonely | homesick |
    heartbroken | terrible | awful | miserable | down | a bit low | in a bad mood | so stressed | really worried | fed up | overwhelmed | worn out"""
)
_SINCE = bars("today | right now | this morning | tonight | this evening | at the moment | again | lately | this week")
_I_FEEL = bars("I'm | I am | i'm | I feel | I'm feeling | i feel | I felt | feeling")
_MADE = bars(
    """finished | cleaned | fixed | painted | repaired | sold | built | planted | baked | washed | bought | found | moved | decorated | restored |
    knitted | sewed | wrote | assembled | polished"""
)
_THINGS = bars(
    """my bike | my kitchen | my garden | a cake | a bookshelf | the fence | my old car | a scarf | my desk | a birdhouse | the whole flat | my room | a
    new lamp | a guitar | the roof | two trees | my first novel | a table | the attic | a kite | a model ship | my balcony | a pair of shoes | some
    tomatoes | the bathroom | a letter to my aunt | a treehouse | the boat"""
)
_WHEN = bars(
    "today | yesterday | this morning | last night | this weekend | at last | finally | just now | on Sunday | last week"
)
_PLANS = bars(
    """the beach | the cinema | a concert | the zoo | my grandparents | the mountains | the market | a wedding | a party | the lake | the gym | the
    museum | a football match | the swimming pool | the park | a new restaurant | the theatre | a festival | my cousin's place | the forest | the
    dentist | a picnic | the library | a flea market | the circus"""
)
_LATER = bars(
    """tomorrow | tonight | next week | this weekend | on Saturday | later today | in the morning | next month | after work | this summer | in an hour"""
)
_GOING = bars(
    "I'm going to | We're going to | I'm off to | I will go to | We plan to go to | I'm on my way to | I'm driving to"
)
_MEALS = bars("breakfast | lunch | dinner | supper | a snack | dessert")
_ATE = bars("I had | I ate | I just had | We had | I made | I'm having | I cooked | I'll have")
_PET_DOES = bars(
    """is asleep on my lap | is so funny | keeps me awake at night | stole my sandwich | loves the rain | is hiding under the bed | just woke me up | is
    very curious | learnt a new trick | is snoring | chases its own tail | is my best friend | makes me laugh | is sitting on my keyboard | eats all day"""
)
_WON = bars(
    """I passed my driving test | I got a new job | I got promoted | I won the race | I won a prize | we won the match | I finished school | I got my
    degree | I got an A | my daughter was born | we're having a baby | I got engaged | we bought a house | my son took his first steps | I ran a
    marathon | I passed the exam | I got the flat | I was accepted at university | my team won the cup | I learnt to swim | I stopped smoking | I
    became an uncle | my book was published | I sold my first painting | I beat my record"""
)
_WEATHER = bars(
    """raining | snowing | so hot | very cold | windy | foggy | sunny | stormy | grey | lovely | freezing | cloudy | boiling | icy | beautiful | pouring |
    humid | mild and sunny"""
)
_HERE = bars(
    "here | outside | today | again | here today | this morning | where I live | in my town | right now | all day"
)
_LEARNING = bars(
    "I'm learning | I started | I took up | I want to learn | I'm getting into | I signed up for | I've started with | my new hobby is"
)
_OWN = bars(
    """colour | food | film | movie | song | book | animal | season | number | city | game | sport | drink | word | holiday | band | flower | day of the
    week | ice cream | dish | country | hobby | subject | dessert | toy | place | fruit | pizza | music | show"""
)
_DEEDS = bars(
    """been to Paris | seen the sea | eaten pizza | been in love | seen snow | danced | driven a car | been to school | played chess | read a book |
    watched a film | had a pet | swum in a lake | flown in a plane | been afraid | told a lie | had a job | climbed a mountain | ridden a horse | had
    a dream | been outside | been sick | met a celebrity | been to a party | cooked dinner"""
)
_BODY = bars(
    """eat | sleep | drink | dream | walk | run | dance | sing | cry | laugh | swim | smell flowers | taste food | feel pain | get bored | get tired | get
    lonely | breathe | drive | play football | go to school | go on holiday | watch films | listen to music | get hungry | feel the cold | drink
    coffee | grow old | get angry | fall in love | read books | like the rain"""
)
_BEING = bars(
    """happy | sad | bored | lonely | tired | hungry | awake | old | young | clever | afraid of the dark | in love | rich | married | busy |
    angry with me | jealous of bigger models | asleep | shy | lazy | strong"""
)
_CAPTURE = ("", "", "", "well, ", "so ", "hey, ", "guess what, ", "you know, ", "by the way, ", "oh, ")
_SORRY = "I'm sorry to hear that. Do you want to tell me about it?"
_PROGRAM = "I'm a program, so I"


def _said(rng: random.Random, text: str) -> str:
    """`text` as a message: a lead-in at times, an upper-case start or not, an end or none."""
    text = rng.choice(_CAPTURE) + text
    if rng.random() < 0.6:
        text = text[0].upper() + text[1:]
    return text + rng.choice((".", ".", "", "!", "", "!!", " :)"))


def _feeling(rng: random.Random) -> tuple[str, str]:
    tail = f" {rng.choice(_SINCE)}" if rng.random() < 0.5 else ""
    if rng.random() < 0.5:
        return _said(
            rng, f"{rng.choice(_I_FEEL)} {rng.choice(_GOOD)}{tail}"
        ), "Glad to hear that! What would you like to do?"
    return _said(rng, f"{rng.choice(_I_FEEL)} {rng.choice(_BAD)}{tail}").replace("!", ".").replace(" :)", ""), _SORRY


def _day(rng: random.Random) -> tuple[str, str]:
    kind = rng.randrange(7)
    if kind == 0:
        thing = rng.choice(_THINGS)
        return _said(
            rng, f"I {rng.choice(_MADE)} {thing} {rng.choice(_WHEN)}"
        ), "Well done! Are you happy with the result?"
    if kind == 1:
        return _said(
            rng, f"{rng.choice(_GOING)} {rng.choice(_PLANS)} {rng.choice(_LATER)}"
        ), "I hope it goes well! What are you looking forward to?"
    if kind == 2:
        food = rng.choice(entities.FOODS)
        return _said(
            rng, f"{rng.choice(_ATE)} {food} for {rng.choice(_MEALS)}"
        ), "That sounds good! Do you like to cook?"
    if kind == 3:
        pet = rng.choice(entities.PETS)
        name = f" {entities.pet_name(rng)}" if rng.random() < 0.4 else ""
        return _said(
            rng, f"my {pet}{name} {rng.choice(_PET_DOES)}"
        ), f"That sounds lovely! Tell me more about your {pet}."
    if kind == 4:
        return _said(rng, f"{rng.choice(_WON)}{rng.choice(('', '', ' today', ' yesterday', ' at last'))}"), (
            "Congratulations! How do you feel?"
        )
    if kind == 5:
        start = rng.choice(("it's", "It is", "the weather is", "it's so", "It was"))
        said = f"{start} {rng.choice(_WEATHER)} {rng.choice(_HERE)}".replace("so so", "so").replace("so very", "very")
        return _said(rng, said), "Make the best of it! What will you do today?"
    hobby = rng.choice(entities.HOBBIES)
    return _said(rng, f"{rng.choice(_LEARNING)} {hobby}"), f"That sounds good! What do you like about {hobby}?"


def _own(rng: random.Random) -> tuple[str, str]:
    kind = rng.randrange(4)
    end = rng.choice(("?", "?", "", "??"))
    if kind == 0:
        what = rng.choice(_OWN)
        spelt = rng.choice(("favourite", "favourite", "favorite"))
        ask = rng.choice(
            (
                f"What's your {spelt} {what}",
                f"what is your {spelt} {what}",
                f"do you have a {spelt} {what}",
                f"which {what} do you like best",
                f"tell me your {spelt} {what}",
                f"and your {spelt} {what}",
            )
        )
        return ask + end, f"{_PROGRAM} have no favourite {what}. What is yours?"
    if kind == 1:
        deed = rng.choice(_DEEDS)
        ask = rng.choice((f"Have you ever {deed}", f"have you {deed}", f"Did you ever wish you had {deed}"))
        return ask + end, f"{_PROGRAM} have never {deed}. Have you?"
    if kind == 2:
        verb = rng.choice(_BODY)
        ask = rng.choice((f"Do you {verb}", f"can you {verb}", f"Do you ever {verb}", f"do you like to {verb}"))
        return ask + end, f"{_PROGRAM} don't {verb}. Do you?"
    being = rng.choice(_BEING)
    ask = rng.choice((f"Are you {being}", f"are you ever {being}", f"are u {being}", f"Do you feel {being}"))
    return ask + end, f"{_PROGRAM}'m never {being}. Are you?".replace("your", "my").replace("with me", "with you")


@skill("daily", 8)
def daily(rng: random.Random) -> Fragment:
    """What the user did, plans or feels, or a question about Pocket's own life."""
    draw = rng.random()
    return one(_feeling(rng) if draw < 0.25 else _day(rng) if draw < 0.65 else _own(rng))
