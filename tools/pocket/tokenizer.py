"""Pocket's tokenizer: byte-level BPE with single digits, trained on the generator's dialogues."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer

VOCABULARY = 2048
PAD, USER, ASSISTANT, SYSTEM, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
SPECIAL = (PAD, USER, ASSISTANT, SYSTEM, END)
ROLE_TOKENS = {"user": USER, "assistant": ASSISTANT, "system": SYSTEM}

# What a user types without a capital and an end mark gets them, as most of what the model was trained on has them: a
# model this small takes "how do i fix a tap" for something else than "How do I fix a tap?". Left as it is: a single
# word, and what may be meant literally (quotes, digits and signs, or one of these words).
_QUESTIONS = "who what where when why how which can could do does did is are was were will would should may am".split()
_LITERAL_MARKS = ":\"'“”`=+*/0123456789"
_LITERAL_WORDS = (
    "spell letter letters word words repeat say upper capital capitals opposite echo copy backwards shout".split()
)
# Every message is preceded by a blank: " word" and "word" are different tokens, and repeating a message's first word
# would fail otherwise.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- set text = message['content'] | trim -%}"
    "{%- if message['role'] == 'user' and ' ' in text -%}"
    "{%- set found = namespace(literal=false) -%}"
    f"{{%- for mark in {json.dumps(_LITERAL_MARKS, ensure_ascii=False)} -%}}"
    "{%- if mark in text -%}{%- set found.literal = true -%}{%- endif -%}"
    "{%- endfor -%}"
    f"{{%- for word in {_LITERAL_WORDS} -%}}"
    "{%- if word in text.lower().split() -%}{%- set found.literal = true -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if not found.literal -%}"
    f"{{%- set end = '?' if text.lower().split()[0] in {_QUESTIONS} else '.' -%}}"
    "{%- set text = text[:1].upper() + text[1:] + (end if text[-1:].isalnum() else '') -%}"
    "{%- endif -%}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|> ' + text + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Tokenizer:
    """A tokenizer with `vocabulary` entries. All 256 bytes are in it, so that nothing is unknown."""
    tokenizer = Tokenizer(BPE())
    # Each digit, and each character outside letters and blanks, is a token of its own; a word takes its blank along.
    tokenizer.pre_tokenizer = Sequence(
        [Split(Regex(r"\d| ?[A-Za-z']+| ?[^\sA-Za-z\d]|\s+"), "isolated"), ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=12,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token, which every tokenizer made here has."""
    found = tokenizer.token_to_id(token)
    assert found is not None, token
    return found


def encode_dialogue(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> tuple[list[int], list[bool]]:
    """Token ids of a dialogue, and which of them the model is trained to produce (replies with their end token)."""
    ids: list[int] = []
    wanted: list[bool] = []
    end = _id(tokenizer, END)
    encoded = tokenizer.encode_batch([" " + message["content"].strip() for message in messages])
    for message, encoding in zip(messages, encoded, strict=True):
        body = [*encoding.ids, end]
        ids += [_id(tokenizer, ROLE_TOKENS[message["role"]]), *body]
        wanted += [False] + [message["role"] == "assistant"] * len(body)
    return ids, wanted


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write the files that transformers' AutoTokenizer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "pad_token": PAD,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
