"""An arena whose changes are noted, so that another one can be changed alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from specmemo_chat.kv.arena import KVArena

Note = Callable[[str, tuple[Any, ...]], None]


def _unheard(_name: str, _arguments: tuple[Any, ...]) -> None:
    """Before anybody listens."""


class RecordingArena(KVArena):
    """Calls `note(name, arguments)` after each change that its user asks for, not for those that a change asks for
    itself. What `window` and `store` change belongs to a forward, which every worker runs."""

    note: Note = staticmethod(_unheard)
    _changing = False

    def _noted(self, name: str, change: Callable[..., Any], *arguments: Any) -> Any:
        if self._changing:
            return change(*arguments)
        self._changing = True
        try:
            result = change(*arguments)
        finally:
            self._changing = False
        self.note(name, arguments)
        return result

    def place(self, row: int) -> int:
        place: int = self._noted("place", super().place, row)
        return place

    def line_up(self, rows: Sequence[int]) -> list[int]:
        order: list[int] = self._noted("line_up", super().line_up, list(rows))
        return order

    def release(self, row: int) -> None:
        self._noted("release", super().release, row)

    def reserve(self, tokens: int) -> None:
        self._noted("reserve", super().reserve, tokens)

    def shrink(self) -> None:
        self._noted("shrink", super().shrink)

    def extend(self, row: int, tokens: int) -> None:
        self._noted("extend", super().extend, row, tokens)

    def commit_all(self, rows: Sequence[int], paths: Sequence[Sequence[int]]) -> None:
        self._noted("commit_all", super().commit_all, list(rows), [list(path) for path in paths])

    def truncate(self, row: int, length: int) -> None:
        self._noted("truncate", super().truncate, row, length)


def replay(arena: KVArena, name: str, arguments: Sequence[Any]) -> None:
    """Change `arena` as a RecordingArena noted it. Raises ValueError for a change that none notes."""
    match name, arguments:
        case "place", (row,):
            arena.place(row)
        case "line_up", (rows,):
            arena.line_up(rows)
        case "release", (row,):
            arena.release(row)
        case "reserve", (tokens,):
            arena.reserve(tokens)
        case "shrink", ():
            arena.shrink()
        case "extend", (row, tokens):
            arena.extend(row, tokens)
        case "commit_all", (rows, paths):
            arena.commit_all(rows, paths)
        case "truncate", (row, length):
            arena.truncate(row, length)
        case _:
            raise ValueError(f"no change of an arena is called {name}{tuple(arguments)}")
