"""Sums, differences and small products, worked in columns as far as they need it.

The multiplication table up to 12 x 12, the sums of two digits and the differences that undo them are
closed tables; of the other sums and differences one operand pair in eight, in this order, is kept for
the evaluation (`held_out("17+25")`).
"""

from __future__ import annotations

import random

from tools.pocket.dialogues.base import Fragment, held_out, one, skill

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_FRAMES = (
    "What is {e}?", "what's {e}", "{e}", "{e} = ?", "{e}?", "{e}=", "Calculate {e}.", "Compute {e}", "How much is {e}?",
    "Can you work out {e}?", "Tell me {e}.", "what does {e} make", "{e} equals?", "Please calculate {e}.", "Solve {e}",
    "I need the result of {e}.", "How much does {e} make?", "do you know what {e} is?", "Quick, {e}!", "and {e}?",
    "What do you get for {e}?", "Could you tell me what {e} is?", "What's the answer to {e}?", "hey, {e}", "work out {e} for me",
    "Now {e}.", "And what is {e}?", "My homework says {e}. What is it?", "Help me with {e}.", "What about {e}?", "ok, {e}",
    "I have to do {e} for school.", "Maths question: {e}?", "Give me the answer for {e}.", "Let's do some maths: {e}", "so {e} is?",
    "Can you add up for me? {e}", "What will {e} be?", "Do the sum {e}.", "just {e} please",
)  # fmt: skip
_PLUS = (
    "{a} + {b}",
    "{a}+{b}",
    "{a} plus {b}",
    "{a} and {b} together",
    "the sum of {a} and {b}",
    "{a} added to {b}",
    "{a} + {b}",
    "{a}+{b}",
)
_MINUS = (
    "{a} - {b}",
    "{a}-{b}",
    "{a} minus {b}",
    "{a} take away {b}",
    "{a} less {b}",
    "the difference between {a} and {b}",
    "{a} - {b}",
)
_TIMES = (
    "{a} x {b}",
    "{a}*{b}",
    "{a} times {b}",
    "{a} * {b}",
    "{a} multiplied by {b}",
    "the product of {a} and {b}",
    "{a}x{b}",
)
_ASK_PLUS = (
    "Add {a} and {b}.", "What do {a} and {b} make?", "add {b} to {a}", "What do you get if you add {a} and {b}?",
    "Sum {a} and {b} for me.", "If I put {a} and {b} together, what do I get?", "How many are {a} and {b}?",
    "I owe one friend {a} and another {b}. How much is that?", "Can you add {a} and {b} for me?", "Please add up {a} and {b}.",
    "One bag weighs {a} and the other {b}. What is the total?", "What is the total of {a} and {b}?",
)  # fmt: skip
_ASK_MINUS = (
    "Take {b} from {a}.", "Subtract {b} from {a}.", "What is left if I take {b} from {a}?", "What remains of {a} when {b} are gone?",
    "How much more is {a} than {b}?", "If you subtract {b} from {a}, what do you get?", "I had {a} and spent {b}. How much is left?",
    "There were {a} and {b} left. How many remain?", "can you subtract {b} from {a} please", "What do I have left from {a} after paying {b}?",
)  # fmt: skip
_ASK_TIMES = (
    "Multiply {a} by {b}.", "What do you get if you multiply {a} by {b}?", "multiply {a} and {b}", "{a} boxes with {b} in each, how many?",
    "How many is {a} times {b}?", "What's {b} taken {a} times?", "There are {a} rows of {b} chairs. How many chairs?",
    "Can you multiply {a} by {b} for me?", "{a} people pay {b} each. How much is that?",
)  # fmt: skip
_THINGS = (
    "apples pears coins books eggs cards pens stamps marbles cookies balls sweets plates cups shells tickets".split()
)
_CHECKS = ("Are you sure?", "Is that right?", "really?", "Sure?", "are you certain")
_THANKS = ("thanks", "Thank you!", "ok", "great", "Correct!", "That's right.", "well done", "yes!")


def work_sum(a: int, b: int) -> str:
    """`17 + 25` becomes `7 + 5 = 12, 1 + 2 + 1 = 4. So 17 + 25 = 42.`"""
    if a < 10 and b < 10:
        return f"{a} + {b} = {a + b}."
    ones = a % 10 + b % 10
    carry = " + 1" if ones > 9 else ""
    tens = a // 10 + b // 10 + (ones > 9)
    return f"{a % 10} + {b % 10} = {ones}, {a // 10} + {b // 10}{carry} = {tens}. So {a} + {b} = {a + b}."


def work_difference(a: int, b: int) -> str:
    """`42 - 17` becomes `12 - 7 = 5, 4 - 1 - 1 = 2. So 42 - 17 = 25.`"""
    if a < b:
        return f"{work_difference(b, a)} So {a} - {b} = -{b - a}."
    if a < 20 and b < 10 and a - b < 10:
        return f"{a} - {b} = {a - b}."
    borrow = a % 10 < b % 10
    top = a % 10 + 10 * borrow
    tens = a // 10 - b // 10 - borrow
    return f"{top} - {b % 10} = {top - b % 10}, {a // 10} - {b // 10}{' - 1' if borrow else ''} = {tens}. So {a} - {b} = {a - b}."


def _operand(rng: random.Random) -> int:
    return rng.randint(0, 9) if rng.random() < 0.2 else rng.randint(10, 99)


def _trained(a: int, sign: str, b: int) -> bool:
    if a < 10 and b < 10:
        return True
    if sign == "-" and a < b:
        # The way to 17 - 42 goes over 42 - 17.
        return not held_out(f"{a}-{b}") and _trained(b, sign, a)
    undone = sign == "-" and b < 10 and a - b < 10
    return undone or not held_out(f"{a}{sign}{b}")


def _pair(rng: random.Random, sign: str) -> tuple[int, int]:
    while True:
        a, b = _operand(rng), _operand(rng)
        if sign == "-" and a < b and rng.random() < 0.9:
            a, b = b, a
        if _trained(a, sign, b):
            return a, b


def _written(rng: random.Random, a: int, b: int) -> tuple[str, str]:
    if max(a, b) <= 20 and rng.random() < 0.2:
        return _WORDS[a], _WORDS[b]
    return str(a), str(b)


def _question(rng: random.Random, forms: tuple[str, ...], asks: tuple[str, ...], a: int, b: int) -> str:
    first, second = _written(rng, a, b)
    if rng.random() < 0.25:
        return rng.choice(asks).format(a=first, b=second)
    if first.isalpha():
        forms = tuple(form for form in forms if " " in form)
    return rng.choice(_FRAMES).replace("{e}", rng.choice(forms).format(a=first, b=second))


def _with_follow_up(rng: random.Random, user: str, reply: str, result: str) -> Fragment:
    if rng.random() < 0.06:
        return one((user, reply), (rng.choice(_CHECKS), f"Yes, {result}."))
    if rng.random() < 0.06:
        return one((user, reply), (rng.choice(_THANKS), "You're welcome! What else would you like to do?"))
    return one((user, reply))


@skill("sum", 8)
def sum_of_two(rng: random.Random) -> Fragment:
    """Two numbers of at most two digits."""
    a, b = _pair(rng, "+")
    return _with_follow_up(rng, _question(rng, _PLUS, _ASK_PLUS, a, b), work_sum(a, b), f"{a} + {b} = {a + b}")


@skill("difference", 8)
def difference(rng: random.Random) -> Fragment:
    """Two numbers of at most two digits, seldom with a negative result."""
    a, b = _pair(rng, "-")
    return _with_follow_up(rng, _question(rng, _MINUS, _ASK_MINUS, a, b), work_difference(a, b), f"{a} - {b} = {a - b}")


@skill("product", 4.5)
def product(rng: random.Random) -> Fragment:
    """The table up to 12 x 12."""
    most = 12 if rng.random() < 0.2 else 10
    a, b = rng.randint(0 if rng.random() < 0.3 else 2, most), rng.randint(0 if rng.random() < 0.3 else 2, most)
    return _with_follow_up(
        rng, _question(rng, _TIMES, _ASK_TIMES, a, b), f"{a} x {b} = {a * b}.", f"{a} x {b} = {a * b}"
    )


@skill("digit_facts", 4)
def digit_facts(rng: random.Random) -> Fragment:
    """One-digit sums, and the differences that undo them: what is wrong longest in column work."""
    a, b = rng.randint(0, 9), rng.randint(0, 9)
    if rng.random() < 0.5:
        return one((_question(rng, _PLUS, _ASK_PLUS, a, b), work_sum(a, b)))
    return one((_question(rng, _MINUS, _ASK_MINUS, a + b, b), f"{a + b} - {b} = {a}."))


@skill("word_problem", 1.2)
def word_problem(rng: random.Random) -> Fragment:
    """Having, getting and giving things away."""
    thing = rng.choice(_THINGS)
    a, b = rng.randint(1, 12), rng.randint(1, 9)
    if rng.random() < 0.5:
        while not _trained(a, "+", b):
            a = rng.randint(1, 12)
        user = rng.choice(
            (f"I have {a} {thing} and buy {b} more. How many {thing} do I have?", f"If I have {a} {thing} and get {b}, how many is that?",
             f"There are {a} {thing} on the table and I add {b}. How many are there now?",
             f"I've got {a} {thing} and you give me {b} more. How many do I have now?",
             f"{a} {thing} plus another {b} {thing}, how many in all?")
        )  # fmt: skip
        return one((user, f"{work_sum(a, b)} So you have {a + b} {thing}."))
    a = max(a, b) + rng.randint(1, 5)
    while not _trained(a, "-", b):
        a -= 1
    user = rng.choice(
        (f"I have {a} {thing} and give away {b}. How many are left?", f"If I have {a} {thing} and lose {b}, how many do I still have?",
         f"There were {a} {thing}, {b} broke. How many are left?", f"I bought {a} {thing} and used {b}. How many remain?")
    )  # fmt: skip
    return one((user, f"{work_difference(a, b)} So you have {a - b} {thing} left."))
