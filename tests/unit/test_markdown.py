"""Streaming Markdown: what rows a text becomes, and when they are final."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.terminal.render.markdown import MarkdownStream
from specmemo_chat.terminal.render.plain import PlainStream
from specmemo_chat.terminal.render.style import BOLD, ITALIC, Row
from specmemo_chat.terminal.render.wrap import cells, joined
from specmemo_chat.terminal.text import safe
from tests.commonmark import commonmark_rows, runs
from tests.replies import chunked, fuzzed_reply
from tests.unit.commonmark_examples import DEPARTURES, EXAMPLES


def render(text: str, width: int = 40, *, styled: bool = True, chunks: list[str] | None = None) -> list[Row]:
    stream = MarkdownStream(width, styled=styled)
    rows = []
    for chunk in chunks or [text]:
        stream.feed(chunk)
        rows += stream.take()
    stream.finish()
    return rows + stream.take()


def lines(text: str, width: int = 40, *, styled: bool = True) -> list[str]:
    return [joined(row.pieces) for row in render(text, width, styled=styled)]


def styles(text: str) -> list[tuple[str, int]]:
    return [(piece.text, piece.style) for row in render(text, 200) for piece in row.pieces]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("# Title #\ntext", ["Title", "text"]),
        ("a\n\n\n\nb\n\n", ["a", "", "b"]),
        ("one *two* __three__ `four` ~~five~~", ["one two three four five"]),
        ("5 * 3 * 2, snake_case_name, *open, `open, a~b", ["5 * 3 * 2, snake_case_name, *open,", "`open, a~b"]),
        ("**bold over\ntwo lines** end", ["bold over", "two lines end"]),
        ("- one\n- two\n  - three\n\n    more\n- [x] done\n- [ ] todo", [
            "• one", "• two", "  • three", "", "    more", "☑ done", "☐ todo",
        ]),
        ("9. nine\n10. ten which is too long for one row", ["9. nine", "10. ten which is too long for one row"]),
        ("10. ten which is long enough to be broken", ["10. ten which is long enough to be", "    broken"]),
        ("> quote\n> > deeper\n\nafter", ["▎ quote", "▎ ▎ deeper", "", "after"]),
        ("```python\nx = 1\n\n\ty\n```\nafter", ["── python " + "─" * 22, "x = 1", "", "    y", "─" * 32, "after"]),
        ("~~~\n```\n~~~", ["─" * 32, "```", "─" * 32]),
        ("```\nnever closed", ["─" * 32, "never closed", "─" * 32]),
        ("---\n***\n- - -", ["─" * 32] * 3),
        ("[text](https://a.b) <https://c.d> ![alt](x.png)", ["text (https://a.b) https://c.d alt", "(x.png)"]),
        ("[https://a.b](https://a.b)", ["https://a.b"]),
        (r"\*no\* \(x\) C:\dir &lt;b&gt; &amp;", [r"*no* \(x\) C:\dir <b> &"]),
        ("| a | b |\n|---|--:|\n| 1 | 22 |\n| long | 3 |\n\nend", [
            "a      b", "────  ──", "1     22", "long   3", "", "end",
        ]),
        ("| no | table\nnext", ["| no | table", "next"]),
        ("    indented code", ["    indented code"]),
        ("a<br>b", ["a", "b"]),
        ("**重要。**次", ["重要。次"]),
        ("text\n===", ["text", "─" * 32]),
        ("", []),
        ("\n\n", []),
    ],
)  # fmt: skip
def test_markdown_becomes_rows(source: str, shown: list[str]) -> None:
    assert lines(source) == shown


@pytest.mark.parametrize("source", [source for sources in EXAMPLES.values() for source in sources])
def test_text_and_structure_are_what_commonmark_says(source: str) -> None:
    assert runs([list(row.pieces) for row in render(source, 200)]) == commonmark_rows(source)


@pytest.mark.parametrize(
    ("source", "shown"), [pytest.param(*case, id=why[:40]) for why, cases in DEPARTURES.items() for case in cases]
)
def test_departures_from_commonmark_are_the_listed_ones(source: str, shown: list[str]) -> None:
    rows = [list(row.pieces) for row in render(source)]
    assert [row for row in lines(source) if row] == shown
    assert runs(rows) != commonmark_rows(source)


PYTHON = '''def area(shapes):
    """Sum of __all__ areas."""
    total = 0
    for shape in shapes:
        # squares first
        if shape.kind == "*square*":
            total += shape.side ** 2

    # a blank line does not end it
    return total
class Shape:
  side = 1
	name = "x"
'''
YAML = """version: "3"
services:
  web:
    # the first one
    image: nginx
    ports:
      - "80:80"
  db:
    image: postgres
- a
- b
last: 1
"""


@pytest.mark.parametrize(
    "source", [PYTHON, YAML, "# Title\n" + PYTHON, f"Here it is:\n\n{YAML}", "function f() {\n  g();\n}\n"]
)
def test_lines_without_fences_keep_the_blanks_that_they_begin_with(source: str) -> None:
    def begins(text: str) -> list[int]:
        lines = [line.expandtabs(4) for line in text.splitlines() if line.strip()]
        return [len(line) - len(line.lstrip()) for line in lines]

    for size in (1, 3, len(source)):
        chunks = [source[at : at + size] for at in range(0, len(source), size)]
        rows = [joined(row.pieces) for row in render(source, 60, chunks=chunks)]
        assert begins("\n".join(rows)) == begins(source)
    # What four blanks indent is shown as written.
    for line in source.splitlines():
        if line.startswith("    ") and not line.lstrip().startswith("-"):
            assert line in rows


@pytest.mark.parametrize(
    ("width", "source", "shown"),
    [
        # Counted from the item's content, wherever that stands.
        (40, "1. Write:\n   def f():\n       return 1\n\n   and\n     more", [
            "1. Write:", "   def f():", "       return 1", "", "   and", "     more",
        ]),
        (40, "*   item\n    text\n      deeper\n    *   nested\n        text", [
            "• item", "  text", "    deeper", "  • nested", "    text",
        ]),
        (40, "> a\n>   b\n> - c\n>   d\n>     e", ["▎ a", "▎   b", "▎ • c", "▎   d", "▎     e"]),
        # A list in the shape that it was written in.
        (40, "- a\n  - b\n    - c\n  - d\n- e", ["• a", "  • b", "    • c", "  • d", "• e"]),
        (40, "1. a\n    - b\n    - c\n2. d", ["1. a", "    • b", "    • c", "2. d"]),
        (40, "Here:\n  - a\n  - b", ["Here:", "  • a", "  • b"]),
        # No lazy lines: what is not indented is no part of the item.
        (40, "- a\nname: x\n# Title\n  - b", ["• a", "name: x", "Title", "  • b"]),
        (40, "-\n# Title", ["•", "Title"]),
        # Rows of one line begin alike.
        (10, "  one two three four", ["  one two", "  three", "  four"]),
        (10, "  " + "x" * 20, ["  " + "x" * 8, "  " + "x" * 8, "  xxxx"]),
        (40, " " * 200 + "\n" + " " * 30 + "x | y", [" " * 30 + "x | y"]),
        (10, "a | b\n" + "c " * 600, ["a | b", *["c c c c c"] * 120]),
    ],
)  # fmt: skip
def test_blanks_stand_where_they_were_written(width: int, source: str, shown: list[str]) -> None:
    assert lines(source, width) == shown


def test_reasoning_keeps_the_blanks_that_its_lines_begin_with() -> None:
    for size in (1, 4, 200):
        source = "if x:\n\treturn 1\n\n    " + "and so on " * 4
        stream = PlainStream(30)
        for at in range(0, len(source), size):
            stream.feed(source[at : at + size])
        stream.finish()
        assert [joined(row.pieces) for row in stream.take()] == [
            "│ if x:", "│     return 1", "│ ", "│     and so on and so on and", "│     so on and so on",
        ]  # fmt: skip


def test_code_goes_on_where_a_reply_was_cut_in_it() -> None:
    stream = MarkdownStream(40)
    stream.go_on("So:\n- x\n  ```python\n  def f():")
    stream.feed("      return 1\n  ```\nDone.\n")
    assert [joined(row.pieces) for row in stream.take()] == [
        "── python " + "─" * 22, "    return 1", "─" * 32, "Done.",
    ]  # fmt: skip


def test_emphasis_has_styles_and_unstyled_rows_keep_their_source() -> None:
    assert styles("a **b *c* d**") == [("a ", 0), ("b ", BOLD), ("c", BOLD | ITALIC), (" d", BOLD)]
    assert styles("***x***") == [("x", BOLD | ITALIC)]
    assert lines("## T\n**b** `c` [d](e)", styled=False) == ["## T", "**b** `c` [d](e)"]


def test_an_entity_cannot_smuggle_a_control_character() -> None:
    # HTML takes 0x9b for a quotation mark of Windows.
    assert lines("a&#27;[2Jb&#x9b;2J&#x202e;c&#10;d") == ["a[2Jb›2Jc d"]


def test_code_is_coloured_line_by_line_also_where_a_comment_goes_over_lines() -> None:
    source = '```c\nint x; /* a\nint y;\n*/ int z;\nchar *s = "/*";\nint w;\n```'
    rows = [[(piece.text, piece.style) for piece in row.pieces] for row in render(source)]
    keyword = rows[1][0]
    comment = rows[2][0][1]
    assert keyword[0] == "int"
    assert rows[2] == [("int y;", comment)]
    assert rows[3][0] == ("*/", comment)
    assert ("int", keyword[1]) in rows[3]
    assert rows[5][0] == keyword
    python = [row.pieces for row in render('```python\ns = """a\ndef b\n"""\ndef f(): pass\n```')]
    assert len({piece.style for piece in python[2]}) == 1
    assert python[4][0].text == "def"


def test_long_code_lines_are_left_to_the_terminal_and_other_rows_fit() -> None:
    code = "x = " + "1 + " * 40
    rows = render(f"{'word ' * 50}\n```python\n{code}\n```", 40)
    assert [joined(row.pieces) for row in rows if row.wraps] == [code]
    assert all(cells(joined(row.pieces)) <= 40 for row in rows if not row.wraps)


@pytest.mark.parametrize("width", [12, 20, 40])
def test_wide_characters_and_joined_emoji_are_never_cut(width: int) -> None:
    family, flagged = "👨‍👩‍👧‍👦", "e\u0301\u0323"
    text = (family + flagged + "世界") * 20 + " " + "a" * 50
    shown = lines(text, width)
    assert all(cells(line) <= width for line in shown)
    assert "".join(shown).replace(" ", "") == text.replace(" ", "")
    assert not any(line[0] in "\u200d\u0301\u0323\ufe0f" for line in shown)


def test_finished_lines_are_final_before_their_block_ends() -> None:
    stream = MarkdownStream(40)
    stream.feed("first line\nsecond *open\n")
    assert [joined(row.pieces) for row in stream.take()] == ["first line"]
    stream.feed("closed* here\n```python\na = 1\nb =")
    assert [joined(row.pieces) for row in stream.take()][:2] == ["second open", "closed here"]
    assert [joined(row.pieces) for row in stream.preview()] == ["b ="]
    stream.feed(" 2\n```\n" + "word " * 2000)
    rows = stream.take()
    assert joined(rows[0].pieces) == "b = 2"
    # A line without an end is final but for what a preview may hold.
    assert len(rows) > 200
    assert sum(len(joined(row.pieces)) for row in stream.preview()) < 1100


def test_a_preview_takes_what_is_open_as_closed() -> None:
    stream = MarkdownStream(40)
    for text, shown in [
        ("**bo", [("bo", BOLD)]),
        ("ld", [("bold", BOLD)]),
        ("*", [("bold", BOLD)]),
        ("*", [("bold", BOLD)]),
        (" *", [("bold", BOLD)]),
    ]:
        stream.feed(text)
        assert [(p.text, p.style) for row in stream.preview() for p in row.pieces if p.text.strip()] == shown
    assert stream.take() == []


def test_a_table_too_wide_for_its_columns_becomes_a_list() -> None:
    names = [f"column {number}" for number in range(8)]
    source = "|".join(names) + "|\n" + "---|" * 8 + "\n" + "|".join("abcdefghij" for _ in names) + "|\n"
    assert lines(source, 40) == [f"{name}: abcdefghij" for name in names]
    assert all(cells(line) <= 60 for line in lines(source, 60))


@pytest.mark.parametrize("seed", range(20))
def test_rows_do_not_depend_on_how_a_text_arrives(seed: int) -> None:
    text, rng = fuzzed_reply(10_000 + seed).text, random.Random(seed)
    expected = render(text, 50)
    stream = MarkdownStream(50)
    rows = []
    for chunk in chunked(text, rng):
        stream.feed(chunk)
        if rng.random() < 0.05:
            stream.preview()
        rows += stream.take()
    stream.finish()
    assert rows + stream.take() == expected


@pytest.mark.parametrize("make", [MarkdownStream, PlainStream])
def test_pieces_say_where_in_the_text_they_stand(make: type[MarkdownStream] | type[PlainStream]) -> None:
    for seed in range(30):
        text = safe(fuzzed_reply(30_000 + seed).text) + "\n   \n\t a"
        stream = make(50)
        stream.feed(text)
        stream.finish()
        pieces = [piece for row in stream.take() for piece in row.pieces if piece.at >= 0]
        for shown, _, at in pieces:
            assert shown == text[at : at + len(shown)].replace("\t", " ").replace("\n", " ")
        assert pieces[-1].text.strip() == "a"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab *_`~#>-+|\n1.[](:)!\\<&;é世\u0301👍\t=", max_size=120), st.data())
def test_any_text_cut_anywhere_gives_the_same_rows(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert render(text, 20, chunks=chunks) == render(text, 20)
    # Nothing that is a letter is lost or doubled.
    shown = "".join(joined(row.pieces) for row in render(text, 20))
    for letter in "abé世":
        assert shown.count(letter) == text.count(letter) or "```" in text or "~~~" in text
