"""Which lines are code: what /copy takes, what an export closes, and that the screen shows the same blocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.fences import LONGEST_FENCE, TAB, Fences, code_blocks, unclosed
from specmemo_chat.terminal.render import markdown
from specmemo_chat.terminal.render.code_block import CodeBlock
from specmemo_chat.terminal.render.style import Row
from specmemo_chat.terminal.render.wrap import joined
from tests.replies import fuzzed_reply


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("a\n```python\nx = 1\n```\nb\n~~~~\n```\ninner\n```\n~~~~", ["x = 1", "```\ninner\n```"]),
        ("no `code` here, nor ```this```", []),
        ("```\n```", [""]),
        ("````js\nnever\n```\n\n  closed", ["never\n```\n\n  closed"]),
        ("```py\n", [""]),
        # Blank lines and blanks at the ends of lines are code.
        ("```\n\na  \n\n```", ["\na  \n"]),
        # In lists: without the indentation of the fence, and no more.
        ("1. do\n   ```sh\n   a\n     b\n  c\n   ```\n2. done", ["a\n  b\nc"]),
        ("- ```c\n  int x;\n  ```\n- 1. ~~~\n       y\n     ~~~", ["int x;", "  y"]),
        ("- [ ] todo\n  ```\n  x\n  ```\n- [x] ```\n", ["x"]),
        ("-\t```\n\tx\n\t\ty\n\t```", ["x\n\ty"]),
        ("  ```\n\tx\n  ```", ["  x"]),
        # In quotes; where the quote ends, the code does.
        ("> ```\n> a\n>\n>   b\n> ```\nc", ["a\n\n  b"]),
        ("> - ```\n>   a\n>   > b\nafter\n```\nc\n```", ["a\n> b", "c"]),
        # What is indented further than a fence may be does not close it; a shorter or another fence neither.
        ('```\ndef f():\n    """\n    ```\n    x\n    ```\n    """\n```\nb', [
            'def f():\n    """\n    ```\n    x\n    ```\n    """',
        ]),
        ("~~~~ `a` b\nx\n~~~\n```\n~~~~~  \n", ["x\n~~~\n```"]),
        # Text that is only indented is no block of its own: it may be the middle of a function.
        ("def f():\n    x = 1\n\n    return x\n\n```\ny\n```", ["y"]),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n``` x|y\nz\n```", ["z"]),
        (f"```{'x' * LONGEST_FENCE}\n```\ny\n```", ["y"]),
    ],
)  # fmt: skip
def test_code_blocks_are_exactly_the_code(text: str, blocks: list[str]) -> None:
    assert code_blocks(text) == blocks
    assert shown_blocks(text) == [block.expandtabs(TAB) for block in blocks]


@pytest.mark.parametrize(
    "text",
    ["```\nx", "- a\n\n    ```py\n    x", "> > ~~~~\n> > x", "> 1. ```\n>    x", "````\n```\n"],
)
def test_an_open_block_says_what_closes_it(text: str) -> None:
    left = unclosed(text)
    assert left is not None
    assert unclosed(f"{text}\n{left.closing()}") is None
    fences = Fences()
    for line in [*text.split("\n"), left.closing(), "after"]:
        kind = fences.line(line)[0]
    assert kind.name == "TEXT"


class Recorded(CodeBlock):
    """A block that remembers the lines that it showed."""

    blocks: list[list[str]]

    def open(self, width: int) -> list[Row]:
        self.blocks.append([])
        return super().open(width)

    def line(self, text: str, at: int, width: int) -> list[Row]:
        rows = super().line(text, at, width)
        self.blocks[-1].append("".join(joined(row.pieces[len(self._bars) :]) for row in rows))
        return rows


def shown_blocks(text: str) -> list[str]:
    """The code that the screen shows between rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "CodeBlock", Recorded)
        Recorded.blocks = []
        stream = markdown.MarkdownStream(60, limit=100_000)
        stream.feed(text)
        stream.finish()
    return ["\n".join(block) for block in Recorded.blocks]


PARTS = [
    "```",
    "~~~",
    "````",
    "py",
    "\n",
    "\n",
    "\n",
    "- ",
    "10. ",
    "> ",
    "  ",
    "    ",
    "\t",
    "x",
    "|",
    "|-|\n",
    "# ",
    "---",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_the_screen_shows_the_blocks_that_copy_counts(text: str) -> None:
    assert shown_blocks(text) == [block.expandtabs(TAB) for block in code_blocks(text)]


@pytest.mark.parametrize("seed", range(20))
def test_the_screen_shows_the_blocks_of_fuzzed_replies(seed: int) -> None:
    text = fuzzed_reply(20_000 + seed).text.replace("\r", "")
    assert len(shown_blocks(text)) == len(code_blocks(text))


def test_a_long_line_of_code_loses_the_fences_indentation_too() -> None:
    code = "x = [" + "1, " * 1000 + "]"
    stream = markdown.MarkdownStream(40)
    stream.feed(f"1. a\n   ```\n   {code}\n   ```\n")
    rows = [joined(row.pieces) for row in stream.take()]
    assert "".join(rows[2:-1]) == code
