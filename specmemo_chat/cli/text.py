"""Text from a model, a file name or an error is untrusted: what may reach the terminal."""

from __future__ import annotations

import re

# C0 without tab and newline, DEL and C1: cursor, titles, clipboard (OSC 52) all begin with one of them.
# The bidi embeddings, overrides and isolates can make text read differently from what it is.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def safe(text: str) -> str:
    """`text` without control and bidi characters; newlines and tabs stay."""
    return _SURROGATE.sub("\ufffd", _UNSAFE.sub("", text))


def safe_line(text: str) -> str:
    """`safe` on one line."""
    return " ".join(safe(text).split())
