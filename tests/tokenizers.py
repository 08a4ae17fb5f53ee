"""Small tokenizers of every kind that chat models have, as folders that transformers reads."""

from __future__ import annotations

import json
import string
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

KINDS = ("prepend", "metaspace always", "metaspace first", "metaspace never", "byte level")
SPECIAL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
UNK, BOS, EOS, IM_START, IM_END = range(len(SPECIAL))


def save_tokenizer(folder: Path, kind: str, *, bos: bool = False, eos: bool = False) -> Path:
    """Write a tokenizer of `kind`; `bos` and `eos`: its post-processor puts them around a text."""
    made = _byte_level() if kind == "byte level" else _sentence_pieces(kind)
    made.add_special_tokens(list(SPECIAL))
    if bos or eos:
        single = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
        made.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _sentence_pieces(kind: str) -> Tokenizer:
    """Llama 2's, Mistral's and Gemma's kind: pieces with "▁" for a blank, tokens for single bytes."""
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("▁", "the"),
        ("i", "n"),
        ("▁", "a"),
        ("▁", "s"),
        ("#", "#"),
        ("##", "#"),
        ("e", "r"),
    ]
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *string.printable[:94]]
    pieces += [left + right for left, right in merges]
    made = Tokenizer(
        models.BPE({piece: at for at, piece in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True)
    )
    blanks = decoders.Replace("▁", " ")
    if kind == "prepend":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        scheme = kind.removeprefix("metaspace ")
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    strip = [] if kind == "metaspace never" else [decoders.Strip(" ", 1, 0)]
    made.decoder = decoders.Sequence([blanks, decoders.ByteFallback(), decoders.Fuse(), *strip])
    return made


def _byte_level() -> Tokenizer:
    """GPT-2's, Llama 3's and Qwen's kind."""
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a"), ("Ċ", "Ċ"), ("#", "#"), (".", "ĊĊ")]
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in merges)]
    made = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return made
