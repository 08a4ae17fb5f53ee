"""Tokenizers of GGUF files against those that they were written from, on texts of every sort."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2

from specmemo_chat.catalog.gguf import read_gguf
from specmemo_chat.catalog.gguf_config import read_gguf_config
from specmemo_chat.catalog.gguf_tokens import PRE_TOKENIZERS, special_id
from specmemo_chat.drafters.pairing import check_tokenizers
from specmemo_chat.errors import ModelError, UsageError
from specmemo_chat.models import splits
from specmemo_chat.models.tokenizer import ChatTokenizer, read_template
from tests.any_text import any_texts
from tests.gguf_models import add_key, add_tokenizer, write_gguf
from tests.made_tokenizers import LLAMA_3
from tests.models import random_model
from tests.tiny import POCKET

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)
# Two special tokens and one that is found in texts and stays text.
BEGIN, END, THINK = "<|im_start|>", "<|im_end|>", "<think>"
SPECIAL = (BEGIN, END, THINK, "<thinking", "<|im_start|><|im_end|>")
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{{ eos_token }}{% endfor %}"
# What the model's own tokenizer.json has, by the name that files have for it.
SPLITS = {
    "gpt-2": [],
    "smollm": [pre_tokenizers.Digits(individual_digits=True)],
    "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA_3), "isolated")],
    "qwen2": [pre_tokenizers.Split(Regex(QWEN2), "isolated")],
}


def save(path: Path, **keys: Any) -> Path:
    """A file of metadata alone: `keys` of tokenizer.ggml, None for what is missing, and chat templates."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in keys.items():
        add_key(writer, f"tokenizer.{name}" if name.startswith("chat_template") else f"tokenizer.ggml.{name}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@cache
def byte_level(pre: str) -> Tokenizer:
    """As the model's own tokenizer.json, with words of its own: trained on texts of every sort."""
    made = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not SPLITS[pre] or pre == "smollm")
    made.pre_tokenizer = pre_tokenizers.Sequence([*SPLITS[pre], level])
    made.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        made.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False, initial_alphabet=alphabet)
    made.train_from_iterator(any_texts(1500, seed=7), trainer)
    add(made)
    return made


def add(made: Tokenizer) -> None:
    made.add_special_tokens([BEGIN, END])
    made.add_tokens([AddedToken(THINK, normalized=False)])


def save_byte_level(path: Path, pre: str, **keys: Any) -> Path:
    made = byte_level(pre if pre in SPLITS else "gpt-2")
    state = json.loads(made.to_str())["model"]
    words = [str(made.id_to_token(token)) for token in range(made.get_vocab_size())]
    types = [*[NORMAL] * (len(words) - 3), CONTROL, CONTROL, USER]
    merges = [" ".join(pair) for pair in state["merges"]]
    ids: dict[str, Any] = {"bos_token_id": words.index(BEGIN), "eos_token_id": words.index(END)}
    values = {"model": "gpt2", "pre": pre, "tokens": words, "token_type": types, "merges": merges, **ids, **keys}
    return save(path, **values)


@cache
def pieces() -> list[str]:
    """Pieces as SentencePiece trains them, best first."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=2500, limit_alphabet=300, show_progress=False)
    made.train_from_iterator(any_texts(2500, seed=7), trainer)
    found = [word for word, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]
    # Pieces come before the characters that they are made of.
    return [*(word for word in found if len(word) > 1 and "<" not in word), *(word for word in found if len(word) == 1)]


@cache
def sentencepiece_words() -> list[str]:
    return ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces(), BEGIN, END, THINK]


def save_sentencepiece(path: Path, **keys: Any) -> Path:
    words, own = sentencepiece_words(), len(pieces())
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * own, CONTROL, CONTROL, USER]
    scores = [*[0.0] * 259, *[-float(place) for place in range(own)], *[0.0] * 3]
    values = {"model": "llama", "pre": "default", "tokens": words, "token_type": types, "scores": scores, **keys}
    return save(path, **values)


def by_scores(text: str, prefix: str, *, first: bool = False) -> list[str]:
    """SentencePiece's BPE (Kudo and Richardson 2018) by its definition: the best pair of neighbours is joined, the left
    one of equals; what is no piece is written in bytes. `prefix` is put before every text between special tokens, or
    before the `first` only, where nothing stands before it and it does not begin with a blank."""
    found: list[str] = []
    for at, part in enumerate(re.split(r"(<unk>|<s>|</s>|<\|im_start\|>|<\|im_end\|>|<think>)", text)):
        if at % 2:
            found.append(part)
        elif part:
            marked = part.replace(" ", "▁")
            bare = first and (found or marked.startswith("▁"))
            found += _joined(list(marked if bare else prefix + marked))
    return found


def _joined(symbols: list[str]) -> list[str]:
    ranks = _ranks()
    while True:
        pairs = [(ranks[a + b], at) for at, (a, b) in enumerate(pairwise(symbols)) if a + b in ranks]
        if not pairs:
            break
        at = min(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    return [
        word
        for symbol in symbols
        for word in ([symbol] if symbol in ranks else [f"<0x{byte:02X}>" for byte in symbol.encode()])
    ]


@cache
def _ranks() -> dict[str, int]:
    return {word: place for place, word in enumerate(pieces())}


def streamed(tokenizer: ChatTokenizer, ids: list[int]) -> str:
    stream = tokenizer.stream()
    return "".join(stream.push(token) for token in ids) + stream.flush()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.mark.parametrize("pre", SPLITS)
def test_byte_level_ids_are_those_of_the_model_s_own_tokenizer(pre: str, written: Path) -> None:
    read, own = ChatTokenizer(str(save_byte_level(written / f"{pre}.gguf", pre))), byte_level(pre)
    for text in any_texts(2500, seed=11, special=SPECIAL):
        ids = read.encode(text)
        assert ids == own.encode(text, add_special_tokens=False).ids, text
        assert read.decode(ids) == own.decode(ids), text
        assert streamed(read, ids) == own.decode(ids), text


@pytest.mark.parametrize("prefix", ["▁", ""])
def test_sentencepiece_ids_are_those_of_its_definition(prefix: str, written: Path) -> None:
    file = save_sentencepiece(written / f"pieces{prefix}.gguf", add_space_prefix=bool(prefix))
    read, words = ChatTokenizer(str(file)), sentencepiece_words()
    for text in any_texts(1000, seed=12, special=SPECIAL):
        ids = read.encode(text)
        assert [words[token] for token in ids] == by_scores(text, prefix), text
        assert streamed(read, ids) == read.decode(ids), text
        if not any(special in text for special in ("<unk>", *SPECIAL)):
            assert read.decode(ids) == text.replace("▁", " "), text


def test_mistral_s_newer_tokenizers_put_a_blank_before_the_text_only(written: Path) -> None:
    words = [word if word != BEGIN else "[INST]" for word in sentencepiece_words()]
    read = ChatTokenizer(str(save_sentencepiece(written / "mistral.gguf", tokens=words)))
    for text in any_texts(300, seed=13, special=(END, THINK)):
        assert [words[token] for token in read.encode(text)] == by_scores(text, "▁", first=True), text
    said = [words[token] for token in read.encode("<s>[INST] a[INST]a")]
    assert said == ["<s>", "[INST]", "▁a", "[INST]", "a"]


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=60))
def test_any_text_is_read_alike(text: str, written: Path) -> None:
    read, own = _read(written, "llama-bpe"), byte_level("llama-bpe")
    assert read.encode(text) == own.encode(text, add_special_tokens=False).ids
    assert read.decode(read.encode(text)) == text
    assert [sentencepiece_words()[token] for token in _read(written, "").encode(text)] == by_scores(text, "▁")


@cache
def _read(folder: Path, pre: str) -> ChatTokenizer:
    file = folder / f"any-{pre}.gguf"
    return ChatTokenizer(str(save_byte_level(file, pre) if pre else save_sentencepiece(file)))


def test_pocket_s_tokenizer_in_a_file_is_the_one_in_its_folder(tmp_path: Path) -> None:
    """Words, special tokens and chat template; its way to divide texts has no name in files."""
    writer = gguf.GGUFWriter(tmp_path / "pocket.gguf", "llama")
    add_tokenizer(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read, own = ChatTokenizer(str(tmp_path / "pocket.gguf")), ChatTokenizer(str(POCKET))
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello there"}]
    template = read_template("auto", read)
    assert template == own.template
    assert template is not None
    text = read.render(said, template, reply=True)
    assert text == own.render(said, template, reply=True)
    assert read.encode(text) == own.encode(text)
    assert (read.eos_id, read.vocab_size, read.frame) == (own.eos_id, own.vocab_size, own.frame)
    assert read.count(text) == len(read.encode(text))
    read.check(template, frozenset([own.eos_id or 0]))


def test_texts_are_framed_as_the_file_says(tmp_path: Path) -> None:
    """SentencePiece's begin with BOS unless it says otherwise; byte-level ones only where their models do so."""
    made = byte_level("gpt-2").get_vocab()
    bos, eos = made[BEGIN], made[END]
    for at, (pre, said, frame) in enumerate(
        [
            ("gpt-2", {}, ([], [])),
            ("llama-bpe", {}, ([byte_level("llama-bpe").get_vocab()[BEGIN]], [])),
            ("llama-bpe", {"add_bos_token": False}, ([], [])),
            ("llama-bpe", {"bos_token_id": None}, ([], [])),
            ("gpt-2", {"add_bos_token": True, "add_eos_token": True}, ([bos], [eos])),
        ]
    ):
        read = ChatTokenizer(str(save_byte_level(tmp_path / f"{at}.gguf", pre, **said)))
        assert read.frame == frame
        ids = read.encode("a")
        assert read.encode("a", framed=True) == [*frame[0], *ids, *frame[1]]
    assert ChatTokenizer(str(save_sentencepiece(tmp_path / "s.gguf"))).frame == ([1], [])
    assert ChatTokenizer(str(save_sentencepiece(tmp_path / "n.gguf", add_bos_token=False))).frame == ([], [])
    both = save_sentencepiece(tmp_path / "b.gguf", add_eos_token=True, bos_token_id=2, eos_token_id=1)
    assert ChatTokenizer(str(both)).frame == ([2], [1])


def test_control_tokens_are_no_text_and_the_user_s_are(tmp_path: Path) -> None:
    read = ChatTokenizer(str(save_byte_level(tmp_path / "m.gguf", "qwen2")))
    ids = read.encode(f"a{BEGIN}{THINK}b{END}")
    assert len(ids) == 5
    assert read.decode(ids) == streamed(read, ids) == f"a{THINK}b"
    assert read.decode(ids, special=True) == f"a{BEGIN}{THINK}b{END}"


def test_end_tokens_are_special_whatever_their_type(tmp_path: Path) -> None:
    """Files made of models with tokens that were added later have them as ordinary ones."""
    count = byte_level("qwen2").get_vocab_size()
    file = save_byte_level(tmp_path / "m.gguf", "qwen2", token_type=[NORMAL] * count, eos_token_id=None)
    read = ChatTokenizer(str(file))
    assert len(read.encode(END)) == 1
    assert read.decode(read.encode(END)) == ""
    assert len(read.encode(THINK)) > 1


def test_a_file_may_say_nothing_of_types_and_default_tokens(tmp_path: Path) -> None:
    file = save_sentencepiece(tmp_path / "m.gguf", token_type=None)
    read = ChatTokenizer(str(file))
    assert special_id(read_gguf(file).metadata, "eos") == 2
    assert read.frame == ([1], [])
    assert read.eos_id == 2
    assert read.encode("</s>") == [2]


def test_a_padding_token_beyond_the_end_is_none(tmp_path: Path) -> None:
    """Nothing is filled up here, and converters write such ones."""
    read = ChatTokenizer(str(save_byte_level(tmp_path / "m.gguf", "gpt-2", padding_token_id=99999)))
    assert read.render([{"role": "user", "content": "a"}], "{{ pad_token }}", reply=True) == ""


def test_pieces_with_equal_scores_are_joined_in_their_order(tmp_path: Path) -> None:
    """Converters without scores write the same one for all."""
    own = [-1000.0] * len(sentencepiece_words())
    read, text = ChatTokenizer(str(save_sentencepiece(tmp_path / "m.gguf", scores=own))), "SELECT * FROM the // =="
    assert [sentencepiece_words()[token] for token in read.encode(text)] == by_scores(text, "▁")


def test_superfluous_blanks_go_where_the_file_says_so(tmp_path: Path) -> None:
    read = ChatTokenizer(str(save_sentencepiece(tmp_path / "m.gguf", remove_extra_whitespaces=True)))
    assert read.decode(read.encode("  the  a   ")) == "the a"


def test_the_unknown_token_stands_for_what_there_are_no_bytes_for(tmp_path: Path) -> None:
    words = ["<unk>", "<s>", "</s>", "▁", "a"]
    file = save(tmp_path / "m.gguf", model="llama", tokens=words, scores=[0.0, 0.0, 0.0, -1.0, -2.0])
    assert ChatTokenizer(str(file)).encode("a漢字a") == [3, 4, 0, 4]


def test_the_chat_template_is_the_one_without_a_name(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "a"}]
    plain = ChatTokenizer(str(save_byte_level(tmp_path / "p.gguf", "gpt-2", chat_template=TEMPLATE)))
    assert plain.template == TEMPLATE
    assert plain.render(said, TEMPLATE, reply=False) == f"{BEGIN}[user]a{END}"
    named = {"chat_template.default": TEMPLATE, "chat_template.tool_use": "x"}
    assert ChatTokenizer(str(save_byte_level(tmp_path / "n.gguf", "gpt-2", **named))).template == TEMPLATE
    none = ChatTokenizer(str(save_byte_level(tmp_path / "o.gguf", "gpt-2")))
    with pytest.raises(UsageError, match="this model has no chat template: it is a base model"):
        read_template("auto", none)
    broken = ChatTokenizer(str(save_byte_level(tmp_path / "b.gguf", "gpt-2", chat_template="{% if %}")))
    with pytest.raises(ModelError, match=r"the chat template in .*b\.gguf is broken, line 1"):
        broken.render(said, broken.template or "", reply=False)


def test_a_draft_of_a_folder_and_a_target_of_a_file_may_write_blanks_differently(tmp_path: Path) -> None:
    """llama.cpp's converter writes plain blanks in tokens that are found in texts."""
    words = [word if word != THINK else "  " for word in sentencepiece_words()]
    file = save_sentencepiece(tmp_path / "m.gguf", tokens=words)
    vocabulary = {word.replace(" ", "▁"): token for token, word in enumerate(words)}
    Tokenizer(models.BPE(vocabulary, [])).save(str(tmp_path / "tokenizer.json"))
    check_tokenizers(tmp_path, file)
    check_tokenizers(file, tmp_path)


@pytest.mark.parametrize("kind", ["bert", "rwkv", "t5", "plamo2", "no_vocab", None])
def test_other_kinds_of_tokenizers_are_named(kind: str | None, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.ggml\.model") as caught:
        ChatTokenizer(str(save_byte_level(tmp_path / "m.gguf", "gpt-2", model=kind)))
    assert ("no tokenizer" if kind is None else repr(kind)) in caught.value.message


@pytest.mark.parametrize(("name", "value"), [("model", "bert"), ("pre", "brand-new")])
def test_a_plan_refuses_a_tokenizer_that_a_chat_would_refuse(name: str, value: str, tmp_path: Path) -> None:
    """Before anything is downloaded."""
    file = write_gguf(tmp_path / "m.gguf", random_model("llama"), keys={f"tokenizer.ggml.{name}": value})
    with pytest.raises(ModelError, match=rf"'{value}' \(tokenizer\.ggml\.{name}\)"):
        read_gguf_config(file)


def test_every_name_has_its_way_to_divide_texts() -> None:
    assert sorted(splits.SPLITS) == sorted(PRE_TOKENIZERS)


BYTES, PIECES = save_byte_level, save_sentencepiece
DAMAGE: list[tuple[Any, str, Any, str]] = [
    (BYTES, "pre", "brand-new", r"'brand-new' \(tokenizer\.ggml\.pre\)"),
    (BYTES, "tokens", None, r"no list of tokens \(tokenizer\.ggml\.tokens\)"),
    (BYTES, "tokens", [], r"no list of tokens"),
    (BYTES, "tokens", [1, 2, 3], r"no list of tokens"),
    (BYTES, "tokens", ["a", "b", "a"], r"'a' is token 0 and token 2"),
    (BYTES, "merges", None, r"no list of merges \(tokenizer\.ggml\.merges\)"),
    (BYTES, "merges", ["a b", "ab"], r"'ab' is no pair of tokens \(tokenizer\.ggml\.merges\)"),
    (BYTES, "merges", ["a 漢"], r"漢.* \(tokenizer\.ggml\.merges\)"),
    (BYTES, "token_type", [1, 2], r"2 entries, and there are [\d,]+ tokens \(tokenizer\.ggml\.token_type\)"),
    (BYTES, "token_type", "normal", r"tokenizer\.ggml\.token_type"),
    (BYTES, "bos_token_id", 99999, r"99999, and there are [\d,]+ tokens \(tokenizer\.ggml\.bos_token_id\)"),
    (BYTES, "eos_token_id", "x", r"\(tokenizer\.ggml\.eos_token_id\)"),
    (BYTES, "eot_token_id", 99999, r"\(tokenizer\.ggml\.eot_token_id\)"),
    (BYTES, "eom_token_id", 99999, r"\(tokenizer\.ggml\.eom_token_id\)"),
    (BYTES, "add_bos_token", "yes", r"'yes', no truth value \(tokenizer\.ggml\.add_bos_token\)"),
    (BYTES, "chat_template", 7, r"no text: 7 \(tokenizer\.chat_template\)"),
    (PIECES, "scores", None, r"there are none \(tokenizer\.ggml\.scores\)"),
    (PIECES, "scores", [0.0], r"1 entries, and there are [\d,]+ tokens \(tokenizer\.ggml\.scores\)"),
    (PIECES, "scores", [float("nan")] * 2000, r"\(tokenizer\.ggml\.scores\)"),
    (PIECES, "unknown_token_id", 99999, r"\(tokenizer\.ggml\.unknown_token_id\)"),
    (PIECES, "add_space_prefix", 3, r"\(tokenizer\.ggml\.add_space_prefix\)"),
]


@pytest.mark.parametrize(("save_it", "key", "value", "message"), DAMAGE)
def test_damage_is_one_error_that_names_the_key(
    save_it: Any, key: str, value: Any, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.gguf"
    save_it(file, **({"pre": "gpt-2"} if save_it is BYTES else {}) | {key: value})
    with pytest.raises(ModelError, match=message) as caught:
        ChatTokenizer(str(file)).template  # noqa: B018
    assert str(file) in caught.value.message
    assert caught.value.remedies
