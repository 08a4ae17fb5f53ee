"""The history of typed lines: one file that several chats share."""

from __future__ import annotations

import datetime
import fcntl
import os
from pathlib import Path

from prompt_toolkit.history import FileHistory


class SharedHistory(FileHistory):
    """prompt-toolkit's history file, written one whole entry at a time under a lock.

    A file that cannot be written costs the history and not the chat: `problem` then says why.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self.problem: str | None = None

    def store_string(self, string: str) -> None:
        """Append one entry."""
        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        entry = f"\n# {datetime.datetime.now()}\n{lines}".encode(errors="surrogateescape")
        try:
            # Private also where the file was deleted while the chat goes on.
            number = os.open(self.filename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(number, "ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(entry)
        except OSError as error:
            self.problem = f"the history cannot be written to {self.filename!s}: {error.strerror}"
