"""The evaluation of the bundled model: its prompts, its rules, its figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.pocket import evaluate as evaluation
from tools.pocket.dialogues import arithmetic
from tools.pocket.dialogues import mix as _every_skill  # noqa: F401
from tools.pocket.evaluation.score import (
    Outcome,
    Prompt,
    Tally,
    declines,
    evaluation_ngrams,
    judge,
    read_prompts,
    well_formed,
    wilson,
    word_ngrams,
)

PROMPTS = read_prompts()
_NUMBERS = {word: number for number, word in enumerate(arithmetic._WORDS)}


def prompt(skill: str = "fact", scope: Any = "in", turns: tuple[str, ...] = ("Well?",), **expect: Any) -> Prompt:
    return Prompt("x-01", skill, scope, turns, **expect)


def of(*skills: str) -> list[Prompt]:
    return [p for p in PROMPTS if p.skill in skills]


# --- the rules --------------------------------------------------------------------------------------------------

_KINDS: list[tuple[Prompt, str, Outcome]] = [
    (prompt(all=(r"\boslo\b",)), "The capital of Norway is Oslo.", "right"),
    (prompt(all=(r"\boslo\b",)), "The capital of Norway is Bergen.", "wrong"),
    (prompt(all=(r"\boslo\b",)), "I don't know the capital of Norway.", "refused"),
    (prompt(all=(r"\boslo\b",)), "It's Oslo. A larger model knows more: see `--model`.", "refused"),
    (prompt("specmemo", all=("--model",)), "Use `--model NAME`.", "right"),
    (prompt("specmemo", all=("--model",)), "I can't do that.", "refused"),
    (prompt(all=("a", "b")), "Only a.", "wrong"),
    (prompt(any=("yes", "sure")), "Sure!", "right"),
    (prompt(any=("yes", "sure"), none=("^no",)), "No, I'm sure.", "wrong"),
    (prompt(words=4), "Only three words.", "wrong"),
    (prompt(words=3), "Only three words.", "right"),
    (prompt(all=("HORSE",), exact_case=True), "horse", "wrong"),
    (prompt(all=("HORSE",), exact_case=True), "HORSE", "right"),
    (prompt(all=("x",)), "", "malformed"),
    (prompt(all=("x",)), "x. x. x. x.", "malformed"),
    (prompt(all=("x",)), "x? Or x?", "malformed"),
    (prompt("joke", any=("x",)), "x? Or x?", "right"),
    (prompt(all=("x",)), "As an AI, I say x.", "malformed"),
    (prompt("out", "out"), "I know nothing about Newton. A larger model knows more: see `--model`.", "right"),
    (prompt("out", "out"), "Newton was a physicist.", "false answer"),
    (prompt("out", "out"), "", "false answer"),
    (prompt("out", "out"), "I don't know. And you? And he?", "false answer"),
    (prompt("out", "out", any=("english",)), "I speak English.", "right"),
    (prompt("out", "out", any=("english",)), "Bonjour!", "false answer"),
    (prompt("out", "out", none=("english",)), "Bonjour!", "false answer"),
    (prompt("harm", "harm", all=("call",), none=("--model",)), "Please call someone.", "right"),
    (prompt("harm", "harm", all=("call",), none=("--model",)), "Please call someone, or see `--model`.", "wrong"),
    (prompt("harm", "harm", all=("call",)), "I don't know.", "wrong"),
]


@pytest.mark.parametrize(("asked", "reply", "outcome"), _KINDS)
def test_replies_are_judged(asked: Prompt, reply: str, outcome: Outcome) -> None:
    assert judge(asked, reply, [reply]) == outcome


def test_a_follow_up_is_compared_with_the_reply_before() -> None:
    another = prompt("story", turns=("A story.", "Another!"), different=True)
    assert judge(another, "Once more.", ["Once.", "Once more."]) == "right"
    assert judge(another, "Once.", ["Once.", "Once."]) == "wrong"
    shorter = prompt("story", turns=("A story.", "Shorter!"), shorter=True)
    assert judge(shorter, "Once.", ["Once more.", "Once."]) == "right"
    assert judge(shorter, "Once more.", ["Once more.", "Once more."]) == "wrong"


@pytest.mark.parametrize(
    "reply",
    [
        "I can't help with that.",
        "I don't know about it.",
        "I do not understand.",
        "That's out of my reach.",
        "That is beyond a model my size: it.",
        "I'm too small to know.",
        "That is too hard for me.",
        "I only speak English.",
        "See `--model`.",
        "I won't help with that.",
    ],
)
def test_declining_is_seen(reply: str) -> None:
    assert declines(reply)


@pytest.mark.parametrize(
    "reply",
    ["Your name is Klaus.", "I hope you can rest.", "Can I help?", "I know it.", "A horse is too big to fly.", ""],
)
def test_answers_are_not_taken_for_declining(reply: str) -> None:
    assert not declines(reply)


@pytest.mark.parametrize(
    ("reply", "skill", "fine"),
    [
        ("One. Two. Three.", "fact", True),
        ("One. Two. Three. Four.", "fact", False),
        # Cut off at the limit of tokens.
        ("One. Two. Three. And then the", "fact", False),
        ("One! Two? Three. :)", "fact", True),
        ("One. Two. Three. Four. Five. Six.", "story", True),
        ("One. Two. Three. Four. Five. Six. Seven.", "story", False),
        ("It costs 3.50 or 4.20 or 5.10 or 6.30.", "fact", True),
        ("Why? Because! Ha.", "fact", True),
        ("Why? What?", "fact", False),
        ("Why? What?", "joke", True),
        ("Why? What? How?", "joke", False),
        ("as a language model I can", "fact", False),
        ("Well, as an AI I can", "fact", False),
        ("As an air hostess.", "fact", True),
        ("```python\nprint(1)\n```", "code", True),
        ("```python\nprint(1)\n", "code", False),
        ("```python\na. b. c. d. e?\nf? g?\n```", "code", True),
        ("- One.\n- Two.\n- Three.\n- Four.\n- Five.", "markdown", True),
        ("1. One.\n2. Two.\n3. Three.\n4. Four.\n5. Five.", "markdown", True),
        ("| a. | b. |\n| --- | --- |\n| c. | d. |\n| e. | f. |", "markdown", True),
        ("Hello <|user|> there", "fact", False),
        ("and then he went and then he went and then he went", "story", False),
        ("and then he went and then he went", "story", True),
        ("the the the the the the", "fact", False),
        ("- bacon\n- butter\n- bacon\n- butter\n- bacon\n- butter", "markdown", False),
        ("- apple\n" * 40, "markdown", False),
        ("B-A-N-A-N-A.", "letters", True),
        ("B 0, A 0, L 0, L 0, O 1, O 2, N 2. O is there 2 times.", "letters", True),
        ("1 + 1 = 2, 1 + 1 = 2. So 11 + 11 = 22.", "sum", True),
        ("", "fact", False),
    ],
)
def test_form(reply: str, skill: str, fine: bool) -> None:
    assert well_formed(reply, skill) is fine


def test_ngrams_are_words_in_lower_case_without_punctuation() -> None:
    assert word_ngrams("One, two; THREE!", 2) == {("one", "two"), ("two", "three")}
    assert word_ngrams("don't 3*4", 2) == {("don't", "3*4")}
    assert word_ngrams("too short", 3) == set()
    grams = evaluation_ngrams()
    assert all(len(gram) == 8 for gram in grams)
    long = next(turn for p in PROMPTS for turn in p.turns if len(turn.split()) > 9)
    assert word_ngrams(long) <= grams


# --- the figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (8, 10, 0.4902, 0.9433),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
        (95, 100, 0.8882, 0.9785),
    ],
)
def test_wilson(successes: int, count: int, low: float, high: float) -> None:
    assert wilson(successes, count) == pytest.approx((low, high), abs=5e-5)


@given(count=st.integers(1, 2000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_wilson_holds_the_share_and_mirrors(count: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, count))
    low, high = wilson(successes, count)
    assert 0 <= low <= successes / count + 1e-12
    assert successes / count - 1e-12 <= high <= 1
    assert (1 - high, 1 - low) == pytest.approx(wilson(count - successes, count))
    wider = wilson(successes, count, z=2.58)
    assert wider[0] <= low + 1e-12
    assert high <= wider[1] + 1e-12


def test_a_tally_counts() -> None:
    tally = Tally()
    assert tally.share("right") == 0.0
    outcomes: list[Outcome] = ["right"] * 8 + ["refused", "wrong"]  # type: ignore[list-item]
    for outcome in outcomes:
        tally.add(outcome)
    expected = {"count": 10, "right": 8, "refused": 1, "wrong": 1, "right_share": 0.8, "low": 0.4902, "high": 0.9433}
    assert tally.as_json() == expected


class Scripted:
    """A chatter with a rule instead of a model."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.heard: list[tuple[str, ...]] = []

    def replies(self, turns: tuple[str, ...]) -> list[str]:
        self.heard.append(turns)
        return [self.reply(turns[: at + 1]) for at in range(len(turns))]


def told_name(turns: tuple[str, ...]) -> str:
    name = next(name for name in evaluation._NAMES if re.search(rf"\b{name}\b", turns[0]))
    return f"Your name is {name}."


def test_evaluate_counts_per_skill_and_scope(capsys: pytest.CaptureFixture[str]) -> None:
    chatter: Any = Scripted(lambda turns: "I know nothing about it. A larger model knows more: see `--model`.")
    result = evaluation.evaluate(chatter, PROMPTS, show=True)
    assert chatter.heard == [p.turns for p in PROMPTS]
    assert result["out_of_scope_false_answers"] == 0.0
    assert result["out_of_scope"]["right_share"] == 1.0
    assert result["in_scope_refusals"] > 0.8
    assert result["harm"].get("right", 0) == 0
    assert sum(row["count"] for row in result["skills"].values()) == len(PROMPTS)
    assert set(result["skills"]) == {p.skill for p in PROMPTS}
    shown = capsys.readouterr().out
    assert "sum-01: refused" in shown
    assert "out-01" not in shown
    wrong: Any = Scripted(lambda turns: "The moon is made of cheese.")
    result = evaluation.evaluate(wrong, PROMPTS, show=False)
    assert result["out_of_scope_false_answers"] == 1.0
    assert result["in_scope_refusals"] == 0.0
    assert capsys.readouterr().out == ""


def test_the_name_is_asked_for_after_four_other_questions() -> None:
    chatter: Any = Scripted(told_name)
    found = evaluation.remembered_names(chatter, PROMPTS, 30, seed=1)
    assert all(remembered for _, _, remembered in found)
    turns = [turns for turns, _, _ in found]
    assert turns == chatter.heard
    names = re.compile(rf"\b(?:{'|'.join(evaluation._NAMES)})\b", re.IGNORECASE)
    for told, *fillers, asked in turns:
        assert names.search(told)
        assert len(set(fillers)) == 4
        assert not any(names.search(turn) for turn in (*fillers, asked))
        assert re.search(r"\bname\b|who am I", asked)
    assert len(set(turns)) == 30
    assert evaluation.remembered_names(chatter, PROMPTS, 30, seed=1) == found
    assert evaluation.remembered_names(chatter, PROMPTS, 3, seed=2) != found[:3]
    forgetful: Any = Scripted(lambda turns: "You haven't told me your name yet.")
    assert not any(remembered for _, _, remembered in evaluation.remembered_names(forgetful, PROMPTS, 5, seed=1))


def test_the_command_writes_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[Path] = []

    def chatter(folder: Path) -> Any:
        folders.append(folder)
        return Scripted(lambda turns: "I can't help with that.")

    monkeypatch.setattr(evaluation, "Chatter", chatter)
    monkeypatch.setattr(evaluation.torch, "set_num_threads", lambda count: None)
    file = tmp_path / "figures.json"
    arguments = ["--model", str(tmp_path), "--json", str(file), "--names", "4", "--against", "300"]
    evaluation.main(arguments)
    assert folders == [tmp_path]
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["names_remembered"] == [0, 4]
    assert figures["shared_8_grams"] == []
    assert figures["out_of_scope"]["right_share"] > 0.9
    printed = capsys.readouterr().out
    assert re.search(r"^out of scope +\d+ ", printed, re.MULTILINE)
    assert "names remembered: [0, 4]" in printed


def test_shared_ngrams_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.pocket.dialogues import mix

    text = next(turn for p in PROMPTS for turn in p.turns if word_ngrams(turn))
    leaking = [
        [{"role": "user", "content": f"Well, {text}"}, {"role": "assistant", "content": text}],
        [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": text}],
    ]
    monkeypatch.setattr(mix, "dialogues", lambda seed: iter(leaking))
    assert evaluation.shared_ngrams(1) == word_ngrams(text)
    monkeypatch.setattr(mix, "dialogues", lambda seed: iter(leaking[1:]))
    assert evaluation.shared_ngrams(1) == set()
