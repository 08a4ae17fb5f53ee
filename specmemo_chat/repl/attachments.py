"""Text files that go along with the next message."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from specmemo_chat import texts
from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import counted, format_size
from specmemo_chat.terminal.text import safe, safe_line


@dataclass(frozen=True)
class Attachment:
    """A file's text; `tokens` is what it costs the model that is loaded. `path` tells it from others of its name."""

    name: str
    text: str
    tokens: int
    path: str = ""

    @property
    def block(self) -> str:
        """The text as a fenced block with the file's name."""
        return fenced(self.name, self.text)


def listed(attached: Iterable[Attachment]) -> str:
    """The files' names and sizes, on one line."""
    return ", ".join(f"{safe_line(each.name)} ({counted(each.tokens, 'token')})" for each in attached)


def naming(error: UsageError, attached: Sequence[Attachment]) -> UsageError:
    """The error of a message that could not be answered, with the files that went along with it."""
    goes = "goes" if len(attached) == 1 else "go"
    back = "/read - takes it back" if len(attached) == 1 else "/read - takes them back, /read - NAME one of them"
    return UsageError(f"{error.message}; {listed(attached)} {goes} along with it", back, *error.remedies)


def fenced(name: str, text: str) -> str:
    """`text` between fences that are longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{name}:\n{fence}\n{text.rstrip()}\n{fence}"


def compose(message: str, attached: list[Attachment]) -> str:
    """The message, after the files that go along with it."""
    return "\n\n".join([*(attachment.block for attachment in attached), message])


_BLOCK = re.compile(r"(?P<name>[^\n]+):\n(?P<fence>`{3,})\n.*?\n(?P=fence)\n\n", re.DOTALL)


def parted(message: str) -> tuple[str, list[str]]:
    """What the user wrote, and the names of the files that went along."""
    names = []
    while (block := _BLOCK.match(message)) is not None:
        names.append(block["name"])
        message = message[block.end() :]
    return message, names


def shown(message: str) -> str:
    """What the user wrote, and the names of the files that went along."""
    text, names = parted(message)
    return safe(f"{text} (+ {', '.join(names)})" if names else text)


def gist(message: str) -> str:
    """`shown` on one line."""
    return safe_line(shown(message))


# What may go by a file's name and has no end, or waits for a writer.
_NO_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_text(name: str) -> tuple[str, str]:
    """(the file's name, its text). Raises UsageError where it is no readable UTF-8 text, and before anything is read
    where it is no file or too long."""
    path = Path(name).expanduser()
    shown = safe_line(str(path))
    try:
        status = path.stat()
        for kind, words in _NO_FILES:
            if kind(status.st_mode):
                raise UsageError(f"{shown} is {words}", "give one file with text; Tab completes its name")
        if status.st_size > texts.LARGEST:
            size, limit = format_size(status.st_size), format_size(texts.LARGEST)
            raise UsageError(f"{shown} has {size}, and no context holds that much", f"give a file of at most {limit}")
        if status.st_size == 0:
            # Also what the system makes up at every reading, as in /proc; some of it waits or never ends.
            raise UsageError(f"{shown} is empty", "give a file that is kept on a disk, and not empty")
        with path.open("rb") as file:
            data = texts.read_at_most(file, shown)
    except FileNotFoundError:
        raise UsageError(f"there is no file {shown}", "Tab completes file names") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    texts.check_encoding(data, shown)
    if b"\0" in data[:8192]:
        raise UsageError(f"{shown} is no text", "give a text file")
    text = texts.decode(data, shown)
    if not text.strip():
        raise UsageError(f"{shown} is empty")
    # A name that is no UTF-8 is shown to the model as it is shown to the user.
    return os.fsencode(path.name).decode("utf-8", "replace"), text.replace("\r\n", "\n")
