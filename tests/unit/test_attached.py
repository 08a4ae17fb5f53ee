"""/read: what goes along with the next message, taken back, read anew, and counted for the model that is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specmemo_chat.chat.outlook import Outlook
from specmemo_chat.errors import UsageError
from specmemo_chat.repl.attachments import Attachment, naming
from specmemo_chat.repl.commands.files import recount
from specmemo_chat.repl.commands.registry import COMMANDS, suggestions


class FakeRepl(SimpleNamespace):
    """The part of a REPL that /read needs; a token has `size` characters."""

    def __init__(self, size: int = 4, context: int = 1000) -> None:
        super().__init__(attached=[], said=[], size=size, context=context)
        self.client = SimpleNamespace(count=self.count)
        self.report = lambda: SimpleNamespace(context=Outlook(self.context, (50,), 100))
        self.say = self.note = self.said.append

    def count(self, text: str, what: str) -> int:
        if len(text) > 8 * self.context:
            raise UsageError(f"{what} is longer than the context", "shorten it")
        return len(text) // self.size

    def read(self, argument: str) -> str:
        self.said.clear()
        COMMANDS["read"].action(self, argument)  # type: ignore[arg-type]
        return "\n".join(self.said)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("a" * 400)
    (tmp_path / "two words.txt").write_text("b" * 800)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("c" * 40)
    return tmp_path


def names(repl: Any) -> list[str]:
    return [attachment.name for attachment in repl.attached]


def test_files_that_go_along_are_listed_read_anew_and_taken_back(folder: Path) -> None:
    repl = FakeRepl()
    assert "no file goes along" in repl.read("")
    assert "no file goes along" in repl.read("-")
    for name in ("a.txt", "two words.txt", "sub/a.txt"):
        repl.read(str(folder / name))
    assert names(repl) == ["a.txt", "two words.txt", "a.txt"]
    listing = repl.read("")
    assert "  two words.txt: 205 tokens" in listing
    assert "/read - takes them back" in listing
    # The same file again, by another way and with another text, takes the place of the first.
    (folder / "a.txt").write_text("new")
    assert "as it is now" in repl.read(f"'{folder}/sub/../a.txt'")
    assert [attachment.text for attachment in repl.attached if attachment.name == "a.txt"] == ["c" * 40, "new"]
    assert [found.text for found in suggestions(repl, "/read - t")] == ["two words.txt"]  # type: ignore[arg-type]
    assert repl.read("- two words.txt") == "taken back: two words.txt"
    # By its path, where two have one name.
    assert repl.read(f"- {folder}/sub/a.txt") == "taken back: a.txt"
    assert [attachment.text for attachment in repl.attached] == ["new"]
    with pytest.raises(UsageError, match="no file 'b"):
        repl.read("- b.txt")
    for everything in ("-", "none"):
        repl.read(str(folder / "sub" / "a.txt"))
        repl.read(everything)
        assert repl.attached == []


def test_a_file_that_is_read_anew_is_not_counted_twice(folder: Path) -> None:
    repl = FakeRepl(context=400)
    repl.read(str(folder / "two words.txt"))
    repl.read(str(folder / "two words.txt"))
    assert names(repl) == ["two words.txt"]
    with pytest.raises(UsageError, match=r"a.txt has 103 tokens beside what goes along already \(205\)") as raised:
        repl.read(str(folder / "a.txt"))
    assert "/read - takes back what goes along" in raised.value.remedies


def test_another_model_counts_anew(folder: Path) -> None:
    repl = FakeRepl()
    repl.read(str(folder / "a.txt"))
    repl.read(str(folder / "two words.txt"))
    repl.said.clear()
    recount(repl)  # type: ignore[arg-type]
    assert repl.said == []
    repl.size = 1
    recount(repl)  # type: ignore[arg-type]
    assert [attachment.tokens for attachment in repl.attached] == [415, 823]
    assert repl.said == [
        "for this model: a.txt (415 tokens), two words.txt (823 tokens)",
        "what goes along is too long: the context of 1000 holds 900 beside a reply; /read - takes it back",
    ]
    # One that no count is worth any more stays all the same, until it is taken back.
    repl.said.clear()
    repl.context = 100
    recount(repl)  # type: ignore[arg-type]
    assert repl.said[0] == "two words.txt is longer than the context; /read - two words.txt takes it back"
    assert names(repl) == ["a.txt", "two words.txt"]


def test_an_error_names_what_went_along() -> None:
    error = UsageError("the prompt is 900 tokens long", "shorten it")
    one = naming(error, [Attachment("a.txt", "x", 812)])
    assert one.message == "the prompt is 900 tokens long; a.txt (812 tokens) goes along with it"
    assert one.remedies == ("/read - takes it back", "shorten it")
    two = naming(error, [Attachment("a.txt", "x", 1), Attachment("b\x1b.txt", "x", 2)])
    assert two.message.endswith("; a.txt (1 token), b.txt (2 tokens) go along with it")
