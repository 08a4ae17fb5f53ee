"""What a GGUF file says of its tokens: words by id, their types, the special ones and the chat template, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.damage import AGAIN
from specmemo_chat.errors import ModelError

KEY = "tokenizer.ggml."
TEMPLATE = "tokenizer.chat_template"
# Types of tokens (llama.cpp, llama_token_type).
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"
# Ways to divide texts that byte-level tokenizers name (models/splits.py).
PRE_TOKENIZERS = (
    "default", "gpt-2", "smollm", "starcoder", "refact", "llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral",
    "midm-2.0", "smaug-bpe", "qwen2", "deepseek-r1-qwen", "tekken", "deepseek-llm", "deepseek-coder", "deepseek-v3",
)  # fmt: skip
# Tokens that end a reply by their text, as llama.cpp has it (llama-vocab.cpp).
END_TEXTS = frozenset((
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
))  # fmt: skip
# Ids of special tokens where a file of this kind does not name them (llama.cpp).
_DEFAULTS: dict[Any, dict[str, int]] = {SENTENCEPIECE: {"unknown": 0, "bos": 1, "eos": 2}}


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a file: `words` and `types` by id, and the ids of special ones; `ends` are all that end a reply."""

    file: Path
    kind: str
    words: Sequence[str]
    types: Sequence[int]
    bos: int | None
    eos: int | None
    unknown: int | None
    padding: int | None
    ends: frozenset[int]

    def names(self) -> dict[str, str]:
        """The special tokens by the names that chat templates know them by."""
        ids = {"bos_token": self.bos, "eos_token": self.eos, "unk_token": self.unknown, "pad_token": self.padding}
        return {name: self.words[token] for name, token in ids.items() if token is not None}


def check_kind(metadata: Mapping[str, Any], file: Path) -> None:
    """Raise ModelError where `file` has a tokenizer of a kind that is not supported, or one that divides texts in an
    unknown way; the key is named. Nothing is wrong with a file that says nothing of a tokenizer."""
    kind, pre = metadata.get(KEY + "model"), metadata.get(KEY + "pre", PRE_TOKENIZERS[0])
    remedy = "give a folder or repository with the model as transformers reads it"
    if kind is not None and kind not in (BYTE_LEVEL, SENTENCEPIECE):
        supported = f"supported are {BYTE_LEVEL} and {SENTENCEPIECE}"
        raise ModelError(f"{file} has a tokenizer of the kind {kind!r} ({KEY}model); {supported}", remedy)
    if kind == BYTE_LEVEL and pre not in PRE_TOKENIZERS:
        raise ModelError(
            f"{file} has a tokenizer that divides texts in a way that is not known here: {pre!r} ({KEY}pre)", remedy
        )


def read_vocabulary(metadata: Mapping[str, Any], file: Path) -> Vocabulary:
    """The vocabulary in the metadata of `file`. Raises ModelError, naming the key, for what `check_kind` refuses and
    for what cannot be."""
    check_kind(metadata, file)
    kind = metadata.get(KEY + "model")
    if kind is None:
        raise ModelError(f"{file} has no tokenizer ({KEY}model)", AGAIN)
    words = metadata.get(KEY + "tokens")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise corrupt(file, "tokens", "it is no list of tokens")
    words = [word or f"[EMPTY_{token}]" for token, word in enumerate(words)]
    if len(set(words)) < len(words):
        first: dict[str, int] = {}
        token = next(token for token, word in enumerate(words) if first.setdefault(word, token) != token)
        raise corrupt(file, "tokens", f"{words[token]!r} is token {first[words[token]]} and token {token}")
    types = numbers(metadata, file, "token_type", len(words)) or [NORMAL] * len(words)

    def special(name: str) -> int | None:
        token = special_id(metadata, name)
        if token is not None and (not isinstance(token, int) or not 0 <= token < len(words)):
            raise corrupt(file, f"{name}_token_id", f"it is {token!r}, and there are {len(words):,} tokens")
        return token

    eos = special("eos")
    stated = [token for token in (eos, special("eot"), special("eom")) if token is not None]
    named = (token for token, word in enumerate(words) if word in END_TEXTS)
    padding = special_id(metadata, "padding")
    # Nothing is filled up here; converters write ids that are beyond the end.
    filled = padding if isinstance(padding, int) and 0 <= padding < len(words) else None
    return Vocabulary(
        file, kind, words, types, special("bos"), eos, special("unknown"), filled,
        frozenset([*stated, *named]),
    )  # fmt: skip


def special_id(metadata: Mapping[str, Any], name: str) -> Any:
    """The id of the special token `name` ("bos", "eos", …), unchecked; None where there is none."""
    default = _DEFAULTS.get(metadata.get(KEY + "model"), {}).get(name)
    return metadata.get(f"{KEY}{name}_token_id", default)


def numbers(metadata: Mapping[str, Any], file: Path, name: str, count: int) -> Sequence[Any] | None:
    """The array `name`, one number a token; None where the file has none. Raises ModelError for any other."""
    values = metadata.get(KEY + name)
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
        entries = f"{len(values):,} entries" if isinstance(values, Sequence) else f"no list but {values!r}"
        raise corrupt(file, name, f"it has {entries}, and there are {count:,} tokens")
    if not all(isinstance(value, int | float) and value == value for value in values):
        raise corrupt(file, name, "it holds what is no number")
    return values


def flag(metadata: Mapping[str, Any], file: Path, name: str, *, default: bool) -> bool:
    """The truth value `name`. Raises ModelError where it is none."""
    value = metadata.get(KEY + name, default)
    if value not in (True, False):
        raise corrupt(file, name, f"it is {value!r}, no truth value")
    return bool(value)


def template_of(metadata: Mapping[str, Any], file: Path) -> str | None:
    """The chat template of the file: the one without a name, else the one named "default"."""
    template = metadata.get(TEMPLATE) or metadata.get(f"{TEMPLATE}.default")
    if template is not None and not isinstance(template, str):
        raise ModelError(f"the chat template in {file} is no text: {template!r} ({TEMPLATE})", AGAIN)
    return template or None


def corrupt(file: Path, name: str, why: str) -> ModelError:
    return ModelError(f"the tokenizer in {file} is corrupt: {why} ({KEY}{name})", AGAIN)
