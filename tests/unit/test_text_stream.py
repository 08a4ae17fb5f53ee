"""The stream of a reply's text: never an error, and in total what transformers' `decode` gives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import AutoTokenizer

from specmemo_chat.chat.history import Turn
from specmemo_chat.chat.reply_writer import ReplyWriter
from specmemo_chat.events import Text
from specmemo_chat.models.text_stream import TextStream, special_ids
from specmemo_chat.models.tokenizer import ChatTokenizer
from tests.tiny import POCKET
from tests.tokenizers import EOS, save_tokenizer

BYTES = [f"<0x{byte:02X}>" for byte in (0x41, 0x0A, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80, 0xC3, 0xFF)]
PIECES = [
    *BYTES,
    "▁",
    "▁a",
    "▁▁",
    "b",
    "##c",
    "d</w>",
    "é",
    "Ã",
    "Â©",
    "ð",
    "Ł",
    "Ĺ",
    "Ģ",
    "Ġthe",
    "n't",
    ".",
    "\N{REPLACEMENT CHARACTER}",
]
DECODERS: dict[str, Any] = {
    "llama": decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    ),
    "gemma": decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
    "metaspace": decoders.Metaspace(),
    "metaspace never": decoders.Metaspace(prepend_scheme="never"),
    "byte level": decoders.ByteLevel(),
    "byte level in a sequence": decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()]),
    "suffix": decoders.BPEDecoder(),
    "word pieces": decoders.WordPiece(),
    "none": None,
}


@cache
def backend(kind: str) -> Tokenizer:
    if kind == "pocket":
        return Tokenizer.from_file(str(POCKET / "tokenizer.json"))
    made = Tokenizer(models.BPE({piece: at for at, piece in enumerate(PIECES)}, []))
    if DECODERS[kind] is not None:
        made.decoder = DECODERS[kind]
    made.add_special_tokens(["<s>", "</s>"])
    made.add_tokens([AddedToken("<think>"), AddedToken("  "), AddedToken("ü")])
    return made


@pytest.mark.parametrize("kind", [*DECODERS, "pocket"])
@settings(deadline=None)
@given(data=st.data())
def test_the_stream_is_in_total_what_decode_gives(kind: str, data: st.DataObject) -> None:
    made = backend(kind)
    # A few ids beyond the tokenizer's: an embedding may have more rows.
    ids = data.draw(st.lists(st.integers(0, made.get_vocab_size() + 3), max_size=24))
    stream = TextStream(made, special_ids(made))
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) + stream.flush() == made.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("bytes"), "prepend")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> ChatTokenizer:
    return ChatTokenizer(str(folder))


def raw(tokenizer: ChatTokenizer, data: bytes) -> list[int]:
    """The tokens of single bytes."""
    return [tokenizer._backend.token_to_id(f"<0x{byte:02X}>") for byte in data]


def shown(events: Iterator[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def test_transformers_decodes_stray_bytes_so(folder: Path, tokenizer: ChatTokenizer) -> None:
    ids = raw(tokenizer, b"\xff\xe2\x82") + tokenizer.encode("the") + [EOS] + raw(tokenizer, "€".encode() + b"\xf0")
    stream = tokenizer.stream()
    text = "".join(map(stream.push, ids)) + stream.flush()
    assert text == AutoTokenizer.from_pretrained(folder).decode(ids, skip_special_tokens=True) == "��� the����"


@pytest.mark.parametrize(
    ("data", "stops", "text"),
    [
        (b"\xe2\x82\xac", (), "€"),
        (b"\xe2\x82", (), "��"),  # cut in a character, by the length or an interrupt
        (b"ok\xff", (), "���"),
        (b"ok STOP", ("STOP",), "ok"),  # a stop text in what was held back
        (b"ok STO", ("STOP",), "ok STO"),
    ],
)
def test_what_is_held_back_is_shown_at_the_end(
    tokenizer: ChatTokenizer, data: bytes, stops: tuple[str, ...], text: str
) -> None:
    for ends in ((), (EOS,)):
        ids = [*raw(tokenizer, data), *ends]
        writer, turn = ReplyWriter(tokenizer, stops, frozenset({EOS})), Turn("?")
        events = [*writer.push(tuple(ids), (False,) * len(ids)), *writer.flush()]
        writer.settle(turn)
        assert shown(iter(events)).rstrip() == turn.reply == text
        assert writer.stopped == (data == b"ok STOP")


def test_a_stop_text_that_a_cut_divides_ends_the_reply_that_goes_on(tokenizer: ChatTokenizer) -> None:
    ids = tokenizer.encode("the answer</user>more")
    for cut in range(1, len(ids)):
        turn = Turn("?")
        first = ReplyWriter(tokenizer, ("</user>",), frozenset({EOS}))
        said = shown(first.push(tuple(ids[:cut]), (False,) * cut)) + shown(first.flush())
        if first.stopped:
            break
        rest = ids[cut:]
        writer = ReplyWriter(tokenizer, ("</user>",), frozenset({EOS}), ids[:cut])
        new = shown(writer.push(tuple(rest), (False,) * len(rest))) + shown(writer.flush())
        writer.settle(turn)
        assert turn.reply == "the answer"
        assert writer.stopped
        # What was shown before the cut is not shown again, whatever of it turned out to be the stop text.
        assert new == "the answer".removeprefix(said) if len(said) <= len("the answer") else new == ""
    assert cut > 10


def test_a_character_that_a_cut_divides_is_whole_in_the_reply_that_goes_on(tokenizer: ChatTokenizer) -> None:
    ids = [*tokenizer.encode("the"), *raw(tokenizer, "€".encode())]
    writer = ReplyWriter(tokenizer, (), frozenset({EOS}), ids[:-1])
    assert shown(writer.push((ids[-1],), (False,))) + shown(writer.flush()) == "€"
    turn = Turn("?")
    writer.settle(turn)
    assert turn.reply == "the€"
    assert turn.reply_ids == ids
