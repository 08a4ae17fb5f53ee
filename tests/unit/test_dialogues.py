"""The dialogue generator: what it says is right, well formed, true of the program, and free of the evaluation."""

from __future__ import annotations

import ast
import dataclasses
import gzip
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import find_alias
from specmemo_chat.cli import app as cli
from specmemo_chat.cli.commands import ALIASES, COMMANDS
from specmemo_chat.train import dialogues as package
from specmemo_chat.train.dialogues import arithmetic, entities, letters, tables
from specmemo_chat.train.dialogues.base import SKILLS, Fragment, Turn, held_out, one, skill, train_pool
from specmemo_chat.train.dialogues.memory_facts import Kind, kind_named, put_in
from specmemo_chat.train.dialogues.mix import Message, Mixer, careless, dialogues
from specmemo_chat.train.dialogues.small_talk import claims_a_life, read_small_talk
from specmemo_chat.train.evaluate import _NAMES as EVALUATED_NAMES
from specmemo_chat.train.evaluation.score import declines, evaluation_ngrams, read_prompts, well_formed, word_ngrams

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32)

_NUMBERS = {word: number for number, word in enumerate(arithmetic._WORDS)}
_EQUATION = re.compile(r"(?<![\w.^-])(-?\d+(?: [+x-] \d+)+) = (-?\d+)\b")


@pytest.fixture(scope="module")
def drawn() -> list[list[Message]]:
    """1,500 dialogues."""
    return list(islice(dialogues(7), 1500))


@pytest.fixture(scope="module")
def long() -> list[list[Message]]:
    mixer = Mixer(3)
    return [mixer.dialogue(long=True) for _ in range(350)]


def fragments(name: str, count: int = 800) -> Iterator[Fragment]:
    rng = random.Random(name)
    return (SKILLS[name].sample(rng) for _ in range(count))


def turns_of(name: str, count: int = 800) -> Iterator[Turn]:
    return (turn for fragment in fragments(name, count) for turn in fragment.turns)


def said(found: list[list[Message]], role: str) -> Iterator[str]:
    return (message["content"] for messages in found for message in messages if message["role"] == role)


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


# --- true of the program ----------------------------------------------------------------------------------------

# CONTRACT.md has these and a later version brings them. Remove an entry when it is there.
_LATER_COMMANDS = {
    "bench",
    "train-draft",
    "models ls",
    "sessions ls",
    "sessions export",
    "config show",
    "config path",
    "doctor",
}
_LATER_FLAGS = {"--continue"}
_LATER_SLASH = {"save"}
_CONTRACT_COMMANDS = (
    *("chat", "probe", "plan", "batch", "bench", "train-draft", "doctor", "config path", "config show"),
    *("models ls", "models pull", "models rm", "sessions ls", "sessions show", "sessions export", "sessions rm"),
)
_CONTRACT_SLASH = (
    "help set show system model draft memory context stats compare regen undo edit continue fork sessions save clear "
    "read copy editor bye ? exit quit"
).split()


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
    root = typer.main.get_command(cli.app)
    commands: dict[str, Any] = {"": root, **getattr(root, "commands", {})}
    return {
        name: {flag for option in command.params if not getattr(option, "hidden", False) for flag in option.opts}
        for name, command in commands.items()
    }


def test_every_command_that_the_dialogues_name_exists_or_is_in_the_contract(flags: dict[str, set[str]]) -> None:
    named, named_flags = set(), set()
    for text in texts_of_the_generator():
        for span in re.findall(r"`specmemo ([^`]*)`", text):
            words = span.split()
            command = words[0] if not words[0].startswith("-") else ""
            if command:
                named.add(" ".join(words[:2]) if command in ("models", "sessions", "config") else command)
            named_flags |= {(command, word) for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert {"chat", "probe", "plan", "batch"} <= named
    missing = named - set(flags)
    assert missing == _LATER_COMMANDS
    assert missing <= set(_CONTRACT_COMMANDS)
    assert {("chat", "--model"), ("chat", "--gpus"), ("", "--version"), ("batch", "-o")} <= named_flags
    absent = {(command, flag) for command, flag in named_flags if command in flags and flag not in flags[command]}
    assert absent == {("chat", flag) for flag in _LATER_FLAGS}


def test_every_flag_that_the_dialogues_name_exists(flags: dict[str, set[str]]) -> None:
    named = {
        flag for text in texts_of_the_generator() for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", text)
    }
    named |= {flag for text in texts_of_the_generator() for flag in re.findall(r"`(-[a-z])\b[^`]*`", text)}
    assert {"--model", "--max-memory", "--ctx-size", "--seed", "-p", "-n"} <= named
    assert named - set.union(*flags.values()) == _LATER_FLAGS


def test_every_slash_command_that_the_dialogues_name_exists_or_is_in_the_contract() -> None:
    texts = texts_of_the_generator()
    named = {name for text in texts for name in re.findall(r"(?<![\w/<.])/([a-z]+)\b(?!/)", text)}
    assert {"bye", "clear", "undo", "regen", "set", "system"} <= named
    missing = named - set(COMMANDS) - set(ALIASES)
    assert missing == _LATER_SLASH
    assert missing <= set(_CONTRACT_SLASH)
    settings_named = {name for text in texts for name in re.findall(r"`/set (\w+)", text)}
    assert settings_named
    assert settings_named <= set(COMMANDS["set"].values())


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


# --- small talk -------------------------------------------------------------------------------------------------


def test_replies_that_claim_a_human_life_are_found() -> None:
    for reply in ("I have two dogs.", "My wife likes it.", "Me too!", "We went there, it was fun.", "I'm a nurse."):
        assert claims_a_life(reply), reply
    for reply in ("That sounds lovely!", "I'm glad to hear it.", "I hope it gets better.", "What do you like?"):
        assert not claims_a_life(reply), reply


def test_small_talk_keeps_short_exchanges_without_a_life(tmp_path: Path) -> None:
    def exchange(user: str, reply: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]

    kept = ("I bake bread.", "That sounds lovely! What kind?")
    lines = [
        [*exchange(*kept), *exchange("I run.", "I have a dog.")],
        exchange(*kept),
        exchange("x" * 161, "That sounds lovely!"),
        exchange("Hello.", "What? And why?"),
        exchange("Hello.", "One. Two. Three. Four times."),
        exchange("Hello.", "Ça va très bien, oui."),
        exchange("Hello.", "Hi."),
        [{"role": "assistant", "content": "Hello."}, {"role": "assistant", "content": "That sounds lovely!"}],
    ]
    file = tmp_path / "talk.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps({"messages": line}) for line in lines).encode()))
    talk = read_small_talk(file)
    assert talk.turns == (Turn(*kept),)
    assert (talk.source, talk.dialogues) == ("talk.jsonl.gz", len(lines))
    assert talk.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_small_talk_takes_its_share() -> None:
    talk = tuple(Turn(f"small talk {number}", "Oh, really.") for number in range(50))
    mixer = Mixer(4, talk, small_talk_share=0.2)
    texts = [text for _ in range(400) for text in said([mixer.dialogue()], "user")]
    share = sum("small talk" in text.lower() for text in texts) / len(texts)
    assert 0.08 < share < 0.25
    assert not any("small talk" in text for text in said([Mixer(4).dialogue()], "user"))
