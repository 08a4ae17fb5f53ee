"""The output of `specmemo batch`: one line a conversation, safe against a kill at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError


class OutputFile:
    """The output JSONL: one line is appended, flushed and synced per conversation, so a kill costs only the unfinished.

    `done` are the line numbers that an earlier run answered. A torn last line is cut off, and lines with an error are
    taken out: those conversations are tried again. Raises UsageError for a file that cannot be written or that another
    program wrote.
    """

    def __init__(self, path: Path) -> None:
        self.done: set[int] = set()
        self._path = path
        try:
            self._read_done()
            self._file = path.open("ab")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def _read_done(self) -> None:
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines(keepends=True)
        answered = []
        for line in lines:
            number, failed = self._parse(line)
            if not failed:
                answered.append(line)
                self.done.add(number)
        if len(answered) < len(lines):
            self._replace(answered)
        elif whole < len(data):
            os.truncate(self._path, whole)

    def _parse(self, line: bytes) -> tuple[int, bool]:
        """(The number of the input line, whether it could not be answered)."""
        try:
            values = json.loads(line)
            return int(values["input_line"]), "error" in values
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{self._path} holds lines that `specmemo batch` did not write", "give another file with -o"
            ) from None

    def write(self, values: dict[str, Any]) -> None:
        """Append one conversation."""
        # An id may hold half a surrogate pair: its bytes are then JSON's escape, as in the input.
        self._file.write(json.dumps(values, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def sort(self) -> None:
        """Put the lines into the order of the input, at once or not at all."""
        self._file.close()
        lines = self._path.read_bytes().splitlines(keepends=True)
        ordered = sorted(lines, key=self._parse)
        if ordered != lines:
            self._replace(ordered)

    def _replace(self, lines: list[bytes]) -> None:
        """Make these the file's lines, all at once."""
        beside = self._path.with_name(self._path.name + ".sorted")
        with beside.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, self._path.stat().st_mode & 0o777)
        os.replace(beside, self._path)

    def close(self) -> None:
        self._file.close()
