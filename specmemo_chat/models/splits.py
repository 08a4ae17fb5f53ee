"""How byte-level tokenizers divide a text into words before they merge bytes, by llama.cpp's names for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Regex, pre_tokenizers


@dataclass(frozen=True)
class Splits:
    """How a byte-level tokenizer divides a text into words, by steps one after the other. `whole`: a word that is a
    token is not merged. `composed`: of a text in NFC. `bos`: one begins every text, where the file does not say."""

    steps: tuple[Any, ...]
    whole: bool = False
    composed: bool = False
    bos: bool = False


def _by(*patterns: str) -> tuple[Any, ...]:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return (*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))


def _words(digits: str) -> str:
    """The pattern of Llama 3 and Qwen 2, which differ in how many `digits` are a word."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_DIGITS = pre_tokenizers.Digits(individual_digits=True)
# The pattern of GPT-2 is ByteLevel's own.
_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Letters of two cases, as DeepSeek LLM lists them.
_CASED = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-"
    "\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-"
    "\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15"
    "\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc"
    "\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107"
    "\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f"
    "\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-"
    "\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-"
    "\U000118df\U0001e900-\U0001e943"
)
_HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_LLAMA3 = Splits(_by(_words(r"\p{N}{1,3}")), whole=True, bos=True)
_QWEN2 = Splits(_by(_words(r"\p{N}")), composed=True)
_SINGLE_DIGITS = Splits((_DIGITS, _GPT2))
# By the names of llama.cpp (tokenizer.ggml.pre), as the tokenizer.json of the models has them.
SPLITS = {
    **dict.fromkeys(["default", "gpt-2"], Splits((_GPT2,))),
    **dict.fromkeys(["smollm", "starcoder", "refact"], _SINGLE_DIGITS),
    **dict.fromkeys(["llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "midm-2.0"], _LLAMA3),
    **dict.fromkeys(["qwen2", "deepseek-r1-qwen"], _QWEN2),
    "smaug-bpe": Splits(_LLAMA3.steps),
    "tekken": Splits(_by(_TEKKEN), whole=True, bos=True),
    "deepseek-llm": Splits(
        _by(
            r"[\r\n]", rf"\s?[{_CASED}]+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$",
            _HAN, r"\p{N}",
        )
    ),
    "deepseek-coder": Splits(_by(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN, r"\p{N}")),
    "deepseek-v3": Splits(_by(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", _DEEPSEEK)),
}  # fmt: skip
