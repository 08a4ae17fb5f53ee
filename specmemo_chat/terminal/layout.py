"""Lines that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

# In fewer columns words are broken anyway.
NARROWEST = 20


def wrapped(text: str, width: int) -> Iterator[str]:
    """The lines of `text`; a longer one is broken between words, and goes on further in where it was indented."""
    for line in text.split("\n"):
        if len(line) <= width:
            yield line
            continue
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(
            line,
            max(NARROWEST, width),
            subsequent_indent=f"{indent}  " if indent else "",
            replace_whitespace=False,
            break_on_hyphens=False,
        )
