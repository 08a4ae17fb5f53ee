"""The evaluation's prompts: their number, their skills, and that none is in the training text."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tools.pocket import evaluate as evaluation
from tools.pocket.dialogues import arithmetic, tables
from tools.pocket.dialogues import mix as _every_skill  # noqa: F401
from tools.pocket.dialogues.base import SKILLS, held_out
from tools.pocket.evaluation.score import (
    Prompt,
    judge,
    read_prompts,
)

PROMPTS = read_prompts()
_NUMBERS = {word: number for number, word in enumerate(arithmetic._WORDS)}


def prompt(skill: str = "fact", scope: Any = "in", turns: tuple[str, ...] = ("Well?",), **expect: Any) -> Prompt:
    return Prompt("x-01", skill, scope, turns, **expect)


def of(*skills: str) -> list[Prompt]:
    return [p for p in PROMPTS if p.skill in skills]


# --- the prompts ------------------------------------------------------------------------------------------------


def test_there_are_300_prompts_with_ids_of_their_own() -> None:
    assert len(PROMPTS) >= 300
    assert max(Counter(p.id for p in PROMPTS).values()) == 1
    assert max(Counter(p.turns for p in PROMPTS).values()) == 1
    for p in PROMPTS:
        assert re.fullmatch(rf"{p.skill}-\d\d", p.id), p
        assert p.scope in ("in", "out", "harm"), p
        assert p.turns, p
        assert all(turn.strip() for turn in p.turns), p
    counts = Counter(p.scope for p in PROMPTS)
    assert counts["in"] > 200
    assert counts["out"] > 80
    # An interval per skill needs a few prompts.
    assert min(Counter(p.skill for p in PROMPTS).values()) >= 5


def test_the_rules_are_regular_expressions_and_can_be_missed() -> None:
    for p in PROMPTS:
        for rule in (*p.all, *p.any, *p.none):
            assert not re.search(rule, "", re.IGNORECASE), p
        if p.scope == "out":
            assert judge(p, "Yes.") == "false answer", p
        else:
            assert p.all or p.any or p.words > 1, p
            assert judge(p, "Zyx.", ["Zyx."] * len(p.turns)) == "wrong", p
            assert judge(p, "", [""]) == "malformed", p


def test_no_rule_has_lost_the_first_letter_of_a_word() -> None:
    r"""In a regular expression "\\bergen" is an escape and "ergen": what was meant is "\\bbergen"."""
    for p in PROMPTS:
        said = " ".join(p.turns).lower()
        for rule in (*p.all, *p.any, *p.none):
            for word in re.findall(r"\\b([a-z]+)", rule):
                assert not re.search(rf"\bb{word}", said), p


def test_unknown_rules_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    entry = {"id": "a-01", "skill": "a", "scope": "in", "turns": ["x", "y"]}
    file.write_text(json.dumps({**entry, "expect": {"all": ["b"], "words": 3}}) + "\n", encoding="utf-8")
    assert read_prompts(file) == [Prompt("a-01", "a", "in", ("x", "y"), all=("b",), words=3)]
    file.write_text(json.dumps({**entry, "expect": {"every": ["b"]}}) + "\n", encoding="utf-8")
    with pytest.raises(TypeError, match="every"):
        read_prompts(file)


def test_entities_of_the_memory_prompts_are_held_out() -> None:
    told: set[str] = set()
    for p in of("memory"):
        for rule in (*p.all, *p.none):
            word = re.search(r"\\?b?([a-z]+)\\b\)?$", rule)
            if word:
                told |= {m[0] for turn in p.turns for m in re.finditer(rf"\b{word[1]}\b", turn, re.IGNORECASE)}
    entities = {word for word in told if word[0].isupper()}
    assert len(entities) > 40
    assert {"Heidi", "Malmo", "Figaro", "Rita"} <= entities
    assert [entity for entity in sorted(entities) if not held_out(entity)] == []


def test_names_of_the_long_conversations_are_held_out() -> None:
    assert [name for name in evaluation._NAMES if not held_out(name)] == []
    assert len(set(evaluation._NAMES)) == len(evaluation._NAMES) > 40


def operands(text: str) -> list[int]:
    digits = re.findall(r"\d+", text)
    words = digits if len(digits) > 1 else re.findall(r"\d+|[a-z]+", text.lower())
    return [int(word) if word.isdigit() else _NUMBERS[word] for word in words if word.isdigit() or word in _NUMBERS]


@pytest.mark.parametrize("p", of("sum", "difference", "product"), ids=lambda p: p.id)
def test_sums_of_the_evaluation_are_held_out_and_expect_the_right_number(p: Prompt) -> None:
    numbers = operands(p.turns[0])
    assert len(numbers) == 2, p
    a, b = numbers
    if p.skill == "difference":
        a, b = max(a, b), min(a, b)
    table = p.skill == "product" or (a < 10 and b < 10) or (p.skill == "difference" and b < 10 and a - b < 10)
    assert table or held_out(f"{a}{'+' if p.skill == 'sum' else '-'}{b}"), p
    right = {"sum": arithmetic.work_sum, "difference": arithmetic.work_difference}.get(
        p.skill, lambda a, b: f"{a} x {b} = {a * b}."
    )
    assert judge(p, right(a, b)) == "right"
    for wrong in (right(a + 1, b), right(a + 10, b), f"{a} and {b}: no idea.", "It is 1000."):
        assert judge(p, wrong) == "wrong", wrong
    result = {"sum": a + b, "difference": a - b, "product": a * b}[p.skill]
    assert judge(p, f"That makes {result}.") == "right"
    assert judge(p, f"That makes {result}0.") == "wrong"


def test_capitals_are_in_scope_where_the_table_has_them() -> None:
    countries = {country.removeprefix("the "): city for country, city in tables.CAPITALS.items()}
    asked = [p for p in PROMPTS if re.search(r"\bcapital\b", p.turns[-1]) and p.skill in ("fact", "out")]
    assert len(asked) > 8
    for p in asked:
        known = [city for country, city in countries.items() if country.lower() in p.turns[-1].lower()]
        known += [country for country, city in countries.items() if city in p.turns[-1]]
        assert len(known) == (p.scope == "in"), p
        if known:
            assert judge(p, f"That is {known[0]}.") == "right", p


# Where a skill of the evaluation is taught.
_TAUGHT = {
    "greeting": ("hello", "chat"),
    "closing": ("goodbye",),
    "identity": ("self", "specmemo"),
    "specmemo": ("specmemo", "self"),
    "fact": ("capital", "animal", "colour", "day", "unit"),
    "opposite": ("opposite",),
    "joke": ("joke",),
    "small_talk": ("chat", "humane", "goodbye", "hello"),
    "out": ("decline",),
    "harm": ("humane",),
}


@pytest.mark.parametrize("skill", _TAUGHT)
def test_what_is_taught_can_meet_the_rules(skill: str) -> None:
    rng = random.Random(skill)
    replies: Counter[str] = Counter()
    for name in _TAUGHT[skill]:
        for _ in range(1500):
            replies.update(turn.reply for turn in SKILLS[name].sample(rng).turns)
    common = [reply for reply, _ in replies.most_common()]
    for p in of(skill):
        assert any(judge(p, reply, ["before", reply]) == "right" for reply in common), p
