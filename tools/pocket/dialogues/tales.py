"""Short stories about a given hero and place, and jokes."""

from __future__ import annotations

import random

from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import Fragment, one, skill, train_pool
from tools.pocket.dialogues.decline_forms import bars

_KINDS = train_pool(
    """knight, dragon, robot, princess, pirate, wizard, witch, fox, bear, cat, dog, mouse, owl, frog, rabbit, turtle, horse, farmer, baker, sailor,
    king, queen, giant, dwarf, ghost, clown, thief, pilot, painter, gardener, penguin, elephant, whale, spider, snail, wolf, lion, tiger, hedgehog,
    squirrel, detective, astronaut, cook, teacher, postman, goose, donkey, bee, crab, parrot, snowman, teapot, tree, cloud, star, train, shoemaker,
    fisherman, goat, hen, duck, monkey, butterfly, dinosaur, unicorn, mermaid, troll, elf, alien, scarecrow""".replace(
        "\n", " "
    )
    .replace("    ", " ")
    .split(", ")
)
_KINDS = [" ".join(kind.split()) for kind in _KINDS]
_ADJECTIVES = "little old brave lonely clever tiny curious shy happy lazy kind sleepy hungry young grumpy friendly silly proud lost blue golden".split()
_SPOTS = train_pool(
    [
        " ".join(spot.split())
        for spot in """the forest, the sea, a castle, the desert, the moon, a small village, the mountains, a cave, the city, the jungle, a lighthouse, an island, a
    garden, the kitchen, the library, a train, the zoo, the circus, a boat, the snow, a swamp, the meadow, a tower, the attic, the market, a school, the
    harbour, a river, the sky, space, a bakery, the old mill, the museum, a tunnel, the beach, a hotel, a farm, the park, the north pole, a submarine""".replace(
            "\n", " "
        ).split(",")
    ]
)
_ASK = (
    "Tell me a story about {h} in {p}.", "tell me a story about {h} and {p}", "A story about {h} in {p}, please.", "Can you tell a story about {h} in {p}?",
    "Write a short story about {h} in {p}.", "I'd like a story with {h} in {p}.", "Make up a story: {h}, {p}.", "Story time! {h} in {p}.", "Once upon a time: {h} in {p}. Go on.",
    "Invent a tale about {h} who lives in {p}.", "Give me a bedtime story about {h} in {p}.", "a short tale of {h} in {p}", "Tell me what happened to {h} in {p}.",
    "My son wants a story about {h} in {p}.", "Could you write a little story about {h} in {p}?", "story about {h} at {p}", "Please tell a story where {h} goes to {p}.",
    "I want to hear about {h} in {p}.", "Make a story about {h} set in {p}.", "let's have a story with {h} and {p}", "Think of a story about {h} in {p}.",
)  # fmt: skip
_ASK_HERO = (
    "Tell me a story about {h}.", "A story about {h}, please.", "story about {h}", "Can you write a story about {h}?", "I want a story with {h}.", "Make up a tale about {h}.",
    "Tell my daughter a story about {h}.", "bedtime story about {h} please", "Do you know a story about {h}?", "write something about {h}, a story", "Give me a short story with {h} in it.",
)  # fmt: skip
_ASK_ANY = (
    "Tell me a story.", "story please", "I want a story.", "Tell me a bedtime story.", "do you know a story?", "Make up a story.", "Can you tell me a story?", "a story!", "Write a short story.",
    "read me a story", "I'd love to hear a story.", "Tell us a tale.", "another story please",
)  # fmt: skip
# With these between them, openers, heroes and places make thousands of requests.
_OPENERS = bars(
    """a story about | story about | tell me a story about | write a story about | I'd like a story about | I would love a story about | can I have a story
    about | give me a tale about | a tale about | a bedtime story about | please write about | make up a story about | make something up about | invent
    something about | write a few sentences about | write two sentences about | a tiny story about | something short about | a quick story about | do you have
    a story about | how about a story about | my kids want a story about | let's hear a story about | spin a yarn about | narrate something about | entertain
    me with a story about | a little tale about | write me something about | I need a story about"""
)
_LINKS = bars(
    """in {p} | at {p} | on {p} | near {p} | inside {p} | who lives in {p} | who lived in {p} | that lives in {p} | lost in {p} | who travels to {p} | on the
    way to {p} | who works in {p} | and {p} | from {p} | who goes to {p} | set in {p} | in front of {p} | alone in {p}"""
)
_PLOTS = (
    "One day {h} found a small {o} in {p}. {N} took it home and kept it safe. From then on {m} was never sad again.",
    "{H} lived in {p} and wanted a friend. One night a {o} began to speak. They talked until the sun came up.",
    "In {p}, {h} lost a {o}. {N} looked for it all day. In the evening it was under the bed, and all was well.",
    "{H} came to {p} with an old {o}. Nobody knew what it was for. But when it rained, {m} used it as a hat, and everyone laughed.",
    "Once {h} heard a noise in {p}. It was only a {o} that had fallen down. {N} smiled and went back to sleep.",
)  # fmt: skip
_THINGS = "lamp key bell shoe spoon box ring book map kite drum stone feather apple clock button candle cup whistle flute".split()
_AGAIN = (
    "another one",
    "Another!",
    "one more please",
    "Tell me another.",
    "and another",
    "more",
    "again",
    "a different one",
    "a new one please",
    "next one",
    "One more!",
)
_SHORTER = (
    "shorter",
    "Make it shorter.",
    "shorter please",
    "Can you make it shorter?",
    "too long",
    "In one sentence.",
    "a short version please",
    "Summarise it.",
)
_WHO = (
    "Who was it about?",
    "Who was the hero?",
    "who was the story about",
    "What was the hero called?",
    "Who is in the story?",
)
_WHERE = (
    "Where did it happen?",
    "where was it",
    "Where was that?",
    "In which place was it?",
    "Where does the story take place?",
)
_WHAT = ("What was found?", "Which thing was in the story?", "What thing was it?", "what was the thing in the story")


def _hero(rng: random.Random) -> tuple[str, str]:
    """The hero as the user writes it, and its short form in later sentences."""
    draw = rng.random()
    if draw < 0.35:
        name = entities.first_name(rng)
        return name, name
    kind = rng.choice(_KINDS) if rng.random() < 0.85 else entities.made_up(rng)
    if draw < 0.55:
        name = entities.first_name(rng)
        return f"{name} the {kind}", name
    if draw < 0.8:
        return f"a {rng.choice([word for word in _ADJECTIVES if word[0] not in 'aeiou'])} {kind}", f"the {kind}"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}", f"the {kind}"


def _place(rng: random.Random) -> str:
    return rng.choice(_SPOTS) if rng.random() < 0.6 else entities.place(rng)


def _first_upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _tell(rng: random.Random, hero: str, short: str, place: str, thing: str) -> str:
    text = rng.choice(_PLOTS)
    for mark, value in (
        ("{h}", hero),
        ("{H}", _first_upper(hero)),
        ("{m}", short),
        ("{N}", _first_upper(short)),
        ("{p}", place),
        ("{o}", thing),
    ):
        text = text.replace(mark, value)
    return text.replace("a apple", "an apple")


@skill("story", 6.5)
def story(rng: random.Random) -> Fragment:
    """A story, and perhaps a follow-up: another, shorter, who, where."""
    hero, short = _hero(rng)
    place, thing = _place(rng), rng.choice(_THINGS)
    draw = rng.random()
    if draw < 0.35:
        user = f"{rng.choice(_OPENERS)} {hero} {rng.choice(_LINKS)}".replace("{p}", place) + rng.choice(
            ("", ".", ", please", "?")
        )
    elif draw < 0.65:
        user = rng.choice(_ASK).replace("{h}", hero).replace("{p}", place)
    elif draw < 0.85:
        user = rng.choice(_ASK_HERO).replace("{h}", hero)
        place = rng.choice(("the forest", "a small village"))
    else:
        user = rng.choice(_ASK_ANY)
        hero, short, place = "a little fox", "the fox", "the forest"
    first = (_first_upper(user), _tell(rng, hero, short, place, thing))
    follow = rng.random()
    if follow < 0.12:
        other = rng.choice([other for other in _THINGS if other != thing])
        return one(first, (rng.choice(_AGAIN), _tell(rng, hero, short, place, other)))
    article = "an" if thing[0] in "aeiou" else "a"
    if follow < 0.2:
        return one(
            first, (rng.choice(_SHORTER), f"{_first_upper(hero)} found {article} {thing} in {place}, and all was well.")
        )
    if follow < 0.25:
        return one(first, (rng.choice(_WHO), f"It was about {hero}."))
    if follow < 0.3:
        return one(first, (rng.choice(_WHERE), f"It happened in {place}."))
    if follow < 0.33:
        return one(first, (rng.choice(_WHAT), f"It was {article} {thing}."))
    return one(first)


JOKES = (
    "Why did the token cross the cache? Because the draft was already on the other side.",
    "What does a cloud wear under its coat? Thunderwear.",
    "Why did the computer sneeze? It had a virus.",
    "What do you call a sleeping cow? A bulldozer.",
    "Why was the maths book sad? It had too many problems.",
    "What did the zero say to the eight? Nice belt!",
    "Why did the bicycle fall over? It was two tired.",
    "What do you call a fish without eyes? A fsh.",
    "Why do bees hum? They forgot the words.",
    "What has ears but cannot hear? A field of corn.",
    "Why did the cookie go to the doctor? It felt crumby.",
    "What do you get when you cross a snowman and a dog? Frostbite.",
    "Why did the teddy bear skip the cake? It was stuffed.",
    "What kind of shoes do frogs wear? Open toad.",
    "Why was the broom late? It overswept.",
)
_JOKE = (
    "Tell me a joke.", "joke please", "Do you know a joke?", "make me laugh", "Say something funny.", "I need a laugh.", "Tell a joke!", "a joke", "Can you tell me a joke?", "Got any jokes?",
    "Be funny.", "let's hear a joke", "Know any good ones? A joke I mean.", "Cheer me up with a joke.", "Give me a joke.", "give me something to laugh about", "Do you know something funny?",
    "any jokes?", "Could you crack a joke?", "tell me a funny thing", "I'd like to hear a joke.", "Are you funny? Prove it.", "another joke", "Tell me your best joke.", "a silly joke please",
    "a joke for my kids", "My friend is sad, tell her a joke.", "what's a good joke",
)  # fmt: skip


_JOKE_STARTS = bars(
    """tell me | tell us | tell | give me | I want | I'd like | I would love | can I have | can you tell | could you tell me | do you have | have you got | got |
    do you know | let me hear | let's hear | how about | what about | please tell | I need | time for | hit me with | surprise me with | make up | share |
    crack | is there | write me | say"""
)
_JOKE_KINDS = bars(
    """a joke | a good joke | a short joke | a funny joke | a bad joke | a silly joke | a clean joke | a dad joke | a pun | a quick joke | a joke for kids | a
    one-liner | something funny | something to laugh about | a new joke | the funniest joke you know | your favourite joke | a joke about animals | a
    computer joke | a joke for a friend | a joke for my grandma | a little joke | some humour | a joke to cheer me up | a knock-knock joke"""
)


def _joke_ask(rng: random.Random) -> str:
    if rng.random() < 0.45:
        return rng.choice(_JOKE)
    text = f"{rng.choice(_JOKE_STARTS)} {rng.choice(_JOKE_KINDS)}"
    if rng.random() < 0.25:
        text = f"{rng.choice(('I feel low', 'I am bored', 'my day was long', 'ok', 'come on', 'for a change', 'Pocket', 'one thing'))}, {text}"
    return _first_upper(text) + rng.choice((".", "", "?", "!", " please", ", please."))


@skill("joke", 4)
def joke(rng: random.Random) -> Fragment:
    """A joke; another one is another one."""
    first, second = rng.sample(JOKES, 2)
    turn = (_joke_ask(rng), first)
    if rng.random() < 0.3:
        return one(turn, (rng.choice(_AGAIN), second))
    if rng.random() < 0.12:
        ask = rng.choice(
            ("I don't get it.", "Explain it.", "why is that funny", "haha", "lol", "that's a bad joke", "not funny")
        )
        return one(turn, (ask, "It's only a little joke. Would you like another one?"))
    return one(turn)
