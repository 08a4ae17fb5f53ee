"""What helps is said in words that can be typed where it is read: on the command line, or in the REPL."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import specmemo_chat
from specmemo_chat import events
from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import Flag, ModelError, PlanError, UsageError, Words, error_with_exit_code
from specmemo_chat.host.link import AGAIN, SMALLER_CAP
from specmemo_chat.models.tokenizer import ChatTokenizer
from specmemo_chat.repl import switch
from specmemo_chat.repl.remedies import in_repl
from specmemo_chat.repl.saving import LIST
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup.draft import find_draft
from specmemo_chat.setup.flags import ModelChoice
from tests.models import random_model, target_of, tiny_plan
from tests.tiny import POCKET, TINY

PACKAGE = Path(specmemo_chat.__file__).parent
# Commands of their own, which no REPL runs.
NOT_IN_THE_REPL = (
    "distill", "bench", "batch", "reports", "cli", "setup/configuration", "setup/nodes", "repl/oneshot", "doctor",
    "terminal/plan_plot",
)  # fmt: skip


@pytest.mark.parametrize(
    ("remedies", "shell", "repl"),
    [
        ((Flag("--ctx-size", "4096"),), "--ctx-size 4096", "/model pocket --ctx-size 4096"),
        (("shorten it", Flag("--draft", "ngram")), "shorten it, or --draft ngram", "shorten it, or /draft ngram"),
        (("log in", Flag("--model", "b", "open")), "log in; open: --model b", "log in; open: /model b"),
        ((Flag("--model", "my model"),), "--model 'my model'", "/model 'my model'"),
        ((Flag("--repeat-penalty", "1.1"),), "--repeat-penalty 1.1", "/set repeat_penalty 1.1"),
        ((Flag("--offline", "1"),), "--offline 1", "start the chat anew with --offline 1"),
        ((LIST,), "`specmemo sessions ls` lists the stored ones", "/sessions lists the stored ones"),
        (
            (AGAIN, SMALLER_CAP),
            "run the command again; if the machine ran out of memory, with a smaller cap: --max-memory SIZE",
            "the conversation is kept: send the message again, and a new worker starts; if the machine ran out of "
            "memory, with a smaller cap: /model pocket --max-memory SIZE",
        ),
    ],
)  # fmt: skip
def test_a_remedy_is_said_where_it_is_read(remedies: tuple[Any, ...], shell: str, repl: str) -> None:
    error = UsageError("no", *remedies)
    assert error.remedy == shell
    assert in_repl(error.remedies, "pocket") == repl


def test_remedies_cross_from_a_worker_to_the_terminal() -> None:
    remedies = ("shorten it", Flag("--ctx-size", "64", "or so"), Words("a", "b"))
    failure = events.Failure("too long", remedies, 2)
    [back] = events.decode_all(json.loads(json.dumps(events.encode_all([failure]))))
    assert back == failure
    assert error_with_exit_code(2, "too long", *failure.remedies).remedies == remedies
    assert UsageError("no").remedy is None
    assert in_repl((), "pocket") is None


def test_a_refused_model_is_asked_for_again_with_all_its_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ModelChoice(model="a", draft="owner/head")

    def refused(typed: str, error: PlanError | ModelError) -> tuple[str | None, list[str]]:
        switch._refuse(error, switch.parse(typed, now), now)
        return in_repl(error.remedies, "a"), error.__notes__

    fix = Flag("--ctx-size", "512")
    assert refused("b", PlanError("no", fix)) == ("/model b --ctx-size 512", ["the chat goes on with a"])
    assert refused("b --max-memory 1GiB --ctx-size 9999", PlanError("no", fix)) == (
        "/model b --max-memory 1GiB --ctx-size 512", ["the chat goes on with a"],
    )  # fmt: skip
    assert refused("--gpus 2", PlanError("no", fix)) == (
        "/model a --gpus 2 --ctx-size 512", ["the chat goes on as before"],
    )  # fmt: skip
    other = Flag("--model", "c", "without a gate and fitting here")
    assert refused("b", ModelError("gated", "log in", other))[0] == "log in; without a gate and fitting here: /model c"
    # What such a line asks for is what was meant: the running model named again keeps its draft.
    assert switch.parse("a --gpus 2 --ctx-size 512", now) == replace(now, gpus=2, ctx_size=512)


def test_an_unknown_draft_gets_the_remedy_of_drafts() -> None:
    with pytest.raises(ModelError, match="'xyz'") as raised:
        find_draft("xyz", load_catalog()["qwen3-1.7b"].spec(), "bf16", offline=True)
    assert raised.value.remedy == "give auto, none, ngram, a folder with a head, or owner/name"


def test_a_prompt_that_is_too_long_names_the_context_that_holds_it() -> None:
    tokenizer, target = ChatTokenizer(str(POCKET)), target_of(random_model("llama", **TINY))
    engine = Engine(target, None, tiny_plan(context_tokens=64, growth_tokens=64))
    talk = Conversation(engine, tokenizer, History(tokenizer, tokenizer.template, target.eos_ids))
    with pytest.raises(UsageError) as raised:
        list(talk.reply("once more and again " * 40, GenerationSettings(max_new_tokens=8)))
    _shorter, larger = raised.value.remedies
    assert isinstance(larger, Flag)
    tokens = int(raised.value.message.split()[3])
    assert int(larger.value) % 64 == 0
    assert tokens + 8 <= int(larger.value) < tokens + 8 + 64
    assert in_repl((larger,), "tiny") == f"/model tiny --ctx-size {larger.value}"
    # No remedy is named that the model could not take.
    with pytest.raises(UsageError) as raised:
        list(talk.reply("once more and again " * 2000, GenerationSettings(max_new_tokens=8)))
    assert [remedy for remedy in raised.value.remedies if isinstance(remedy, Flag)] == []


def _texts(node: ast.AST) -> Iterator[str]:
    """The pieces of text in an expression, but for those in a call: Flag and Words are data."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Call):
            yield from _texts(child)


def _remedies() -> Iterator[tuple[str, str]]:
    """The text that an error has as a remedy in code that a REPL runs, with the file it stands in."""
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name.startswith(NOT_IN_THE_REPL):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                for argument in node.args[1:]:
                    if not isinstance(argument, ast.Call):
                        yield name, " ".join(_texts(argument))


def test_no_remedy_that_reaches_the_repl_names_a_flag_or_a_command_of_the_shell_as_text() -> None:
    found = [(name, text) for name, text in _remedies() if text]
    assert len(found) > 100
    own = re.compile(r"(^|[\s'\"`])--[a-z]|specmemo (chat|plan|probe|batch|models|sessions|train-draft|config)")
    assert [f"{name}: {text}" for name, text in found if own.search(text)] == []
