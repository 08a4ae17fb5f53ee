"""docs/reference.md as data, for tests that hold it against the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
# Objects that are described elsewhere on the page, or in words.
WHOLE = {"stats", "environment", "settings", "not_run", "control", "held_out", "sweep", "steps", "memory"}
RATIOS = {"speedup_vs_plain", "reply_speedup_vs_plain", "fixed"}


def section(title: str) -> str:
    """The text below the heading `title`, up to the next heading of its level or a higher one."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^(##+) {re.escape(title)}\n", text, re.MULTILINE)
    assert found is not None, f"{PAGE.name} has no section {title!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{2,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows, without their heads."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if re.fullmatch(r"\|[ |-]+", line):
            found.pop()
        elif line.startswith("|"):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def quoted(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def check_keys(title: str, *examples: dict[str, Any]) -> None:
    """Assert that the section `title` names the keys of the objects: none that no example has, none is missing, and
    only those that are marked so may be left out."""
    named = {}
    for names, meaning in rows(section(title)):
        for path in quoted(names):
            named[path] = meaning.startswith("*optional*")
    assert named, title
    seen = set()
    for example in examples:
        paths = set(_paths(example))
        for path in paths:
            known = [name for name in named if _covers(name, path)]
            assert known, f"{title}: {path} is not in {PAGE.name}"
            seen |= set(known)
        for name, optional in named.items():
            there = any(_covers(name, path) or path.startswith(f"{name}.") for path in paths)
            assert optional or there, f"{title}: there is no {name}"
    assert seen == set(named), f"{title}: no example has {set(named) - seen}"


def _covers(name: str, path: str) -> bool:
    """Whether a name of the page (capitals: any key) stands for the path of an object."""
    pattern = re.sub(r"\b[A-Z]{2,}\b", r"[^.]+", re.escape(name))
    last = name.rpartition(".")[2]
    below = r"(\..+|\[\].*)?" if last in WHOLE | RATIOS else ""
    return re.fullmatch(pattern + r"(\[\])?" + below, path) is not None


def _paths(value: Any, before: str = "") -> Iterator[str]:
    """The path of every leaf; an empty list or object is one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _paths(inner, f"{before}.{key}" if before else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for inner in value:
            yield from _paths(inner, f"{before}[]")
    else:
        yield before
