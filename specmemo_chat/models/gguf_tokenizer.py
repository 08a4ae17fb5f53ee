"""The tokenizer of a GGUF file, built from its metadata.

"gpt2" is byte-level BPE with merges, and a pre-tokenizer by name; "llama" is SentencePiece's BPE: the merges follow
from the pieces and their scores (Kudo and Richardson 2018), and what no piece covers becomes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from specmemo_chat.catalog.gguf_tokens import (
    BYTE_LEVEL,
    CONTROL,
    KEY,
    NORMAL,
    PRE_TOKENIZERS,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Vocabulary,
    corrupt,
    flag,
    numbers,
    read_vocabulary,
)  # fmt: skip
from specmemo_chat.models.splits import SPLITS

# SentencePiece's blank.
_BLANK = "▁"


def tokenizer_of(metadata: Mapping[str, Any], file: Path) -> tuple[Tokenizer, Vocabulary]:
    """The tokenizer in the metadata of `file`, with a post-processor for BOS and EOS. Raises ModelError, naming the
    key, for a kind of tokenizer or pre-tokenizer that is not supported and for what cannot be."""
    vocabulary = read_vocabulary(metadata, file)
    if vocabulary.kind == BYTE_LEVEL:
        made, begins = _byte_level(metadata, vocabulary)
    else:
        made, begins = _sentencepiece(metadata, vocabulary), True
    _add_tokens(made, vocabulary)
    bos = vocabulary.bos if flag(metadata, file, "add_bos_token", default=begins) else None
    eos = vocabulary.eos if flag(metadata, file, "add_eos_token", default=False) else None
    _frame(made, vocabulary, bos, eos)
    return made, vocabulary


def _byte_level(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> tuple[Tokenizer, bool]:
    """The tokenizer, and whether texts begin with BOS where the file does not say."""
    splits = SPLITS[metadata.get(KEY + "pre", PRE_TOKENIZERS[0])]
    lines = metadata.get(KEY + "merges")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise corrupt(vocabulary.file, "merges", "it is no list of merges")
    # A piece may begin with a blank where it is no byte.
    merges = [(line[:at], line[at + 1 :]) for line in lines if (at := line.find(" ", 1)) > 0]
    if len(merges) < len(lines):
        line = next(line for line in lines if line.find(" ", 1) < 0)
        raise corrupt(vocabulary.file, "merges", f"{line!r} is no pair of tokens")
    made = Tokenizer(_bpe(vocabulary, merges, ignore_merges=splits.whole))
    made.pre_tokenizer = pre_tokenizers.Sequence(list(splits.steps))
    made.decoder = decoders.ByteLevel()
    if splits.composed:
        made.normalizer = normalizers.NFC()
    return made, splits.bos


def _sentencepiece(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> Tokenizer:
    unknown = None if vocabulary.unknown is None else vocabulary.words[vocabulary.unknown]
    merges = _merges(metadata, vocabulary)
    made = Tokenizer(_bpe(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    prefix = flag(metadata, vocabulary.file, "add_space_prefix", default=True)
    steps: list[Any] = []
    if flag(metadata, vocabulary.file, "remove_extra_whitespaces", default=False):
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if prefix and _has_instructions(vocabulary):
        made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_BLANK, prepend_scheme="first", split=False)
    else:
        steps += [normalizers.Prepend(_BLANK)] if prefix else []
        steps += [normalizers.Replace(" ", _BLANK)]
    if steps:
        made.normalizer = normalizers.Sequence(steps)
    decoded: list[Any] = [decoders.Replace(_BLANK, " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*decoded, decoders.Strip(" ", 1, 0)] if prefix else decoded)
    return made


def _has_instructions(vocabulary: Vocabulary) -> bool:
    """Mistral's tokenizers since version 2: nothing is put before a text that follows a special token. The older ones,
    and all of Llama 2, put a blank there too; a file has no other sign of it."""
    return any(
        word == "[INST]" and kind == CONTROL for word, kind in zip(vocabulary.words, vocabulary.types, strict=True)
    )


def _merges(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, best piece first: SentencePiece merges the pair whose whole has the
    highest score. Of one piece's ways that with the longest left part comes first, as transformers orders them."""
    scores = numbers(metadata, vocabulary.file, "scores", len(vocabulary.words))
    if scores is None:
        raise corrupt(vocabulary.file, "scores", "there are none")
    types = vocabulary.types
    pieces = {word: token for token, word in enumerate(vocabulary.words) if types[token] in (NORMAL, UNUSED)}
    best_first = sorted(pieces, key=lambda word: (-scores[pieces[word]], pieces[word]))
    return [
        (left, right)
        for word in best_first
        for cut in range(len(word) - 1, 0, -1)
        if (left := word[:cut]) in pieces and (right := word[cut:]) in pieces
    ]


def _bpe(vocabulary: Vocabulary, merges: list[tuple[str, str]], **options: Any) -> models.BPE:
    ids = {word: token for token, word in enumerate(vocabulary.words)}
    try:
        return models.BPE(ids, merges, **options)
    except Exception as error:  # the library raises nothing narrower
        raise corrupt(vocabulary.file, "merges", str(error)) from error


def _add_tokens(made: Tokenizer, vocabulary: Vocabulary) -> None:
    """Tokens that are found in a text before all else. Control tokens, and those with a task, are no text."""
    tasks = {vocabulary.bos, vocabulary.eos, *vocabulary.ends}
    special, others = [], []
    for token, kind in enumerate(vocabulary.types):
        if kind in (CONTROL, UNKNOWN) or token in tasks:
            special.append(AddedToken(vocabulary.words[token], normalized=False, special=True))
        elif kind == USER_DEFINED:
            others.append(AddedToken(vocabulary.words[token], normalized=False, special=False))
    made.add_special_tokens(special)
    made.add_tokens(others)


def _frame(made: Tokenizer, vocabulary: Vocabulary, bos: int | None, eos: int | None) -> None:
    ends = [(name, token) for name, token in (("bos", bos), ("eos", eos)) if token is not None]
    if ends:
        single = [*(["bos"] if bos is not None else []), "$A", *(["eos"] if eos is not None else [])]
        tokens: Any = [{"id": name, "ids": [token], "tokens": [vocabulary.words[token]]} for name, token in ends]
        made.post_processor = processors.TemplateProcessing(single=single, special_tokens=tokens)
