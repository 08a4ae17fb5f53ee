"""What a model thinks before its answer is told from the answer, however it arrives."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specmemo_chat.chat.history import History
from specmemo_chat.events import ReplyEnd, Statistics, Text
from specmemo_chat.repl.oneshot import reply_json
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.reasoning import ReasoningSplitter, split_reasoning
from specmemo_chat.terminal.stream import ReplyView


@pytest.mark.parametrize(
    ("reply", "opened", "reasoning", "answer"),
    [
        ("Hello", False, "", "Hello"),
        ("<think>\nHm.\n</think>\n\nHello <think> there", False, "Hm.", "Hello <think> there"),
        ("Hm.\n</think>\nHello", True, "Hm.", "Hello"),
        ("<think>never done", False, "never done", ""),
        ("<thin", False, "", "<thin"),
        ("<think></think>Hi", False, "", "Hi"),
        ("a <think>b</think>", False, "", "a <think>b</think>"),
        ("", False, "", ""),
    ],
)
def test_a_reply_is_split(reply: str, opened: bool, reasoning: str, answer: str) -> None:
    assert split_reasoning(reply, opened=opened) == (reasoning, answer)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think>", " ", "\n", "a", "b <"]), max_size=12),
    st.data(),
)
def test_the_pieces_do_not_depend_on_how_the_text_arrives(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    splitter = ReasoningSplitter()
    found: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 5))
        found += splitter.feed(text[at : at + size])
        at += size
    found += splitter.flush()
    thought = "".join(piece for piece, reasoning in found if reasoning).strip()
    assert (thought, "".join(piece for piece, reasoning in found if not reasoning)) == split_reasoning(text)


def shown(
    monkeypatch: pytest.MonkeyPatch, pieces: list[str], *, opened: bool = False, before: str = "", color: str = "auto"
) -> tuple[str, str]:
    """What stdout and stderr get of a reply in these pieces where neither is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    text = "".join(pieces)
    events = [*(Text(piece) for piece in pieces), ReplyEnd(text, "stop", Statistics())]
    view = ReplyView(Screen(color), reasoning_open=lambda: opened, before=before)  # type: ignore[arg-type]
    assert view.run(iter(events), lambda: None).text == text
    return out.getvalue(), err.getvalue()


def test_a_pipe_gets_the_answer_exactly_and_no_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, ["<thi", "nk>a", "b</th", "ink>\n\n# *T*\x1b[1m\u202e", "\r\n  x"])[0] == (
        "# *T*\x1b[1m\u202e\r\n  x\n"
    )
    assert shown(monkeypatch, ["a</think>b"], opened=True)[0] == "b\n"
    assert shown(monkeypatch, ["c</think>d"], before="<think>ab")[0] == "d\n"
    assert shown(monkeypatch, ["<think> is a tag"], before="The ")[0] == "<think> is a tag\n"


def test_a_reply_that_is_all_reasoning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = shown(monkeypatch, ["<think>", "on and on"])
    assert out == ""
    assert "there is no answer yet" in err


def test_colour_that_is_forced_into_a_pipe_is_rendered_and_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out, _ = shown(monkeypatch, ["**bold**\x1b]0;x\x07 and ", "many words in a row\n"], color="always")
    assert out == "\x1b[1mbold\x1b[0m]0;x and many\nwords in a row\n"


def test_json_has_the_answer_and_what_was_thought_beside_it() -> None:
    values = reply_json("m", ReplyEnd("<think>\nHm.\n</think>\n\nYes.", "stop", Statistics()))
    assert (values["text"], values["reasoning"]) == ("Yes.", "Hm.")
    assert "reasoning" not in reply_json("m", ReplyEnd("Yes.", "stop", Statistics()))


class Template:
    """A codec whose template always writes the same opening."""

    def __init__(self, opening: str) -> None:
        self._opening = opening

    frame: tuple[list[int], list[int]] = ([], [])

    def encode(self, text: str, *, framed: bool = False) -> list[int]:
        return [ord(char) for char in text]

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        return "".join(map(chr, ids))

    def render(self, messages: Sequence[dict[str, str]], template: str, *, reply: bool) -> str:
        return "".join(message["content"] for message in messages) + (self._opening if reply else "")


@pytest.mark.parametrize(
    ("opening", "opens"), [("<assistant>\n<think>\n", True), ("<assistant>", False), ("<think>\n\n</think>\n\n", False)]
)
def test_a_template_that_opens_the_reasoning_is_known_before_the_first_reply(opening: str, opens: bool) -> None:
    assert History(Template(opening), "template", frozenset()).opens_reasoning() is opens
    assert not History(Template(opening), None, frozenset()).opens_reasoning()
