"""The output of `specmemo batch`: one line a conversation, safe against a kill at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError


class OutputFile:
    """The output JSONL: one line is appended, flushed and synced per conversation, so a kill costs only the unfinished.

    `done` are the line numbers that an earlier run finished; a torn last line is cut off. Raises UsageError for a file
    that cannot be written or that something else wrote.
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
        if whole < len(data):
            os.truncate(self._path, whole)
        for line in data[:whole].splitlines():
            self.done.add(self._number(line))

    def _number(self, line: bytes) -> int:
        try:
            return int(json.loads(line)["input_line"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{self._path} holds lines that `specmemo batch` did not write", "give another file with -o"
            ) from None

    def write(self, values: dict[str, Any]) -> None:
        """Append one conversation."""
        self._file.write(json.dumps(values, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def sort(self) -> None:
        """Put the lines into the order of the input, at once or not at all."""
        self._file.close()
        lines = self._path.read_bytes().splitlines(keepends=True)
        ordered = sorted(lines, key=self._number)
        if ordered != lines:
            beside = self._path.with_name(self._path.name + ".sorted")
            with beside.open("wb") as file:
                file.writelines(ordered)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, self._path.stat().st_mode & 0o777)
            os.replace(beside, self._path)

    def close(self) -> None:
        self._file.close()
