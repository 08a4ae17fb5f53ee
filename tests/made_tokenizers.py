"""Small tokenizers of every kind that is met, and texts that are hard to divide."""

from __future__ import annotations

import random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from tests.tiny import POCKET

WORDS = [
    "the",
    "quick",
    "fox",
    "übermäßig",
    "漢字",
    "かな",
    "🙂🙂",
    "e\u0301",
    "don't",
    "\n\n\t",
    "12",
    "1234567",
    "3.14",
]
WORDS += ["//", "====", "aaaa", "\r\n", "\u3000", "<|user|>", "</s>", "  ", "    ", "x1y2", "\x00", "ﬁ", "1" * 80, "\n"]
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
GROUPS = [
    ("1", "1"),
    ("11", "1"),
    ("2", "3"),
    ("4", "5"),
    ("45", "6"),
    ("t", "h"),
    ("th", "e"),
    ("Ġ", "the"),
    ("a", "a"),
]
GROUPS += [
    ("aa", "aa"),
    ("aaaa", "aaaa"),
    ("Ġ", "Ġ"),
    ("ĠĠ", "ĠĠ"),
    ("Ċ", "Ċ"),
    ("Ã", "¼"),
    ("o", "n"),
    ("d", "on"),
    ("e", "Ì"),
]


def byte_level(pattern: str | None, *, prefix: bool = False, composed: bool = False) -> Tokenizer:
    """Byte-level BPE that splits by `pattern` (None: not at all)."""
    pieces = [*ALPHABET, *(a + b for a, b in GROUPS)]
    made = Tokenizer(models.BPE(vocab={piece: at for at, piece in enumerate(pieces)}, merges=GROUPS))
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*splits, level])
    if composed:
        made.normalizer = normalizers.NFC()
    made.add_special_tokens(["<|user|>"])
    return made


def sentencepiece() -> Tokenizer:
    """As Llama 2 has it: "▁" for blanks and before the text, bytes for what no piece covers, no splits at all."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"abcdefghijklmnopqrstuvwxyz0123456789",
    ]
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("▁", "the"),
        ("a", "a"),
        ("aa", "aa"),
        ("▁", "▁"),
        ("▁▁", "▁▁"),
        ("o", "n"),
        ("1", "1"),
    ]
    pieces += [a + b for a, b in merges]
    bpe = models.BPE(
        vocab={piece: at for at, piece in enumerate(pieces)},
        merges=merges,
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    made = Tokenizer(bpe)
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.ByteFallback()
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    return made


def unigram() -> Tokenizer:
    """As T5 has it: words begin with "▁", and the likeliest pieces win."""
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("▁the", -3.0), ("aa", -2.5), ("th", -3.5), ("on", -3.0), ("11", -2.7)]
    made = Tokenizer(models.Unigram([*pieces, *((c, -4.0) for c in "abcdefghijklmnopqrstuvwxyz0123456789")], unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FROM_THE_RIGHT = r"\p{L}+|\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))| ?[^\s\p{L}\p{N}]+|\s+"
TOKENIZERS = {
    "pocket": Tokenizer.from_file(str(POCKET / "tokenizer.json")),
    "GPT-2": byte_level(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
    "Llama 3": byte_level(LLAMA_3),
    "digits one by one": byte_level(r"\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"),
    "digits from the right": byte_level(FROM_THE_RIGHT),
    "no splits, composed": byte_level(None, composed=True),
    "a blank before": byte_level(LLAMA_3, prefix=True),
    "SentencePiece": sentencepiece(),
    "unigram": unigram(),
}


def texts() -> list[str]:
    """Mixed ones, and such that offer nothing to divide them at."""
    chance = random.Random(3)
    mixed = []
    for _ in range(3):
        words = [chance.choice(WORDS) + chance.choice([" ", " ", "", "\n"]) for _ in range(3000)]
        runs = [
            chance.choice(["a", "1", "12", " ", "\n", "漢", "-", "the "]) * chance.randint(300, 2500) for _ in range(9)
        ]
        for run in runs:
            words.insert(chance.randrange(len(words)), run)
        mixed.append("".join(words))
    return mixed + [piece * (5000 // len(piece)) for piece in ("a", "ab", "1", "12", " ", "漢字", "the ", "e\u0301")]


TEXTS = texts()
