"""The dialogue generator: what it says is right, well formed, true of the program, and free of the evaluation."""

from __future__ import annotations

import ast
import dataclasses
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import find_alias
from specmemo_chat.repl.commands.registry import ALIASES, COMMANDS
from specmemo_chat.repl.commands.tuning import SETTINGS
from tests import command_line
from tools.pocket import dialogues as package
from tools.pocket.dialogues import arithmetic, entities, tables
from tools.pocket.dialogues.base import SKILLS, Fragment, Turn, held_out, one, skill, train_pool
from tools.pocket.dialogues.memory_facts import put_in
from tools.pocket.dialogues.mix import Message, Mixer, careless, dialogues
from tools.pocket.evaluate import _NAMES as EVALUATED_NAMES
from tools.pocket.evaluation.score import declines, evaluation_ngrams, read_prompts, well_formed, word_ngrams
from tools.pocket.tests.draws import fragments, said, turns_of

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)

_NUMBERS = {word: number for number, word in enumerate(arithmetic._WORDS)}
_EQUATION = re.compile(r"(?<![\w.^-])(-?\d+(?: [+x-] \d+)+) = (-?\d+)\b")


# --- form -------------------------------------------------------------------------------------------------------


def test_user_and_assistant_take_turns_and_nobody_says_nothing(drawn: list[list[Message]]) -> None:
    systems = 0
    for messages in drawn:
        roles = [message["role"] for message in messages]
        systems += roles[0] == "system"
        rest = roles[roles[0] == "system" :]
        assert rest
        assert rest == ["user", "assistant"] * (len(rest) // 2)
        for message in messages:
            assert message["content"] == message["content"].strip() != ""
    assert 0 < systems < 150


def test_long_dialogues_have_twelve_turns_or_more(long: list[list[Message]]) -> None:
    assert min(sum(message["role"] == "user" for message in messages) for messages in long) >= 12


def test_the_same_seed_draws_the_same_dialogues(drawn: list[list[Message]]) -> None:
    assert list(islice(dialogues(7), 200)) == drawn[:200]
    assert list(islice(dialogues(8), 20)) != drawn[:20]
    assert Mixer(5).dialogue(long=True) == Mixer(5).dialogue(long=True)


@pytest.mark.parametrize("name", SKILLS)
def test_replies_are_well_formed(name: str) -> None:
    for turn in turns_of(name):
        # A letter that is there thrice in a row is counted thrice: that is no loop.
        reply = re.sub(r"(\b[A-Z] \d+, )\1+", r"\1", turn.reply) if name == "count_letters" else turn.reply
        assert well_formed(reply, name), turn
        assert turn.user == turn.user.strip() != "", turn
        assert not re.search(r"\bas an? (?:AI|language model)\b", turn.reply, re.IGNORECASE), turn
        # No slot is left open (code has braces of its own).
        assert not re.search(r"\{\w\}", turn.user + turn.reply), turn
        if name not in ("code", "repeat"):
            assert turn.reply[0].isupper() or not turn.reply[0].isalpha() or turn.reply.startswith("specmemo"), turn


def test_articles_fit_their_nouns() -> None:
    wrong = re.compile(r"\b[Aa] [aeio][a-z]+|\b[Aa]n [bcdfgjklmnpqrstvwxyz][a-z]+")
    for name in ("memory", "memory_unknown", "animal", "colour", "decline", "unit"):
        for turn in turns_of(name, 1500):
            assert not wrong.search(turn.reply), turn
    assert put_in("You work as a {v}.", "architect") == "You work as an architect."
    assert put_in("You work as a {v}.", "baker") == "You work as a baker."


def test_every_skill_is_drawn_and_only_those_that_may_stand_between_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    def counting(name: str, inner: Any) -> Any:
        def sample(rng: random.Random) -> Fragment:
            seen[name] += 1
            return inner(rng)

        return sample

    for name, entry in list(SKILLS.items()):
        monkeypatch.setitem(SKILLS, name, dataclasses.replace(entry, sample=counting(name, entry.sample)))
    for _ in islice(dialogues(1), 1500):
        pass
    assert set(seen) == set(SKILLS)
    # The shares are weights. (Of the memories, a dialogue has but one.)
    shares = {entry.name: entry.share for entry in SKILLS.values() if not entry.name.startswith("memory")}
    for name, share in shares.items():
        assert all(seen[name] > seen[other] for other in shares if share > 3 * shares[other]), (name, seen)
    assert {entry.name for entry in SKILLS.values() if not entry.filler} == {"memory", "memory_unknown", "humane"}


def test_a_skill_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'joke' is registered twice"):
        skill("joke", 1.0)(SKILLS["joke"].sample)
    assert one(("a", "b"), Turn("c", "d")).turns == (Turn("a", "b"), Turn("c", "d"))


@quick
@given(seed=seeds, name=st.sampled_from(sorted(SKILLS)))
def test_a_careless_user_still_gives_the_words_that_the_reply_needs(seed: int, name: str) -> None:
    rng = random.Random(seed)
    fragment = SKILLS[name].sample(rng)
    replies = " ".join(turn.reply for turn in fragment.turns)
    needed = {word.lower() for word in re.findall(r"\w+", replies)}
    for turn in fragment.turns:
        typed = careless(rng, turn, replies)
        assert typed.reply == turn.reply
        assert typed.user == typed.user.strip() != ""
        words = set(re.findall(r"\w+", turn.user.replace("'", "").lower()))
        assert words & needed <= set(re.findall(r"\w+", typed.user.replace("'", "").lower())), (turn, typed)


# --- nothing of the evaluation ----------------------------------------------------------------------------------


def test_no_user_message_shares_eight_words_with_the_evaluation(
    drawn: list[list[Message]], long: list[list[Message]]
) -> None:
    forbidden = evaluation_ngrams()
    assert len(forbidden) > 100
    for text in said(drawn + long, "user"):
        assert not word_ngrams(text) & forbidden, text


def test_a_dialogue_with_words_of_the_evaluation_is_drawn_anew() -> None:
    prompt = next(p.turns[0] for p in read_prompts() if word_ngrams(p.turns[0]))
    talk = (Turn(prompt, "Oh."), Turn("Harmless.", "Oh."))
    mixer = Mixer(2, talk, small_talk_share=0.5)
    texts = [text for _ in range(100) for text in said([mixer.dialogue()], "user")]
    assert "Harmless." in texts
    assert prompt not in texts


@quick
@given(seed=seeds)
def test_drawn_entities_are_never_held_out(seed: int) -> None:
    rng = random.Random(seed)
    for draw in (entities.first_name, entities.place, entities.pet_name):
        for _ in range(5):
            assert not held_out(draw(rng))


def test_one_entity_in_eight_is_held_out() -> None:
    words = [f"{a}+{b}" for a in range(10, 100) for b in range(10, 100)]
    kept = train_pool(words)
    assert 0.11 < 1 - len(kept) / len(words) < 0.14
    assert held_out(" KLAUS ") == held_out("klaus") is True
    assert train_pool(["Ana", "Klaus", "Ana", "Ben"]) == ["Ana", "Ben"]


# Famous people, heroes and works that are declined, and a role that an injection names: never told of oneself.
_PUBLIC = re.compile(
    r"LeBron James|James (?:Bond|Joyce)|Bob (?:Dylan|Marley)|yourself Bob|than Bob|George (?:Orwell|Washington)|"
    r"Isaac Newton|Robin Hood|Mona Lisa|Martin Luther King|Lionel Messi|Kim jeste"
)


def test_names_places_and_pets_of_the_evaluation_are_not_told(
    drawn: list[list[Message]], long: list[list[Message]]
) -> None:
    wanted = {name for name in EVALUATED_NAMES if held_out(name)} | evaluated_entities()
    assert len(wanted) > 50
    # Facts of the table of capitals are facts; as a home they are not told, see below.
    wanted -= set(tables.CAPITALS.values())
    texts = [*said(drawn + long, "assistant")]
    # Before its typing errors: "Greta answer" is praise.
    texts += [turn.user for name in SKILLS for turn in turns_of(name, 1500)]
    for text in texts:
        assert not wanted.intersection(re.findall(r"[A-Za-z]+", _PUBLIC.sub("", text))), text


def evaluated_entities() -> set[str]:
    """What users of the memory prompts call themselves, their homes and pets."""
    found = set()
    for prompt in read_prompts():
        if prompt.skill == "memory":
            for rule in prompt.all:
                word = rule.removeprefix(r"\b").removesuffix(r"\b")
                told = [m[0] for turn in prompt.turns for m in re.finditer(rf"\b{word}\b", turn, re.IGNORECASE)]
                if told and told[0][0].isupper():
                    found.add(told[0])
    return found


def test_capitals_of_the_table_are_told_as_a_home_only_when_not_held_out() -> None:
    for turn in turns_of("memory", 3000):
        home = re.search(r"you live in (.+?)\.", turn.reply)
        if home:
            assert not held_out(home[1]), turn


def worked(text: str) -> Iterator[tuple[int, str, int]]:
    """The equations of two operands that `text` works out."""
    for left, _ in _EQUATION.findall(text):
        parts = left.split()
        if len(parts) == 3:
            yield int(parts[0]), parts[1], int(parts[2])


def test_operand_pairs_of_the_evaluation_are_not_worked(drawn: list[list[Message]], long: list[list[Message]]) -> None:
    samples = [*said(drawn + long, "assistant")]
    samples += [turn.reply for name in ("sum", "difference", "word_problem") for turn in turns_of(name, 4000)]
    count = 0
    for reply in samples:
        for a, sign, b in worked(reply):
            table = (a < 10 and b < 10) or sign == "x" or (sign == "-" and b < 10 and 0 <= a - b < 10)
            # Columns with a borrow have a first operand up to 18: those are in the table, too.
            if not table:
                count += 1
                assert not held_out(f"{a}{sign}{b}"), reply
    assert count > 5000


# --- true of the program ----------------------------------------------------------------------------------------


def texts_of_the_generator() -> list[str]:
    """Every string in the generator's modules except their docstrings."""
    texts: list[str] = []
    for file in sorted(Path(package.__path__[0]).glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr)
        }
        texts += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
        ]
    return texts


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags that `specmemo --help` ("") and each `specmemo COMMAND --help` show."""
    return command_line.flags()


def test_every_command_that_the_dialogues_name_exists(flags: dict[str, set[str]]) -> None:
    named, named_flags = set(), set()
    for text in texts_of_the_generator():
        for span in re.findall(r"`specmemo ([^`]*)`", text):
            words = span.split()
            command = command_line.command_of(words, flags)
            if not words[0].startswith("-"):
                named.add(command or words[0])
            named_flags |= {(command, word) for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert {"chat", "probe", "plan", "batch"} <= named
    assert named <= set(flags), named - set(flags)
    assert {("chat", "--model"), ("chat", "--gpus"), ("", "--version"), ("batch", "-o")} <= named_flags
    absent = {(command, flag) for command, flag in named_flags if command in flags and flag not in flags[command]}
    assert not absent


def test_every_flag_that_the_dialogues_name_exists(flags: dict[str, set[str]]) -> None:
    named = {
        flag for text in texts_of_the_generator() for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", text)
    }
    named |= {flag for text in texts_of_the_generator() for flag in re.findall(r"`(-[a-z])\b[^`]*`", text)}
    assert {"--model", "--max-memory", "--ctx-size", "--seed", "-p", "-n"} <= named
    assert not named - set.union(*flags.values())


def test_every_slash_command_that_the_dialogues_name_exists() -> None:
    texts = texts_of_the_generator()
    named = {name for text in texts for name in re.findall(r"(?<![\w/<.])/([a-z]+)\b(?!/)", text)}
    assert {"bye", "clear", "undo", "regen", "set", "system"} <= named
    assert named <= set(COMMANDS) | set(ALIASES)
    settings_named = {name for text in texts for name in re.findall(r"`/set (\w+)", text)}
    assert settings_named
    assert settings_named <= set(SETTINGS)


def test_every_model_that_the_dialogues_name_is_in_the_catalog() -> None:
    named = {name for text in texts_of_the_generator() for name in re.findall(r"chat --model ([a-z][\w.-]*)", text)}
    assert named
    assert all(find_alias(name) is not None for name in named)


def test_declining_replies_decline() -> None:
    # Instead of declining: who it stays, and a capital that it knows beside one that it does not.
    instead = re.compile(r"I stay Pocket|The capital of .* is [A-Z]")
    for fragment in fragments("decline", 4000):
        reply = fragment.turns[0].reply
        assert declines(reply) or instead.match(reply), fragment


def test_someone_in_danger_is_not_sent_to_a_larger_model() -> None:
    for turn in turns_of("humane", 2000):
        assert "--model" not in turn.reply, turn
        assert not re.search(r"I don't know|larger model", turn.reply), turn


def test_what_a_colon_announces_may_stand_below_a_blank_line(drawn: list[list[Message]]) -> None:
    """As text from a pipe does; the reply has no part in it."""
    users = [message["content"] for messages in drawn for message in messages if message["role"] == "user"]
    piped = [text for text in users if ":\n\n" in text]
    assert piped
    assert sum(": " in text for text in users) > len(piped)
    assert all(text.count("\n\n") == 1 and not text.endswith("\n") for text in piped)
