"""Parts of the REPL without a terminal: attachments, the words of /model, bars, completion, the banner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.errors import UsageError
from specmemo_chat.host.client import ShownTurn
from specmemo_chat.memory.contract import Plan
from specmemo_chat.memory.request import PlanRequest
from specmemo_chat.profiles import match_profile
from specmemo_chat.repl import advice, switch
from specmemo_chat.repl.attachments import Attachment, compose, fenced, gist, read_text
from specmemo_chat.repl.commands import tuning
from specmemo_chat.repl.commands.registry import COMMANDS, UnknownCommandError, find
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup import planning
from specmemo_chat.setup.flags import ModelChoice
from specmemo_chat.setup.planning import PlanContext
from specmemo_chat.sizes import GIB, counted
from specmemo_chat.terminal.gauge import gauge
from tests.models import tiny_plan


def test_a_file_goes_along_in_fences_longer_than_its_own() -> None:
    attachment = Attachment("notes.md", "one\n````\ntwo\n````\n", 7)
    assert attachment.block == "notes.md:\n`````\none\n````\ntwo\n````\n`````"
    message = compose("What is\nthis?", [attachment, Attachment("b.txt", "x", 1)])
    assert message.endswith("\n\nWhat is\nthis?")
    assert gist(message) == "What is this? (+ notes.md, b.txt)"
    assert gist("plain ```code```") == "plain ```code```"
    assert fenced("a", "x") == "a:\n```\nx\n```"


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    for name, data, message in [
        ("binary", b"\x00\x01", "is no text"),
        ("latin", "grün".encode("latin1"), "not UTF-8: byte 0xfc at offset 2"),
        ("empty", b" \n", "is empty"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError, match=message):
            read_text(str(tmp_path / name))
    with pytest.raises(UsageError, match="is a folder"):
        read_text(str(tmp_path))
    with pytest.raises(UsageError, match="there is no file"):
        read_text(str(tmp_path / "nothing"))
    (tmp_path / "good").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_text(str(tmp_path / "good")) == ("good", "one\ntwo")


def test_the_words_of_model() -> None:
    now = ModelChoice(
        model="a", draft="owner/head", max_memory="6GiB", chat_template="none", trust_remote_code=True, ctx_size=512
    )
    other = switch.parse("qwen3-1.7b --dtype bf16 --ctx=1024", now)
    # What belongs to the old model does not go along; the memory's cap does.
    assert other == ModelChoice(model="qwen3-1.7b", max_memory="6GiB", dtype="bf16", ctx_size=1024)
    assert switch.parse("--max-memory 1GiB", now) == replace(now, max_memory="1GiB")
    assert switch.parse("b --draft none --trust-remote-code", now).trust_remote_code
    assert switch.parse('"my model"', now).model == "my model"
    for words, message in [
        ("b --ctx-size many", "number from 16"),
        ("b --dtype fp7", "no precision"),
        ("b --what", "does not know"),
        ("b --dtype", "needs a value"),
        ('"b', "cannot read"),
    ]:
        with pytest.raises(UsageError, match=message):
            switch.parse(words, now)


def test_gauges_never_round_to_nothing_or_all() -> None:
    assert gauge(0, 10, 8) == "░░░░░░░░"
    assert gauge(1, 1000, 8) == "█░░░░░░░"
    assert gauge(999, 1000, 8) == "███████░"
    assert gauge(20, 10, 8) == "████████"
    assert gauge(1, 0, 8) == "░░░░░░░░"


def test_every_command_of_the_contract_has_one_line_of_help() -> None:
    names = (
        "help set show system model draft memory context stats compare regen undo edit continue fork sessions save "
        "clear read copy editor bye history"
    )
    assert sorted(COMMANDS) == sorted(names.split())
    for entry in COMMANDS.values():
        assert entry.usage.startswith(f"/{entry.name}")
        assert entry.help
        assert "\n" not in entry.help
        assert len(entry.help) <= 100
    for typed, name in [("/?", "help"), ("/exit", "bye"), ("/quit", "bye"), ("/regen  7 ", "regen")]:
        assert find(typed)[0].name == name
    assert find("/edit 2 a\nb")[1] == "2 a\nb"
    with pytest.raises(UsageError) as raised:
        find("/contnue")
    assert "/continue" in (raised.value.remedy or "")


def device(memory: int, kind: str = "cuda") -> DeviceInfo:
    return DeviceInfo(0, kind, "A Card", "", memory, memory, memory, "1", (8, 0) if kind == "cuda" else None)  # type: ignore[arg-type]


def place(memory: int, kind: str = "cuda", *, offline: bool = False) -> PlanContext:
    here = device(memory, kind)
    profile, reason = match_profile(here, planning.own_profiles())
    return PlanContext(here, profile, reason, PlanRequest(), offline, False)


def plan_of(model: str) -> Plan:
    return replace(tiny_plan(), model=model, draft=None)


def test_the_next_step_is_computed_from_catalog_and_planner() -> None:
    # The smallest with a head on a processor, the largest on a card; always open, always fitting.
    step = advice.next_step(place(64 * GIB, "cpu"), plan_of("pocket"), "auto")
    assert step is not None
    assert step.startswith("/model qwen3-1.7b: no gate, fits, EAGLE-3 head known, ")
    larger = advice.next_step(place(24 * GIB), plan_of("pocket"), "auto")
    assert larger is not None
    name = larger.removeprefix("/model ").partition(":")[0]
    entry = load_catalog()[name]
    assert entry.draft
    assert not entry.gated
    assert place(24 * GIB).fits(entry)
    assert entry.spec().parameters > load_catalog()["qwen3-1.7b"].spec().parameters
    # A model whose head is known and not used: the head. Nothing fits, or nothing is here: no advice.
    known = advice.next_step(place(24 * GIB), plan_of("qwen3-1.7b"), "auto")
    assert known is not None
    assert known.startswith("/draft AngelSlim/Qwen3-1.7B_eagle3: its EAGLE-3 head")
    assert advice.next_step(place(24 * GIB), plan_of("qwen3-1.7b"), "ngram") is None
    assert advice.next_step(place(24 * GIB, offline=True), plan_of("pocket"), "auto") is None
    assert advice.next_step(place(GIB // 2), plan_of("pocket"), "auto") is None
    assert advice.next_step(place(24 * GIB), plan_of("some/model"), "auto") is None


def test_what_set_says_names_settings_and_not_flags() -> None:
    assert [tuning._name(typed) for typed in ("temp", "n", "s", "top-p", "nonsense")] == [
        "temperature", "max_new_tokens", "seed", "top_p", "nonsense",
    ]  # fmt: skip
    for typed, message, remedy in (
        ("temprature 1", "there is no setting 'temprature'", "/set temperature 1"),
        ("zzz 1", "there is no setting 'zzz'", "settings: temperature, "),
        ("top_k x", "top_k needs a whole number, not 'x'", "/set top_k 40"),
        ("top_p 7", "top_p is 7.0: allowed is more than 0, at most 1 (off)", "/set top_p 0.95"),
        ("stop ''", "a stop text is empty", '/set stop "END"'),
        ("speculate maybe", "speculate is on or off, not 'maybe'", "/set speculate on"),
    ):
        repl = SimpleNamespace(settings=GenerationSettings(), chosen=set())
        with pytest.raises(UsageError) as raised:
            COMMANDS["set"].action(repl, typed)  # type: ignore[arg-type]
        assert raised.value.message == message
        assert (raised.value.remedy or "").startswith(remedy)
        assert repl.settings == GenerationSettings()


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("/READ notes.md", "/read"),
        ("/Exit", "/exit"),
        ("/contnue", "/continue"),
        ("/cont", "/context or /continue"),
        ("/etc/hosts is what?", ""),
        ("/ what?", ""),
        ("/2 is a half?", ""),
    ],
)
def test_a_line_that_is_no_command_gets_what_was_meant_or_is_sent_by_enter(typed: str, near: str) -> None:
    with pytest.raises(UnknownCommandError) as raised:
        find(typed)
    remedy = raised.value.remedy or ""
    hint, _, rest = remedy.rpartition("? ")
    assert hint == (f"did you mean {near}" if near else "")
    assert rest == "Enter alone sends the line as a message; /help lists the commands"


def test_edit_without_a_number_asks_for_one() -> None:
    client = SimpleNamespace(turns=[ShownTurn("a", "b"), ShownTurn("c", "d")])
    with pytest.raises(UsageError, match="which message\\? 'x' is no turn's number") as raised:
        COMMANDS["edit"].action(SimpleNamespace(client=client), "x y")  # type: ignore[arg-type]
    assert raised.value.remedy == "/edit 2 x y, or /edit alone to change the last one"


def test_regen_at_temperature_0_says_how_to_get_another_text() -> None:
    said: list[str] = []
    seeds: list[int] = []
    repl = SimpleNamespace(
        settings=GenerationSettings(seed=5),
        last_end=None,
        client=SimpleNamespace(turns=[ShownTurn("a", "b")], regenerate=lambda settings: settings.seed),
        note=said.append,
        reply=seeds.append,
    )
    COMMANDS["regen"].action(repl, "")  # type: ignore[arg-type]
    assert seeds == [5]
    assert "/set temperature 0.8" in said[0]
    repl.settings = GenerationSettings(temperature=1.0, seed=5)
    COMMANDS["regen"].action(repl, "")  # type: ignore[arg-type]
    assert len(said) == 1
    assert seeds[1] != 5


def test_counts_are_said_as_people_say_them() -> None:
    assert [counted(number, "turn") for number in (0, 1, 2)] == ["0 turns", "1 turn", "2 turns"]
    assert counted(2, "reply", "replies") == "2 replies"
