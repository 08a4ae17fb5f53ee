"""Names, places and words in large numbers, so that the model learns to copy them rather than to recall them."""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import held_out, train_pool

FIRST_NAMES = train_pool(
    """Aaron Abby Adam Adele Agnes Ahmed Aisha Alan Albert Alex Alice Amelia Amir Amy Ana Andrea Andy Angela Anita Anna
    Anton Arthur Astrid Aya Barbara Beatrice Ben Bella Bianca Bill Bob Boris Brenda Brian Bruno Carl Carla Carlos Carmen
    Cathy Cecilia Charlie Chen Chloe Chris Clara Claire Colin Connor Dan Daniel Daria David Dana Debbie Deepa Denis Diana
    Diego Dina Dora Dylan Eddie Edgar Edith Elena Eli Elias Ella Ellen Elsa Emil Emily Emma Enzo Eric Erika Esther Ethan
    Eva Evan Faith Farid Fatima Felix Fiona Flora Frank Frida Fred Gabriel Gemma George Gina Giulia Grace Greg Greta Gus
    Hana Hannah Harry Hassan Heidi Helen Henry Hilda Hugo Ian Ida Igor Ines Ingrid Irene Iris Isaac Isabel Ivan Ivy Jack
    Jacob Jade James Jan Jane Jasmine Jason Javier Jean Jenny Jim Jo Joan Joe Joel John Jonas Jorge Josh Joy Juan Judy
    Julia Julian June Kai Karen Karim Karl Kate Keith Ken Kevin Khalid Kim Klaus Kofi Kumar Kurt Kyle Lara Lars Laura Lea
    Leah Lee Lena Leo Leon Leyla Liam Lila Lily Linda Lisa Lola Lorenzo Louis Luca Lucia Lucy Luis Luke Luna Maggie Malik
    Mara Marco Margot Maria Mario Mark Marta Martin Mary Mateo Matt Max Maya Mei Mia Michael Miguel Mila Miriam Mona Nadia
    Nadine Naomi Natalie Nick Nina Noah Noor Nora Olga Oliver Olivia Omar Oscar Otto Owen Paolo Pat Paul Paula Pedro Penny
    Pete Peter Petra Phil Pia Priya Quinn Rachel Raj Ralph Ramon Rana Ravi Ray Rita Rob Robin Rosa Rose Ruby Ruth Ryan
    Sabine Said Sally Sam Samira Sandra Sara Sean Selma Sergei Shirin Simon Sofia Sonia Stan Stella Steve Sue Sunil Susan
    Svetlana Tania Tara Ted Teresa Theo Thomas Tim Tina Toby Tom Tomas Tony Uma Ursula Vera Victor Vikram Viola Wanda
    Walter Wendy Will Xavier Yara Yasmin Yuki Yusuf Zara Zoe""".split()
)
REAL_PLACES = train_pool(
    [
        place.strip()
        for place in """Paris, Berlin, Rome, Madrid, Lisbon, Vienna, Oslo, London, Dublin, Athens, Prague, Warsaw, Boston,
    Chicago, Denver, Seattle, Toronto, Tokyo, Osaka, Delhi, Mumbai, Cairo, Nairobi, Lagos, Lima, Quito, Bogota, Hamburg,
    Munich, Milan, Naples, Turin, Porto, Seville, Geneva, Zurich, Bergen, Malmo, Helsinki, Riga, Tallinn, Vilnius,
    Krakow, Graz, Salzburg, Leeds, York, Bath, Oxford, Cambridge, Bristol, Glasgow, Cardiff, Cork, Galway, Ghent, Bruges,
    Lyon, Nice, Lille, Nantes, Texas, Ohio, Maine, Utah, Florida, California, Brazil, Peru, Chile, Mexico, Cuba, Kenya,
    Ghana, Egypt, Turkey, India, Nepal, China, Japan, Korea, Vietnam, Thailand, Poland, Hungary, Romania, Greece, Spain,
    Portugal, Norway, Sweden, Finland, Iceland, Scotland, Wales, Ireland, Austria, New York, San Diego, Los Angeles,
    Hong Kong, Cape Town, Buenos Aires, Sao Paulo, Santa Fe, Salt Lake City, New Zealand, South Africa, Costa Rica""".split(
            ","
        )
    ]
)
_ONSETS = "b br c ch cl d dr f fl g gr h j k kr l m n p pl pr qu r s sh sk sl sp st t th tr v w y z".split()
_VOWELS = "a a e e i i o o u ai ea ee ia io oo ou".split()
_CODAS = "n r l s t m k d th nd rt lm ck sh x".split() + [""] * 12
_NAME_ENDS = "a o i e an en in on el is us ia ine ette ert ald son ly ey y".split()
_PLACE_ENDS = "ton ville burg ford ham stead field mouth port wick dale by berg stad ovo ania ora ia land haven".split()

PETS = tuple("dog cat rabbit hamster parrot turtle goldfish horse pony snake lizard mouse rat canary ferret".split())
PET_NAMES = train_pool(
    """Rex Bello Luna Milo Coco Bingo Max Bella Daisy Simba Nemo Oreo Tiger Shadow Ginger Pepper Biscuit Muffin Pumpkin
    Snowy Fluffy Rocky Buddy Ziggy Mochi Noodle Pickles Waffles Peanut Cookie Smokey Socks Patch Dusty Sandy Toffee Rusty
    Hazel Willow Clover Marble Domino Jasper Felix Casper Bandit Bubbles Button Cleo Dexter Echo Fidget Gizmo Honey Indy
    Jinx Kiwi Lucky Maple Nala Olive Pippin Roxy Scout Tango Umbra Velvet Whisky Yoyo Zorro""".split()
)
FOODS = tuple(
    """pizza, pasta, sushi, rice, soup, salad, chocolate, cheese, bread, curry, noodles, pancakes, tacos, dumplings,
    apples, pears, grapes, mangoes, strawberries, cherries, olives, mushrooms, potatoes, tomatoes, beans, lentils, honey,
    cake, ice cream, cookies, waffles, porridge, burgers, fish and chips, falafel, hummus, lasagne, risotto, ramen,
    popcorn, peanuts, pickles, garlic bread, apple pie, fried eggs, roast chicken, tofu, yoghurt, green tea, coffee,
    lemonade, orange juice, hot chocolate""".replace("\n", " ").split(",")
)
FOODS = tuple(" ".join(food.split()) for food in FOODS)
HOBBIES = tuple(
    " ".join(hobby.split())
    for hobby in """chess, football, tennis, swimming, hiking, cycling, running, climbing, dancing, singing, painting,
    drawing, reading, cooking, baking, gardening, knitting, sewing, fishing, sailing, surfing, skiing, skating, yoga,
    photography, playing the piano, playing the guitar, playing the violin, the drums, poker, board games, card games,
    video games, crossword puzzles, jazz, rock music, opera, old films, birdwatching, astronomy, pottery, woodwork,
    table tennis, basketball, volleyball, rowing, horse riding, camping, travelling, trains, maps, origami, magic
    tricks, juggling""".replace("\n", " ").split(",")
)
JOBS = tuple(
    " ".join(job.split())
    for job in """teacher, nurse, baker, carpenter, pilot, farmer, painter, plumber, electrician, gardener, lawyer,
    doctor, dentist, driver, cook, waiter, librarian, student, programmer, engineer, writer, musician, dancer, builder,
    mechanic, tailor, butcher, cashier, postman, fireman, sailor, scientist, translator, photographer, barber, vet,
    accountant, architect, judge, journalist""".replace("\n", " ").split(",")
)
COLOUR_NAMES = tuple(
    "red blue green yellow orange purple pink black white brown grey turquoise violet gold silver beige".split()
)


def _syllable(rng: random.Random) -> str:
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)


def made_up(rng: random.Random, least: int = 2, most: int = 3) -> str:
    """A pronounceable word that nobody knows, in lower case."""
    return "".join(_syllable(rng) for _ in range(rng.randint(least, most)))


def _not_held_out(rng: random.Random, draw: object) -> str:
    assert callable(draw)
    while True:
        word = str(draw())
        if not held_out(word):
            return word


def first_name(rng: random.Random) -> str:
    """A first name: two of three are real, the others made up."""
    if rng.random() < 0.65:
        return rng.choice(FIRST_NAMES)
    return _not_held_out(rng, lambda: (made_up(rng, 1, 2) + rng.choice(_NAME_ENDS)).capitalize())


def place(rng: random.Random) -> str:
    """A town or country: half of them are real."""
    if rng.random() < 0.5:
        return rng.choice(REAL_PLACES)
    return _not_held_out(rng, lambda: (made_up(rng, 1, 2) + rng.choice(_PLACE_ENDS)).capitalize())


def pet_name(rng: random.Random) -> str:
    """A pet's name: half of them are made up."""
    if rng.random() < 0.6:
        return rng.choice(PET_NAMES)
    return _not_held_out(rng, lambda: made_up(rng, 1, 2).capitalize())
