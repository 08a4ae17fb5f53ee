"""Text that comes from outside: how its bytes are read, whether it is Unicode text, and how much of it is taken."""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import BinaryIO

from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import MIB, format_size

# Bytes of one text: more than any context holds, and quick to read.
LARGEST = 16 * MIB

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_unicode(text: str, what: str) -> None:
    """Raise UsageError where `text`, named `what`, holds half a surrogate pair: no tokenizer takes it, and UTF-8 has no
    bytes for it. JSON's escapes make such texts, and so does Python of a command line that is not UTF-8."""
    found = _SURROGATE.search(text)
    if found is None:
        return
    code, place = ord(found[0]), f"at character {found.start() + 1}"
    if 0xDC80 <= code <= 0xDCFF:
        raise UsageError(
            f"{what} is no Unicode text: the byte 0x{code - 0xDC00:02x} (\\u{code:04x}) {place} is not UTF-8",
            "give it in UTF-8, for example: iconv -f latin1 -t utf-8",
        )
    raise UsageError(
        f"{what} is no Unicode text: \\u{code:04x} {place} is half a surrogate pair", "give both halves, or none"
    )


def decode(data: bytes, what: str) -> str:
    """The text of UTF-8 bytes, without a byte order mark. Raises UsageError for anything else, naming it `what`."""
    check_encoding(data, what)
    try:
        return data.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start + len(data) - len(error.object)
        raise UsageError(
            f"{what} is not UTF-8: byte 0x{data[at]:02x} at offset {at}",
            "convert it, for example: iconv -f latin1 -t utf-8",
        ) from error


def check_encoding(beginning: bytes, what: str) -> None:
    """Raise UsageError where a text begins as one of UTF-16 or UTF-32 does, with or without its byte order mark."""
    wide = re.match(rb"[^\0]\0.\0|\0.\0[^\0]", beginning, re.DOTALL)
    if wide or beginning.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise UsageError(
            f"{what} is not UTF-8: it begins like UTF-16", "convert it, for example: iconv -f utf-16 -t utf-8"
        )


def read_at_most(file: BinaryIO, what: str, limit: int = LARGEST) -> bytes:
    """What is left in `file`. Raises UsageError where that is more than `limit` bytes; no more of it is held."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise UsageError(
            f"{what} has more than {format_size(limit)}: it is longer than the context of any model",
            "give a shorter one",
        )
    return data


def read_text(path: Path, what: str) -> str:
    """The text of a file, named `what`, with line ends as in Unix. Raises OSError where it cannot be read, UsageError
    where it is too long or no UTF-8."""
    with path.open("rb") as file:
        return decode(read_at_most(file, what), what).replace("\r\n", "\n")
