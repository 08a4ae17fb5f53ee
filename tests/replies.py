"""Model outputs as bad as they get: bytes, escapes, unfinished Markdown, huge lines; plain paragraphs among them."""

from __future__ import annotations

import random
from dataclasses import dataclass

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHER_WORDS = [
    "naïve",
    "größer",
    "日本語",
    "你好世界",
    "Ünïcödé",
    "привет",
    "שלום",
    "e\u0301te\u0301",
    "한국어",
    "🙂",
    "ไทย",
]
_ESCAPES = [
    "\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b[2J\x1b[H", "\x1b[?25l", "\x1b[?1049h", "\x1b[31;5m",
    "\x9b2J",
    "\x1bc", "\x1b[1000A", "\x1b[6n", "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "\x1bP$q\x1b\\",
    "\x90x\x9c",
    "\x07", "\x08\x08\x08", "\r", "\x0e", "\x1b[?7l", "\x1b(0", "\x1b[3;5r", "\u202egnp.exe", "\u2066x", "\ufeff",
    "\u200b", "\x85", "\u2028", "\x00", "\x7f", "\x1b", "\x1b[", "\U000e0041",
]  # fmt: skip
_MARKDOWN = [
    "**", "*", "_", "__", "~~", "`", "``", "```", "```python", "~~~", "````", "# ", "####### ", "> ", ">> ", "- ", "* ",
    "1. ", "99999999999. ", "- [ ] ", "[", "](", ")", "![", "<", ">", "<think>", "</think>", "|", "|---|", "| a | b |",
    "|-|-|", "---", "===", "***", "\\", "\\*", "&amp;", "&#27;", "&#x9b;", "&#x202e;", "<br>", "http://", "https://x.y/z_",
    "    ", "\t", "  ", "+ + + + ", "/*", "*/", '"""', "'", "$$", "\\(",
]  # fmt: skip
_LANGUAGES = [
    "python",
    "c",
    "js",
    "html",
    "php",
    "yaml",
    "json",
    "console",
    "diff",
    "rust",
    "make",
    "nonsense",
    "../x",
    "sql",
]


@dataclass(frozen=True)
class Reply:
    """A text, and the plain paragraphs that stand in it between blank lines."""

    text: str
    paragraphs: tuple[str, ...]


def fuzzed_reply(seed: int) -> Reply:
    """The reply number `seed`."""
    rng = random.Random(seed)
    parts: list[str] = []
    paragraphs: list[str] = []
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.6:
            paragraph = _paragraph(rng, f"p{seed}x{len(paragraphs)}")
            paragraphs.append(paragraph)
            parts.append(f"\n\n{paragraph}\n\n")
        else:
            parts.append(rng.choice([_bytes, _markdown, _escapes, _lines, _code, _table, _nested])(rng))
    return Reply("".join(parts), tuple(paragraphs))


def chunked(text: str, rng: random.Random) -> list[str]:
    """The text cut anywhere, as tokens would be: mostly small pieces."""
    pieces, at = [], 0
    while at < len(text):
        size = rng.choice((1, 1, 2, 3, 5, 8, 40, 400))
        pieces.append(text[at : at + size])
        at += size
    return pieces


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randint(1, 12)))


def _paragraph(rng: random.Random, name: str) -> str:
    count = rng.choice([3, 10, 40, 200])
    words = [rng.choice(_OTHER_WORDS) if rng.random() < 0.1 else _word(rng) for _ in range(count)]
    return " ".join([name, *words, name + "end"])


def _bytes(rng: random.Random) -> str:
    return rng.randbytes(rng.randint(1, 300)).decode(
        "utf-8", errors=rng.choice(["replace", "ignore", "surrogateescape"])
    )


def _markdown(rng: random.Random) -> str:
    glue = rng.choice(["", " ", "\n"])
    return glue.join(rng.choice([*_MARKDOWN, _word(rng), "\n"]) for _ in range(rng.randint(1, 60)))


def _escapes(rng: random.Random) -> str:
    return "".join(rng.choice([*_ESCAPES, _word(rng)]) for _ in range(rng.randint(1, 20)))


def _lines(rng: random.Random) -> str:
    kind = rng.randint(0, 4)
    size = rng.choice([500, 2000, 6000])
    if kind == 0:
        return rng.choice("x*_`[#|>-~<&\\") * size
    if kind == 1:
        return "你好" * (size // 2)
    if kind == 2:
        return "".join(chr(rng.randint(0x20, 0x2FFFF)) for _ in range(300)).encode("utf-8", "replace").decode()
    if kind == 3:
        return "".join(rng.choice(["👨‍👩‍👧‍👦", "🇩🇪", "❤️", "é" * 3, "a" + "\u0301" * 30, "👍🏽"]) for _ in range(100))
    return rng.choice(["- ", "> ", "1. ", "# ", "| "]) + " ".join(_word(rng) for _ in range(size // 8))


def _code(rng: random.Random) -> str:
    lines = [
        rng.choice([_word(rng), *_MARKDOWN, 'print("x")', "int x = 3; /* open", "<?php echo 1 ?>"]) for _ in range(20)
    ]
    fence = rng.choice(["```", "~~~", "````"])
    return f"\n{fence}{rng.choice(_LANGUAGES)}\n" + "\n".join(lines) + rng.choice([f"\n{fence}\n", "\n``", ""])


def _table(rng: random.Random) -> str:
    columns = rng.randint(1, 12)
    rows = ["|".join(_word(rng) for _ in range(rng.randint(1, columns))) + "|" for _ in range(rng.choice([1, 5, 130]))]
    return "\n" + "|".join(["h"] * columns) + "|\n" + "|".join([":-:"] * columns) + "|\n" + "\n".join(rows) + "\n"


def _nested(rng: random.Random) -> str:
    deep = rng.randint(1, 30)
    return "\n".join(rng.choice(["  " * level + "- ", ">" * level + " "]) + _word(rng) for level in range(deep))
