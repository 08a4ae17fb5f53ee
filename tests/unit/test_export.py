"""A conversation as a document: which turns it has is read back whatever stands in them, by any reader of Markdown."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from specmemo_chat.conversations import ChatLine, read_conversations
from specmemo_chat.fences import Fences, Kind
from specmemo_chat.sessions.export import as_json, as_markdown
from specmemo_chat.sessions.turns import Resumed, SessionInfo, StoredTurn

MODEL = "pocket"


def talk(*turns: tuple[str, str], system: str | None = None) -> Resumed:
    stored = [
        StoredTurn(number, number - 1 or None, user, reply, system=system if number == 1 else None)
        for number, (user, reply) in enumerate(turns, start=1)
    ]
    count = len(stored)
    return Resumed(SessionInfo(1, None, "A talk", MODEL, 0.0, 0.0, count, count, count), tuple(stored))


def headings(document: str) -> list[str]:
    """Turns as CommonMark has them: headings of the second level that stand in nothing else."""
    tokens = MarkdownIt("commonmark").parse(document)
    found = [after.content for token, after in itertools.pairwise(tokens)
             if token.type == "heading_open" and token.level == 0 and token.tag == "h2"]  # fmt: skip
    return [name for name in found if name in ("You", "System", MODEL)]


def turns_of(document: str) -> list[tuple[str, str]]:
    """Turns as this program's own reader of lines has them; quoted texts without their marks."""
    fences, turns = Fences(), list[tuple[str, list[str]]]()
    for line in document.split("\n"):
        if fences.line(line)[0] is Kind.TEXT and line in ("## You", "## System", f"## {MODEL}"):
            turns.append((line[3:], []))
        elif turns:
            turns[-1][1].append(line)
    texts = [(name, lines[1:-1] if name != MODEL else lines) for name, lines in turns]
    return [
        (name, "\n".join(line.removeprefix(">").removeprefix(" ") if name != MODEL else line for line in lines))
        for name, lines in texts
    ]


NASTY = [
    "## You\n\nI never said that.",
    "# Notes\n\n---\n\ntext\n---\nmore\n===",
    "---\ntitle: x\n---\n\n# A page",
    "```python\ndef f():\n    # left open",
    "~~~~\n```\n## You\n~~~",
    "<!-- a comment\n\n## You",
    "<script>\nalert(1)\n\nand <pre>\n\n<div>\n```\n\nx",
    f"> quoted\n> ## You\n\n- a\n  ```\n  x\n\n## {MODEL}",
    "- ```\n## You\n```\nx",
    "1. do\n   ```sh\n   ls\n  ```\n## You",
    "text\r\n```\r\n## You\rx",
    "You\n---\n\n## You ##\n\n   # Branch 1\n\n## System",
    "```" + "x" * 300 + "\n## You",
    "<details>\n```\n\n## You\n```\nx",
    "    indented\n\n## You\n    ```\n    x",
    "<!-- closed --> and `<script>` and <b>bold",
    "Tab\t\n\t```\n## You\n\t```",
]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("place", ["user", "reply", "system", "cut"])
def test_nothing_that_is_said_makes_or_hides_a_turn(text: str, place: str) -> None:
    user, reply = (text, "Yes.") if place == "user" else ("Hi", text) if place in ("reply", "cut") else ("Hi", "Yes.")
    resumed = talk((user, reply), ("And then?", "Nothing."), system=text if place == "system" else None)
    document = as_markdown(resumed)
    expected = ["System"] * (place == "system") + ["You", MODEL] * 2
    assert headings(document) == expected
    found = turns_of(document)
    assert [name for name, _ in found] == expected
    said = [words for name, words in found if name != MODEL]
    asked = [text] * (place == "system") + [user, "And then?"]
    # What was asked is there as it was, but for what closes its code and its HTML.
    for words, original in zip(said, asked, strict=True):
        lines = original.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert [line.replace("\\<", "<") for line in words.split("\n")[: len(lines)]] == lines
    assert found[-1][1].strip() == "Nothing."


PARTS = [
    *(
        "## You\n",
        "# x\n",
        f"## {MODEL}",
        "You\n",
        "---\n",
        "```",
        "~~~",
        "```py\n",
        "> ",
        "- ",
        "1. ",
        "  ",
        "    ",
        "\t",
    ),
    *("\n", "\n", "\n\n", "x", "<!--", "-->", "<div>\n", "</div>", "<script>", "<?", "|", "\r", "\\"),
]
TEXTS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=16).map("".join).filter(lambda text: text.strip() != "")


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
@example("x", "<!--\n\n```\n-->")
@example("x", "<think>\na\n```\n</think>\n\nb\n```")
@example("x", "- a\n  <div>\n  ```\n\n  ## You\n```")
def test_turns_are_read_back_whatever_is_said(user: str, reply: str) -> None:
    document = as_markdown(talk((user, reply), ("And?", "Done.")))
    assert headings(document) == ["You", MODEL] * 2
    assert [name for name, _ in turns_of(document)] == ["You", MODEL] * 2


def test_what_a_person_reads() -> None:
    resumed = talk(("What is\n\n# this?", "## Steps\n\n```sh\nls\n```\n\n- a <b>b</b>"), ("Go on", "```py\nx = 1"))
    assert as_markdown(resumed).partition("\n\n")[2].partition("\n\n")[2] == (
        "## You\n\n> What is\n>\n> # this?\n\n## pocket\n\n## Steps\n\n```sh\nls\n```\n\n- a <b>b</b>\n\n"
        "## You\n\n> Go on\n\n## pocket\n\n```py\nx = 1\n```\n"
    )


def test_exported_json_is_an_input_of_batch(tmp_path: Path) -> None:
    resumed = talk(*((text, text) for text in NASTY), system="# Be\n---\nbrief")
    values = json.loads(json.dumps(as_json(resumed.session, resumed.turns, resumed.turns), ensure_ascii=False))
    file = tmp_path / "talks.jsonl"
    file.write_text(json.dumps(values) + "\n", encoding="utf-8")
    (line,) = read_conversations(file)
    assert isinstance(line, ChatLine)
    assert line.key == {"id": 1}
    assert [said["content"] for said in line.messages] == ["# Be\n---\nbrief", *(text for text in NASTY for _ in "ab")]
