"""Lists, tables and ten small code snippets: what shows off Markdown."""

from __future__ import annotations

import random

from tools.pocket.dialogues import entities
from tools.pocket.dialogues.base import Fragment, one, skill
from tools.pocket.dialogues.tables import ANIMALS, CAPITALS, DAYS, MONTHS
from tools.pocket.dialogues.vocabulary import WORDS

_LISTS: dict[str, tuple[str, ...]] = {
    "fruits": ("apple", "banana", "cherry", "grape", "pear"), "vegetables": ("carrot", "onion", "potato", "tomato", "bean"),
    "animals": ("dog", "cat", "horse", "cow", "owl"), "colours": ("red", "blue", "green", "yellow", "black"), "colors": ("red", "blue", "green", "yellow", "black"),
    "drinks": ("water", "tea", "coffee", "milk", "juice"), "sports": ("football", "tennis", "swimming", "running", "cycling"), "tools": ("hammer", "saw", "drill", "wrench", "pliers"),
    "instruments": ("piano", "guitar", "violin", "drum", "flute"), "days": DAYS[:5], "months": MONTHS[:5], "hobbies": ("reading", "cooking", "chess", "hiking", "painting"),
    "capitals": ("Paris", "Rome", "Berlin", "Madrid", "London"), "countries": ("France", "Italy", "Germany", "Spain", "Japan"), "birds": ("owl", "duck", "goose", "eagle", "hen"),
    "flowers": ("rose", "tulip", "lily", "daisy", "violet"), "pets": ("dog", "cat", "rabbit", "hamster", "parrot"), "clothes": ("shirt", "coat", "shoes", "hat", "scarf"),
    "rooms": ("kitchen", "bedroom", "bathroom", "cellar", "attic"), "jobs": ("teacher", "nurse", "baker", "pilot", "farmer"),
}  # fmt: skip
_NUMBER = {2: "two", 3: "three", 4: "four", 5: "five"}
_ASK_LIST = (
    "List {n} {x}.", "Give me {n} {x}.", "name {n} {x}", "{n} {x} please", "Make a list of {n} {x}.", "Can you list {n} {x}?", "Write a list with {n} {x}.", "I need {n} {x} as bullet points.",
    "Tell me {n} {x}.", "Show me {n} {x} in a list.", "a bullet list of {n} {x}", "Which {n} {x} do you know?", "Could you name {n} {x}?", "What are {n} {x}?", "list of {n} {x}?",
)  # fmt: skip
_ASK_OWN = (
    "Make a list of {i}.", "Put {i} in a list.", "list: {i}", "Make a shopping list with {i}.", "Write {i} as bullet points.", "turn this into a list: {i}", "I need to buy {i}. Make a list.",
    "Bullet points please: {i}", "Can you list {i}?", "My to-do list: {i}", "a list with {i} please", "Make a packing list: {i}.", "Format as a list: {i}", "Write a list: {i}", "Please make bullets of {i}.",
)  # fmt: skip


def _joined(items: list[str], rng: random.Random) -> str:
    if len(items) == 1:
        return items[0]
    return f"{', '.join(items[:-1])}{rng.choice((' and ', ', ', ' and ', ', and '))}{items[-1]}"


def _bullets(items: list[str], numbered: bool = False) -> str:
    return "\n".join(f"{number}. {item}" if numbered else f"- {item}" for number, item in enumerate(items, 1))


@skill("list", 3)
def bullet_list(rng: random.Random) -> Fragment:
    """A list from the table, or of what the user names."""
    numbered = rng.random() < 0.15
    end = rng.choice((" Number them.", " numbered please", " as a numbered list")) if numbered else ""
    if rng.random() < 0.45:
        name, known = rng.choice(list(_LISTS.items()))
        count = rng.randint(2, 5)
        shown = rng.choice((_NUMBER[count], str(count)))
        user = rng.choice(_ASK_LIST).replace("{n}", shown).replace("{x}", name)
        return one((user[0].upper() + user[1:] + end, _bullets(list(known[:count]), numbered)))
    pool = entities.FOODS if rng.random() < 0.4 else WORDS
    items = [str(item) for item in rng.sample(pool, rng.randint(2, 5))]
    if rng.random() < 0.2:
        items = [entities.first_name(rng) for _ in items]
    user = rng.choice(_ASK_OWN).replace("{i}", _joined(items, rng))
    return one((user + end, _bullets(items, numbered)), exact=True)


_ASK_TABLE = (
    "Make a table: {i}", "Make a table with {i}.", "Put this in a table: {i}", "table of {i}", "Can you make a table with {i}?", "Show {i} as a table.", "I need a table: {i}", "Write a table for {i}.",
    "Turn this into a table: {i}", "a table please: {i}", "Please put {i} into a table.", "Format as a table: {i}",
)  # fmt: skip


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    return "\n".join(
        [f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {left} | {right} |" for left, right in rows)]
    )


@skill("table", 2)
def table(rng: random.Random) -> Fragment:
    """Two columns: what the user gives, capitals, or legs of animals."""
    draw = rng.random()
    count = rng.randint(2, 4)
    if draw < 0.55:
        names = [entities.first_name(rng) for _ in range(count)]
        values = [str(rng.randint(1, 99)) for _ in names]
        item = rng.choice(("{a} {b}", "{a}: {b}", "{a} has {b}", "{a} is {b}", "{a} = {b}"))
        given = _joined([item.replace("{a}", a).replace("{b}", b) for a, b in zip(names, values, strict=True)], rng)
        return one(
            (
                rng.choice(_ASK_TABLE).replace("{i}", given),
                _table(("Name", "Number"), list(zip(names, values, strict=True))),
            ),
            exact=True,
        )
    if draw < 0.85:
        countries = rng.sample(list(CAPITALS), count)
        shown = [country.removeprefix("the ") for country in countries]
        user = rng.choice(
            ("Make a table with the capitals of {i}.", "a table of the capitals of {i}", "Show the capitals of {i} in a table.", "Table of countries and capitals: {i}", "put the capitals of {i} in a table")
        )  # fmt: skip
        rows = [(name, CAPITALS[country]) for name, country in zip(shown, countries, strict=True)]
        return one((user.replace("{i}", _joined(shown, rng)), _table(("Country", "Capital"), rows)), exact=True)
    animals = rng.sample(list(ANIMALS), count)
    user = rng.choice(
        (
            "Make a table of the legs of {i}.",
            "a table with {i} and their legs",
            "How many legs have {i}? As a table please.",
        )
    )
    plain = [(animal, str(ANIMALS[animal][2])) for animal in animals]
    return one((user.replace("{i}", _joined(animals, rng)), _table(("Animal", "Legs"), plain)), exact=True)


# The title, ways to ask for it, and the snippet.
_CODE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("hello world", ("hello world", "a hello world program", "a program that says hello", "the simplest program", "something that prints hello world"), 'print("Hello, world!")'),
    ("a loop", ("a for loop", "a loop from 1 to 10", "a loop that counts to ten", "a program that prints the numbers from 1 to 10", "how to loop"), "for number in range(1, 11):\n    print(number)"),
    ("adding", ("a function that adds two numbers", "an add function", "a function to add numbers", "a sum function with two arguments", "a function add(a, b)"), "def add(a, b):\n    return a + b"),
    ("reversing", ("how to reverse a string", "a function that reverses a string", "string reversal", "reverse a string", "a program that turns a word around"), "def reverse(text):\n    return text[::-1]"),
    ("reading", ("how to read a file", "a program that reads a file", "reading a text file", "read a file line by line", "how to open a file"), 'with open("file.txt") as file:\n    for line in file:\n        print(line.strip())'),
    ("squares", ("a list of squares", "a list comprehension", "a list comprehension with squares", "the squares from 1 to 10", "an example of a list comprehension"), "squares = [n * n for n in range(1, 11)]\nprint(squares)"),
    ("a dictionary", ("a dictionary", "how to use a dict", "a dict example", "looking up a value in a dictionary", "a small dictionary with ages"), 'ages = {"Ana": 31, "Ben": 27}\nprint(ages["Ana"])'),
    ("sorting", ("how to sort a list", "sort a list of numbers", "sorting numbers", "a program that sorts a list", "list sorting"), "numbers = [3, 1, 2]\nprint(sorted(numbers))"),
    ("factorial", ("the factorial function", "a factorial", "a function for the factorial", "compute the factorial of n", "a recursive factorial"), "def factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)"),
    ("even numbers", ("how to find even numbers", "the even numbers up to 20", "check if a number is even", "a program for even numbers", "filter even numbers"), "even = [n for n in range(1, 21) if n % 2 == 0]\nprint(even)"),
)  # fmt: skip
_ASK_CODE = (
    "Show me {x} in Python.", "Write {x} in Python.", "{x} in python", "Can you write {x} in Python?", "Python code for {x}?", "give me python code: {x}", "I need {x} in Python.", "How do I write {x} in Python?",
    "Code for {x}, please.", "Show me {x}.", "Write a Python example: {x}.", "python: {x}", "Could you show {x} in Python?", "Please write {x}.", "I'm learning Python, show me {x}.", "an example of {x} in Python please",
)  # fmt: skip


@skill("code", 3)
def code(rng: random.Random) -> Fragment:
    """One of ten snippets in a fence."""
    _, names, snippet = rng.choice(_CODE)
    user = (
        rng.choice(_ASK_CODE)
        .replace("{x}", rng.choice(names))
        .replace("write how to", "show how to")
        .replace("for how to", "how to")
    )
    return one((user, f"```python\n{snippet}\n```"))
