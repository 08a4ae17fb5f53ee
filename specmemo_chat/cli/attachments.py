"""Text files that go along with the next message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat.cli.text import safe_line
from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import MIB, format_size

# More than any context holds, and quick to read and count.
LARGEST_FILE = 16 * MIB


@dataclass(frozen=True)
class Attachment:
    """A file's text; `tokens` is what it costs."""

    name: str
    text: str
    tokens: int

    @property
    def block(self) -> str:
        """The text as a fenced block with the file's name."""
        return fenced(self.name, self.text)


def fenced(name: str, text: str) -> str:
    """`text` between fences that are longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{name}:\n{fence}\n{text.rstrip()}\n{fence}"


def compose(message: str, attached: list[Attachment]) -> str:
    """The message, after the files that go along with it."""
    return "\n\n".join([*(attachment.block for attachment in attached), message])


_BLOCK = re.compile(r"(?P<name>[^\n]+):\n(?P<fence>`{3,})\n.*?\n(?P=fence)\n\n", re.DOTALL)


def gist(message: str) -> str:
    """What the user wrote, on one line, and the names of the files that went along."""
    names = []
    while (block := _BLOCK.match(message)) is not None:
        names.append(block["name"])
        message = message[block.end() :]
    return safe_line(f"{message} (+ {', '.join(names)})" if names else message)


def read_text(name: str) -> tuple[str, str]:
    """(the file's name, its text). Raises UsageError where it is no readable UTF-8 text."""
    path = Path(name).expanduser()
    shown = safe_line(str(path))
    try:
        if path.is_dir():
            raise UsageError(f"{shown} is a folder", "give one file; Tab completes its name")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise UsageError(f"{shown} has {format_size(size)}", f"give a file of at most {format_size(LARGEST_FILE)}")
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {shown}", "Tab completes file names") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror or error}") from None
    if b"\0" in data[:8192]:
        raise UsageError(f"{shown} is no text", "give a text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{shown} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            f"convert it: iconv -f latin1 -t utf-8 {shown}",
        ) from None
    if not text.strip():
        raise UsageError(f"{shown} is empty")
    return path.name, text.replace("\r\n", "\n")
