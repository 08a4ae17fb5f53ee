"""How few tokens a text can have, by its bytes alone: read off a tokenizer.json or the metadata of a GGUF file, before
anything is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.errors import UsageError
from specmemo_chat.sizes import KIB, format_size

# Characters of a text that is encoded without much ado: its bytes are not looked at.
SHORT = 16 * KIB
# How many bytes of a text may become one byte when it is normalised, at most, by the kind of normaliser. Canonical
# compositions are a third of what they are made of, and compatible letters a quarter before that.
_SHRINK = {"Prepend": 1, "ByteLevel": 1, "NFC": 3, "NFD": 3, "NFKC": 12, "NFKD": 12, "Lowercase": 3}
# Pre-tokenizers that divide a text and leave nothing out, or only with this behaviour.
_DIVIDING = ("ByteLevel", "Split", "Digits", "Punctuation", "Metaspace", "UnicodeScripts", "FixedLength")
_LEAVING_OUT = "Removed"


@dataclass(frozen=True)
class Coverage:
    """A token stands for `most` bytes of the text at most; the bytes `free` may cost nothing."""

    most: int
    free: bytes = b""

    def fewest(self, text: str) -> int:
        """A number of tokens that `text` has or exceeds in a prompt. Blanks around it count nothing: templates trim."""
        return math.ceil(len(text.strip().encode(errors="replace").translate(None, self.free)) / self.most)


def check_length(text: str, what: str, folder: Path, context: int) -> None:
    """Raise UsageError where `text`, named `what`, is too long for `context` tokens of the model in `folder`."""
    if len(text) <= SHORT:
        return
    coverage = read_coverage(folder)
    tokens = coverage.fewest(text) if coverage is not None else 0
    if coverage is not None and tokens > context:
        size = format_size(len(text.encode(errors="replace")))
        raise UsageError(
            f"{what} is longer than the context: {size} are {tokens} tokens or more, and the context holds {context}",
            f"shorten it: no more than {format_size(context * coverage.most)} can fit",
        )


@lru_cache(maxsize=1)
def read_coverage(folder: Path) -> Coverage | None:
    """The coverage of the tokenizer in `folder`, or in a GGUF file; None where nothing is certain: it has no
    tokenizer.json, or may leave text out.

    Sound for byte-pair models: a token is a piece of the vocabulary or an added one, so it covers no more bytes of the
    normalised text than the longest of these has, and normalising shrinks a text by a known factor. Models that make
    one token of any run of unknown letters, and normalisers and splits that drop text, give no bound; bytes for which a
    byte-level vocabulary has no letter are free.
    """
    if folder.is_file():
        return _coverage_of_gguf(read_gguf(folder).metadata)
    try:
        values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        return _coverage(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _coverage_of_gguf(metadata: Mapping[str, Any]) -> Coverage | None:
    """Such files name their normaliser not: NFC shrinks most of those that there are."""
    words, kind = metadata.get("tokenizer.ggml.tokens", ()), metadata.get("tokenizer.ggml.model")
    pieces = frozenset(words)
    most = max((len(word.encode()) for word in pieces), default=0)
    if most and kind == "gpt2":
        letters = _letters()
        return Coverage(_SHRINK["NFC"] * most, bytes(byte for byte in range(256) if letters[byte] not in pieces))
    blanks = metadata.get("tokenizer.ggml.remove_extra_whitespaces")
    if kind == "llama" and not blanks and all(f"<0x{byte:02X}>" in pieces for byte in range(256)):
        return Coverage(most)
    return None


def _coverage(values: dict[str, Any]) -> Coverage | None:
    model, added = values["model"], values.get("added_tokens") or []
    shrink, steps = _shrink(values.get("normalizer")), _steps(values.get("pre_tokenizer"), "pretokenizers")
    if model.get("type", "BPE") != "BPE" or not shrink or any(token["lstrip"] or token["rstrip"] for token in added):
        return None
    if not all(step["type"] in _DIVIDING and step.get("behavior") != _LEAVING_OUT for step in steps):
        return None
    pieces = model["vocab"]
    contents = [len(token["content"].encode()) for token in added]
    normalising = _steps(values.get("normalizer"), "normalizers")
    if any(step["type"] == "ByteLevel" for step in (*steps, *normalising)):
        letters = _letters()
        free = bytes(byte for byte in range(256) if letters[byte] not in pieces)
        return Coverage(shrink * max(max(map(len, pieces)), *contents, 1), free)
    if model.get("byte_fallback") and all(f"<0x{byte:02X}>" in pieces for byte in range(256)):
        return Coverage(shrink * max(max(len(piece.encode()) for piece in pieces), *contents, 1))
    return None


def _steps(part: dict[str, Any] | None, several: str) -> list[dict[str, Any]]:
    """The parts of a sequence, flattened."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [step for inner in part[several] for step in _steps(inner, several)]


def _shrink(normalizer: dict[str, Any] | None) -> int:
    """The product over the normaliser's steps; 0 where one may drop text."""
    factor = 1
    for step in _steps(normalizer, "normalizers"):
        if step["type"] == "Replace":
            old, new = step["pattern"].get("String", ""), step["content"]
            factor *= math.ceil(len(old.encode()) / len(new.encode())) if old and new else 0
        else:
            factor *= _SHRINK.get(step["type"], 0)
    return factor


def _letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary (Radford et al. 2019, GPT-2)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
