"""Texts of every sort, from a seed: scripts, code, blanks, digits, emoji, control characters, special tokens."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence

# First and last code points of scripts that tokenizers treat differently.
_SCRIPTS = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x530, 0x58F), (0x590, 0x5FF),
    (0x600, 0x6FF), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE7F), (0x1000, 0x109F), (0x10A0, 0x10FF),
    (0x1100, 0x11FF), (0x1200, 0x137F), (0x1780, 0x17FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F),
    (0x20A0, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFB4F),
    (0xFF00, 0xFFEF), (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x1F300, 0x1FAFF),
    (0x20000, 0x2A6DF),
]  # fmt: skip
_WORDS = [
    "the", "The", "THE", "don't", "WE'LL", "I'M", "it's", "naïve", "e\u0301", "camelCase", "snake_case", "HTTPServer",
    "über", "ΑΒΓ", "ǅ", "ﬁ", "漢字", "かな", "カナ", "한국어", "ไทย", "हिन्दी", "עברית", "العربية", "Ⅻ", "²", "½", "٣٤٥",
    "３４", "👩‍👩‍👧", "🇩🇪", "🏳️‍🌈", "✨", "\u200b", "\ufeff", "\u00ad", "\x00", "\x07", "\x1b[0m", "\x7f", "\x85",
    "\u2028", "\ufffd", "▁", "▁▁", "Ġ", "Ċ", "<0x0A>", "<unk>", "[PAD1]", "\\n", "&amp;", "https://a.b/c?d=1&e=%20",
    "x@y.org", "C:\\dir\\",
]  # fmt: skip
_CODE = [
    "def f(x):\n    return x ** 2\n", "if (a && b) { c += 1; }\n", "#include <stdio.h>\r\n", "\tfor i in range(10):\n",
    "SELECT * FROM t WHERE a='b';", "<div class=\"x\">…</div>", "λx → x²", "// ======\n", "{{ user }}", "a[i][j]->k",
    "``` \n",
]  # fmt: skip
_BLANKS = [
    " ",
    "  ",
    "   ",
    " " * 8,
    " " * 33,
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    " \n",
    "\n ",
    "\u00a0",
    "\u3000",
    " \t \n\n ",
    "\v",
]


def any_texts(count: int, *, seed: int = 1, special: Sequence[str] = ()) -> list[str]:
    """`count` texts of up to a few dozen parts, with the tokens `special` among them."""
    chance = random.Random(seed)
    return ["".join(_part(chance, special) for _ in range(chance.randint(1, 12))) for _ in range(count)]


def _part(chance: random.Random, special: Sequence[str]) -> str:
    kind = chance.random()
    if kind < 0.25:
        low, high = chance.choice(_SCRIPTS)
        return "".join(chr(chance.randint(low, high)) for _ in range(chance.randint(1, 8)))
    if kind < 0.45:
        return chance.choice(_WORDS) + chance.choice(["", " ", ".", ", ", "'", "!?"])
    if kind < 0.6:
        return chance.choice(_BLANKS)
    if kind < 0.7:
        return chance.choice(["", " ", "-", "$"]) + str(chance.randrange(10 ** chance.randint(1, 9)))
    if kind < 0.8:
        return chance.choice(_CODE)
    if kind < 0.87 and special:
        return chance.choice(special)
    if kind < 0.92:
        return chance.choice(["a", "1", "=", "-", "\n", " ", "的", "!", "ha"]) * chance.randint(2, 30)
    if kind < 0.96:
        return "".join(chance.choice(" .,;:!?'\"()[]{}<>/\\|@#$%^&*+-=_~`") for _ in range(chance.randint(1, 6)))
    # Any character but halves of surrogate pairs, which are no Unicode text.
    return "".join(chr(point) for point in chance.sample(range(sys.maxunicode + 1), 4) if not 0xD800 <= point < 0xE000)
