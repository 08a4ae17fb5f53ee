"""Token ids to text as they come: in total what decoding all ids at once gives, special tokens left out."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """A stream of one tokenizer (`tokenizers.Tokenizer`). No ids make it raise: bytes that are no text become U+FFFD.

    What the next ids may still change is held back: bytes of an unfinished character, and, where a tokenizer falls
    back to bytes, all of their run, because one bad byte makes U+FFFD of each of them.
    """

    def __init__(self, backend: Any, special: frozenset[int]) -> None:
        """`special`: the ids of special tokens (`special_ids`)."""
        self._backend = backend
        self._special = special
        kinds = _decoders(backend)
        # Byte-level tokens are bytes and nothing else: no need to decode any of them twice.
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace") if set(kinds) == {"ByteLevel"} else None
        self._falls_back = "ByteFallback" in kinds
        # Ids whose text is out already: the last ones decide how what follows is joined to it.
        self._context: list[int] = []
        self._held: list[int] = []

    def push(self, token: int) -> str:
        """The text that `token` completes, "" where it completes none."""
        name: str | None = self._backend.id_to_token(token)
        if name is None or token in self._special:
            return ""
        if self._bytes is not None:
            return self._bytes.decode(_raw(name))
        self._held.append(token)
        if self._falls_back and _BYTE.fullmatch(name):
            return ""
        text = self._decoded()
        if text.endswith(_UNKNOWN):
            return ""
        self._context, self._held = self._held[-1:], []
        return text

    def flush(self) -> str:
        """What was held back, at the end of the ids."""
        if self._bytes is not None:
            return self._bytes.decode(b"", final=True)
        text, self._held = self._decoded(), []
        return text

    def _decoded(self) -> str:
        before: str = self._backend.decode(self._context, skip_special_tokens=True)
        whole: str = self._backend.decode(self._context + self._held, skip_special_tokens=True)
        return whole[len(before) :]


def special_ids(backend: Any) -> frozenset[int]:
    """The ids that are no text."""
    return frozenset(number for number, token in backend.get_added_tokens_decoder().items() if token.special)


def _decoders(backend: Any) -> list[str]:
    """The kinds of decoders that the tokenizer runs one after the other."""
    if backend.decoder is None:
        return []
    state = json.loads(backend.decoder.__getstate__())
    return [part["type"] for part in state.get("decoders", [state])]


def _alphabet() -> dict[str, int]:
    """The bytes that the characters of byte-level tokens stand for (GPT-2's table)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


_ALPHABET = _alphabet()


def _raw(name: str) -> bytes:
    """The bytes of a byte-level token; one with other characters (an added one) is its text."""
    values = [_ALPHABET.get(char) for char in name]
    return name.encode() if None in values else bytes(value for value in values if value is not None)
