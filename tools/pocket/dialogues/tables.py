"""The facts Pocket knows. Everything else about the world it declines."""

from __future__ import annotations

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon",
    "Austria": "Vienna", "Switzerland": "Bern", "Belgium": "Brussels", "the Netherlands": "Amsterdam",
    "Denmark": "Copenhagen", "Sweden": "Stockholm", "Norway": "Oslo", "Finland": "Helsinki", "Poland": "Warsaw",
    "Hungary": "Budapest", "Greece": "Athens", "Ireland": "Dublin", "England": "London", "Scotland": "Edinburgh",
    "Russia": "Moscow", "Turkey": "Ankara", "Egypt": "Cairo", "Kenya": "Nairobi", "Japan": "Tokyo",
    "China": "Beijing", "India": "New Delhi", "Thailand": "Bangkok", "Australia": "Canberra", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Argentina": "Buenos Aires", "Chile": "Santiago",
    "Peru": "Lima", "Iceland": "Reykjavik", "Ukraine": "Kyiv", "Romania": "Bucharest", "South Korea": "Seoul",
    "the United States": "Washington",
}  # fmt: skip

# animal: (young, sound as a verb, legs)
ANIMALS = {
    "dog": ("puppy", "barks", 4), "cat": ("kitten", "meows", 4), "cow": ("calf", "moos", 4),
    "horse": ("foal", "neighs", 4), "sheep": ("lamb", "bleats", 4), "pig": ("piglet", "oinks", 4),
    "duck": ("duckling", "quacks", 2), "hen": ("chick", "clucks", 2), "goat": ("kid", "bleats", 4),
    "lion": ("cub", "roars", 4), "bear": ("cub", "growls", 4), "wolf": ("pup", "howls", 4),
    "frog": ("tadpole", "croaks", 4), "owl": ("owlet", "hoots", 2), "goose": ("gosling", "honks", 2),
    "donkey": ("foal", "brays", 4), "bee": ("larva", "buzzes", 6), "mouse": ("pup", "squeaks", 4),
}  # fmt: skip

COLOURS = {
    "grass": "green", "the sky": "blue", "snow": "white", "coal": "black", "a lemon": "yellow", "a banana": "yellow",
    "a tomato": "red", "blood": "red", "a carrot": "orange", "a pumpkin": "orange", "chocolate": "brown",
    "milk": "white", "the sea": "blue", "a strawberry": "red", "a cucumber": "green", "a flamingo": "pink",
    "an elephant": "grey", "the sun": "yellow", "a frog": "green", "a ruby": "red", "an emerald": "green",
    "a raven": "black", "a fire engine": "red", "a swan": "white",
}  # fmt: skip

MIXES = {
    ("red", "yellow"): "orange", ("blue", "yellow"): "green", ("red", "blue"): "purple",
    ("black", "white"): "grey", ("red", "white"): "pink",
}  # fmt: skip

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

# (small unit, large unit): how many small ones are in a large one
UNITS = {
    ("seconds", "a minute"): 60, ("minutes", "an hour"): 60, ("hours", "a day"): 24, ("days", "a week"): 7,
    ("months", "a year"): 12, ("weeks", "a year"): 52, ("days", "a year"): 365, ("years", "a decade"): 10,
    ("years", "a century"): 100, ("centimetres", "a metre"): 100, ("millimetres", "a centimetre"): 10,
    ("metres", "a kilometre"): 1000, ("grams", "a kilogram"): 1000, ("inches", "a foot"): 12, ("feet", "a yard"): 3,
    ("eggs", "a dozen"): 12, ("cents", "a dollar"): 100, ("bits", "a byte"): 8, ("millilitres", "a litre"): 1000,
}  # fmt: skip

OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("up", "down"), ("left", "right"), ("day", "night"),
    ("happy", "sad"), ("light", "dark"), ("old", "young"), ("open", "closed"), ("rich", "poor"), ("hard", "soft"),
    ("early", "late"), ("full", "empty"), ("high", "low"), ("wet", "dry"), ("loud", "quiet"), ("strong", "weak"),
    ("near", "far"), ("thick", "thin"), ("clean", "dirty"), ("long", "short"), ("easy", "difficult"),
    ("begin", "end"), ("love", "hate"), ("true", "false"), ("win", "lose"), ("push", "pull"), ("buy", "sell"),
    ("inside", "outside"), ("always", "never"), ("first", "last"), ("deep", "shallow"), ("wide", "narrow"),
    ("brave", "cowardly"), ("heavy", "light"), ("sweet", "sour"), ("awake", "asleep"), ("arrive", "leave"),
    ("remember", "forget"),
)  # fmt: skip
