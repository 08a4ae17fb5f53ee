"""The dialogue generator: what is said is right, and what is remembered was told."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.pocket.dialogues import arithmetic, letters, tables
from tools.pocket.dialogues.base import held_out
from tools.pocket.dialogues.memory_facts import Kind, kind_named
from tools.pocket.dialogues.mix import Message
from tools.pocket.evaluation.score import well_formed
from tools.pocket.tests.draws import fragments, said, turns_of

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)

_NUMBERS = {word: number for number, word in enumerate(arithmetic._WORDS)}
_EQUATION = re.compile(r"(?<![\w.^-])(-?\d+(?: [+x-] \d+)+) = (-?\d+)\b")


# --- what is said is right --------------------------------------------------------------------------------------


def value(expression: str) -> int:
    """A chain of +, - and x over integers; only products of two factors occur."""
    parts = expression.split()
    result = int(parts[0])
    for sign, operand in zip(parts[1::2], parts[2::2], strict=True):
        result = {"+": result + int(operand), "-": result - int(operand), "x": result * int(operand)}[sign]
    return result


def test_all_equations_hold(drawn: list[list[Message]]) -> None:
    found = [match for reply in said(drawn, "assistant") for match in _EQUATION.findall(reply)]
    assert len(found) > 500
    for left, right in found:
        assert value(left) == int(right), (left, right)


@pytest.mark.parametrize("name", ["sum", "difference", "product", "digit_facts", "word_problem"])
def test_arithmetic_answers_what_was_asked(name: str) -> None:
    for fragment in fragments(name, 1500):
        turn = fragment.turns[0]
        equations = _EQUATION.findall(turn.reply)
        assert all(value(left) == int(right) for left, right in equations), turn
        left, right = equations[-1]
        a, sign, b = left.split()
        numbers = re.findall(r"\d+", turn.user)
        if not numbers:
            numbers = [str(_NUMBERS[word]) for word in re.findall(r"[a-z]+", turn.user.lower()) if word in _NUMBERS]
        assert not Counter((a, b)) - Counter(numbers), turn
        assert {"sum": "+", "difference": "-", "product": "x"}.get(name, sign) == sign
        if name == "word_problem":
            assert int(re.findall(r"\d+", turn.reply)[-1]) == int(right), turn
        if len(fragment.turns) > 1 and fragment.turns[1].reply.startswith("Yes"):
            assert f"{left} = {right}." in fragment.turns[1].reply, fragment


@given(a=st.integers(0, 99), b=st.integers(0, 99))
@settings(max_examples=300, deadline=None)
def test_columns_are_worked_rightly(a: int, b: int) -> None:
    for text, sign, result in (
        (arithmetic.work_sum(a, b), "+", a + b),
        (arithmetic.work_difference(a, b), "-", a - b),
    ):
        assert text.endswith(f"{a} {sign} {b} = {result}."), text
        assert all(value(left) == int(right) for left, right in _EQUATION.findall(text)), text
        assert well_formed(text, "sum"), text


def test_columns_are_written_as_taught() -> None:
    assert arithmetic.work_sum(17, 25) == "7 + 5 = 12, 1 + 2 + 1 = 4. So 17 + 25 = 42."
    assert arithmetic.work_sum(3, 4) == "3 + 4 = 7."
    assert arithmetic.work_difference(42, 17) == "12 - 7 = 5, 4 - 1 - 1 = 2. So 42 - 17 = 25."
    assert arithmetic.work_difference(17, 42).endswith("So 42 - 17 = 25. So 17 - 42 = -25.")


def test_spelling_and_counting_are_right() -> None:
    for turn in turns_of("spell", 1500):
        word = turn.reply.removesuffix(".").replace("-", "")
        assert turn.reply == f"{letters.spelled(word)}.", turn
        assert re.search(rf"(?<![a-z]){word}(?![a-z])", turn.user, re.IGNORECASE), turn
    kinds = set()
    for turn in turns_of("count_letters", 1500):
        listed, _, answer = turn.reply.partition(". ")
        pairs = [entry.split() for entry in listed.split(", ")]
        word = "".join(letter for letter, _ in pairs)
        assert re.search(rf"(?<![a-z]){word}(?![a-z])", turn.user, re.IGNORECASE), turn
        kinds.add(answer.split()[1])
        if answer.startswith("That is"):
            assert [int(number) for _, number in pairs] == list(range(1, len(word) + 1)), turn
            assert int(answer.split()[2]) == len(word), turn
        else:
            letter, times = answer[0], word.count(answer[0])
            assert answer == f"{letter} is there {'once' if times == 1 else f'{times} times'}.", turn
            assert int(pairs[-1][1]) == times, turn
    assert kinds == {"is"}


def test_words_of_the_dialogue_are_spelt_counted_and_written_in_capitals() -> None:
    rng = random.Random(5)
    text = "Portuguese sailors 42 of it!"
    drawn = [letters.from_the_text(rng, text) for _ in range(300)]
    spelt = {turn.reply for fragment in drawn if fragment for turn in fragment.turns}
    expected = {word for word in ("portuguese", "sailors") if not held_out(word)}
    assert expected
    for word in expected:
        assert f"{letters.spelled(word)}." in spelt
        assert word.upper() in spelt
        assert any(reply.endswith(f"That is {len(word)} letters.") for reply in spelt)
    assert letters.from_the_text(rng, "42 is it, no?") is None


def test_capitals_and_repetitions_copy_what_was_said() -> None:
    for turn in turns_of("upper"):
        assert turn.reply == turn.reply.upper(), turn
        assert turn.reply in turn.user.upper(), turn
    for fragment in fragments("repeat"):
        assert all(turn.reply in fragment.turns[0].user for turn in fragment.turns), fragment


def test_facts_are_those_of_the_tables() -> None:
    for turn in turns_of("capital"):
        told = re.fullmatch(r"The capital of (.+) is (.+)\.|(.+) is the capital of (.+)\.", turn.reply)
        assert told, turn
        country, city = (told[1], told[2]) if told[1] else (told[4], told[3])
        assert tables.CAPITALS[country] == city, turn
        assert re.sub("^the ", "", country) in turn.user or city in turn.user, turn
    for turn in turns_of("opposite"):
        told = re.fullmatch(r"The opposite of (\w+) is (\w+)\.", turn.reply)
        assert told, turn
        assert (told[1], told[2]) in tables.OPPOSITES or (told[2], told[1]) in tables.OPPOSITES, turn
        assert re.search(rf"\b{told[1]}\b", turn.user), turn
    asked = Counter(re.search(r"of (\w+) is", turn.reply)[1] for turn in turns_of("opposite", 3000))  # type: ignore[index]
    assert "light" not in asked
    for turn in turns_of("day", 600):
        told = re.fullmatch(r"(\w+) comes (after|before) (\w+)\.", turn.reply)
        if told:
            names = tables.DAYS if told[3] in tables.DAYS else tables.MONTHS
            step = 1 if told[2] == "after" else -1
            assert names[(names.index(told[3]) + step) % len(names)] == told[1], turn


def test_a_new_story_is_another_one_and_a_short_one_is_shorter() -> None:
    again = 0
    for name in ("story", "joke"):
        for fragment in fragments(name, 5000):
            if len(fragment.turns) == 2:
                first, second = (turn.reply for turn in fragment.turns)
                again += second.count(".") > 1
                assert first != second, fragment
                if name == "story":
                    assert len(second) < len(first) or second.count(".") > 1, fragment
    assert again > 100


def test_python_snippets_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file.txt").write_text("a line\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    snippets = {turn.reply for turn in turns_of("code", 600)}
    assert len(snippets) == 10
    for snippet in snippets:
        exec(snippet.removeprefix("```python\n").removesuffix("```"), {})
    assert "Hello, world!" in capsys.readouterr().out


# --- memory -----------------------------------------------------------------------------------------------------


def kinds() -> dict[str, Kind]:
    """Every kind of fact by its reply where it was never told."""
    found = {}
    for name in ("name", "place", "pet", "favourite", "likes", "relative", "job", "age"):
        for seed in range(200):
            kind = kind_named(name, random.Random(seed))
            found[kind.unknown] = kind
    return found


def recalling(form: str) -> re.Pattern[str]:
    """`form` with its value as a group; "You are 40 years old." gives no name."""
    value = r"(?P<v>(?!\d+ years)[^.!?]+)" if form == "You are {v}." else "(?P<v>[^.!?]+)"
    return re.compile(re.escape(form).replace(r"\{v\}", value).replace(r"\ a\ ", r"\ an?\ "))


@pytest.fixture(scope="module")
def answers() -> list[re.Pattern[str]]:
    return [recalling(form) for kind in kinds().values() for form in kind.answer]


def test_what_is_recalled_was_told(
    drawn: list[list[Message]], long: list[list[Message]], answers: list[re.Pattern[str]]
) -> None:
    recalled = 0
    for messages in drawn + long:
        heard = ""
        for message in messages:
            if message["role"] == "user":
                heard += message["content"].lower() + "\n"
            elif message["role"] == "assistant" and message["content"].startswith("You"):
                for answer in answers:
                    for match in answer.finditer(message["content"]):
                        recalled += 1
                        assert match["v"].lower() in heard, (match, messages)
    assert recalled > 1000


def test_a_correction_holds() -> None:
    corrected = 0
    for fragment in fragments("memory", 4000):
        name = None
        for turn in fragment.turns:
            fixed = re.match(r"Thank you, (\w+)\. I'll remember it\.", turn.reply)
            if fixed:
                name = fixed[1]
            elif name and (asked := re.search(r"(?:Your name is|You are) ([A-Z]\w*)\.", turn.reply)):
                corrected += 1
                assert asked[1] == name, fragment
    assert corrected > 50


def test_what_was_told_is_never_denied(drawn: list[list[Message]], long: list[list[Message]]) -> None:
    known = kinds()
    evidence = {
        unknown: [recalling(form) for form in (*kind.answer, kind.fixed)]
        + ([recalling("Nice to meet you, {v}!")] if "your name" in unknown else [])
        for unknown, kind in known.items()
    }
    denied = 0
    for messages in drawn + long:
        replies = [message["content"] for message in messages if message["role"] == "assistant"]
        for at, reply in enumerate(replies):
            if reply in known:
                denied += 1
                for pattern in evidence[reply]:
                    assert not any(pattern.match(before) for before in replies[:at]), messages
            elif reply.startswith("Nothing yet."):
                assert at == 0, messages
    assert denied > 50
