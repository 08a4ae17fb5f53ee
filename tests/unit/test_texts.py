"""Texts from outside: no Unicode, byte order marks, UTF-16, and what has no end, at every entrance."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specmemo_chat import texts
from specmemo_chat.batch.lines import read_conversations
from specmemo_chat.batch.output import OutputFile
from specmemo_chat.bench.measuring.talks import find_talks
from specmemo_chat.cli import app
from specmemo_chat.distill.training.data import read_prompts
from specmemo_chat.errors import SpecmemoError, UsageError
from specmemo_chat.models.tokenizer import ChatTokenizer, read_template
from specmemo_chat.profiles import read_profile
from specmemo_chat.repl import editor, oneshot
from specmemo_chat.repl.attachments import Attachment, read_text
from specmemo_chat.repl.repl import Repl
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.setup import configuration
from specmemo_chat.terminal.console import Screen
from tests.tiny import POCKET

LATIN = os.fsdecode(b"caf\xe9")
HALF = "Hello \ud83d"
BOM = b"\xef\xbb\xbf"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["specmemo", *arguments])
    monkeypatch.setattr(app, "_leave_out", lambda _arguments: None)  # which is for one command a process
    with pytest.raises(SystemExit) as left:
        app.main()
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", LATIN),
        ("chat", "-p", LATIN),
        ("chat", "-p", "hi", "--system", LATIN),
        ("chat", "-p", "hi", "--stop", "x", "--stop", LATIN),
        ("chat", "-p", "hi", "--session", LATIN),
        ("chat", "-p", "hi", "--chat-template", LATIN),
        ("chat", "-p", "hi", "--model", LATIN),
        ("plan", LATIN),
        ("sessions", "show", LATIN),
        ("models", "rm", LATIN),
        ("bench", "--prompts", LATIN),
        ("chat", "-p", HALF),
    ],
)
def test_arguments_that_are_no_unicode_are_usage_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run(monkeypatch, *arguments) == 2
    shown = capsys.readouterr().err
    assert "is no Unicode text" in shown
    assert "character" in shown


def test_so_are_the_environment_and_a_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPECMEMO_SYSTEM", LATIN)
    assert run(monkeypatch, "chat", "-p", "hi") == 2
    assert "--system is no Unicode text: the byte 0xe9 (\\udce9) at character 4" in capsys.readouterr().err
    monkeypatch.delenv("SPECMEMO_SYSTEM")
    file = configuration.config_file()
    file.parent.mkdir(parents=True)
    file.write_text('system = "\\ud83d"\n', encoding="utf-8")
    assert run(monkeypatch, "chat", "-p", "hi") == 2
    assert f"{file}:1:" in capsys.readouterr().err


def test_a_path_may_have_any_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "batch", str(tmp_path / LATIN), "-o", "out.jsonl") == 2
    assert "caf\ufffd is no file" in capsys.readouterr().err


def test_what_was_typed_is_refused_and_the_chat_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the chat's end leaves Ctrl-C without effect
    typed = iter([LATIN, f"/system {HALF}", f"/sessions {HALF}"])

    class Reader:
        def read(self, _label: str = "", _text: str = "") -> str:
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

    client: Any = SimpleNamespace(load=lambda: iter(()), turns=[], ready=None)
    prepared: Any = SimpleNamespace(settings=GenerationSettings(), choice=SimpleNamespace(model="pocket"))
    reader: Any = Reader()
    Repl(client, prepared, Screen("never", quiet=True)).run(reader)
    assert capsys.readouterr().err.count("what was typed is no Unicode text") == 3


def test_settings_and_the_tokenizer_refuse_it() -> None:
    with pytest.raises(UsageError, match=r"a stop text is no Unicode text: \\ud83d at character 7"):
        GenerationSettings(stop=("a", HALF))
    with pytest.raises(UsageError, match="is no Unicode text"):
        ChatTokenizer(str(POCKET)).encode(HALF)


def test_a_file_name_that_is_no_utf8_goes_along_in_characters(tmp_path: Path) -> None:
    file = tmp_path / f"{LATIN}.txt"
    file.write_bytes(b"one")
    name, text = read_text(str(file))
    assert ChatTokenizer(str(POCKET)).encode(Attachment(name, text, 0).block)
    assert name == "caf\ufffd.txt"


def test_an_id_is_written_back_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "a\\ud83d", "prompt": "Hi"}\n', encoding="utf-8")
    (entry,) = read_conversations(source)
    output = OutputFile(tmp_path / "out.jsonl")
    output.write({**entry.key, "input_line": 1, "replies": ["b"]})
    output.close()
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))["id"] == "a\ud83d"


# --- byte order marks and other encodings


def _piped(data: bytes) -> str | None:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    try:
        return oneshot.piped_input()
    finally:
        sys.stdin = before


def _written(read: Callable[[Path], Any], name: str = "file") -> Callable[[bytes, Path], Any]:
    def written(data: bytes, folder: Path) -> Any:
        (folder / name).write_bytes(data)
        return read(folder / name)

    return written


def _config(path: Path) -> Any:
    return configuration.read(path)


PROFILE = (Path(__file__).parents[2] / "profiles" / "default.toml").read_bytes()
POCKETS = ChatTokenizer(str(POCKET))
ENTRANCES: dict[str, tuple[bytes, Callable[[bytes, Path], Any]]] = {
    "config.toml": (b'model = "pocket"\r\n\r\ndraft = "none"\r\n', _written(_config)),
    "a profile": (PROFILE, _written(read_profile)),
    "/read": (b"one\r\n\r\ntwo", _written(lambda path: read_text(str(path)))),
    "a pipe": (b"one\n\ntwo", lambda data, _folder: _piped(data)),
    "--chat-template": (b"{{ messages[0].content }}\n", _written(lambda path: read_template(str(path), POCKETS))),
    "batch": (b'\n{"prompt": "a"}\r\n\r\n{"prompt": "b"}', _written(lambda path: list(read_conversations(path)))),
    "bench --prompts": (b'{"prompt": "a"}\r\n\r\n{"prompt": "b"}\r\n', _written(lambda path: find_talks(str(path)))),
    "train-draft": (b'{"prompt": "a"}\r\n', _written(lambda path: read_prompts(path, with_replies=False))),
}


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_byte_order_mark_changes_nothing(tmp_path: Path, name: str) -> None:
    data, read = ENTRANCES[name]
    assert read(BOM + data, tmp_path) == read(data, tmp_path)


@pytest.mark.parametrize("name", ENTRANCES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named(tmp_path: Path, name: str, encoding: str) -> None:
    data, read = ENTRANCES[name]
    with pytest.raises(UsageError, match="begins like UTF-16") as caught:
        read(data.decode().encode(encoding), tmp_path)
    assert "iconv" in (caught.value.remedy or "")


@pytest.mark.parametrize("name", ENTRANCES)
def test_latin_1_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    data, read = ENTRANCES[name]
    try:
        problem = read(data + b'# {"prompt": "caf\xe9"}', tmp_path)[-1].error
    except UsageError as error:
        problem = error.message
    assert "is not UTF-8" in problem
    assert re.search(r"(offset|byte) \d+", problem)


def test_joined_files_have_marks_inside_and_lines_may_hold_other_ends(tmp_path: Path) -> None:
    file = tmp_path / "joined.jsonl"
    file.write_bytes(BOM + b'{"prompt": "a"}\n' + BOM + '{"prompt": "b\u2028c\x85d"}\n'.encode())
    assert [talk.turns for talk in find_talks(str(file))] == [("a",), ("b\u2028c\x85d",)]
    assert [entry.users for entry in read_prompts(file, with_replies=False)] == [("a",), ("b\u2028c\x85d",)]


def test_an_editors_mark_is_no_part_of_the_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "editor"
    program.write_bytes(b"#!/bin/sh\nprintf '\\357\\273\\277edited\\r\\nhere' > \"$1\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(program))
    assert editor.edit("text")[0] == "edited\nhere"


# --- what is no file, and what has no end


def test_what_is_no_file_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, words in [
            ("/dev/zero", "is a device"),
            ("/dev/null", "is a device"),
            (str(tmp_path / "fifo"), "is a pipe"),
            (str(tmp_path / "socket"), "is a socket"),
            (str(tmp_path), "is a folder"),
            ("/proc/self/status", "is empty"),
            ("nul\0", "cannot be read"),
        ]:
            with pytest.raises(UsageError, match=words):
                read_text(name)


def test_a_huge_file_is_refused_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)
    with pytest.raises(UsageError, match=r"has 1\.0 TiB.*no context"):
        read_text(str(file))


class Endless(io.RawIOBase):
    """A stream without an end, which counts what was taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"y" * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def test_a_pipe_without_an_end_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(endless), closed=False, isatty=bool))
    with pytest.raises(UsageError, match=r"standard input has more than 16\.0 MiB"):
        oneshot.piped_input()
    assert endless.taken <= texts.LARGEST + (1 << 20)


def test_configuration_and_templates_end_too() -> None:
    for read in (_config, lambda path: read_template(str(path), POCKETS)):
        with pytest.raises(SpecmemoError, match="has more than"):
            read(Path("/dev/zero"))
