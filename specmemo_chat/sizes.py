"""Sizes as people write them, and back: "6GiB" and "6G" are 6 · 2^30 bytes, "6GB" is 6 · 10^9. And counts of things."""

from __future__ import annotations

import re
from fractions import Fraction

from specmemo_chat.errors import UsageError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([kmgt]?)(i?b)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of "6GiB", "6G", "6GB", "512MiB", "1.5g" or plain "800000000". Raises UsageError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and match[3].lower() == "ib" and not match[2]):
        raise UsageError(f"{text!r} is not a size", "write for example 6GiB, 6G (= GiB), 6GB (10^9 bytes) or 800MiB")
    number, letter, suffix = match[1], match[2].lower(), (match[3] or "").lower()
    base = 1000 if letter and suffix == "b" else 1024
    # A fraction, not a float: 0.1 TB and the like stay exact to the byte.
    size = int(Fraction(number if not number.startswith(".") else f"0{number}") * base ** _POWERS[letter])
    if size <= 0:
        raise UsageError(f"the size {text!r} is less than one byte", "write for example 6GiB")
    return size


def format_size(size: int) -> str:
    """`size` bytes in the largest binary unit that keeps it at 1 or more: "6.0 GiB", "412.3 MiB", "512 B"."""
    if abs(size) < KIB:
        return f"{size} B"
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB")):
        # 1023.96 MiB would print as "1024.0 MiB": the next unit starts a little below its power.
        if abs(size) >= unit - unit // 20480:
            return f"{size / unit:.1f} {name}"
    return f"{size / KIB:.1f} KiB"


def counted(number: int, what: str, several: str = "") -> str:
    """ "1 turn", "2 turns"; `several`: the plural that is not made by an s."""
    return f"{number} {what if number == 1 else several or f'{what}s'}"
