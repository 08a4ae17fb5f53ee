"""A tokenizer and an embedding of different sizes: what can be said is said, what cannot is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer

from specmemo_chat.chat.conversation import Conversation
from specmemo_chat.chat.history import History
from specmemo_chat.drafters import make_drafter
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.errors import Flag, ModelError, UsageError
from specmemo_chat.events import ReplyEnd
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.tokenizer import ChatTokenizer, read_template
from specmemo_chat.settings import GenerationSettings
from tests.models import random_model, tiny_plan
from tests.tiny import POCKET
from tests.tokenizers import UNK, save_tokenizer

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{{ end }}"
IMAGE = "<image_soft_token>"


def save(
    folder: Path, kind: str = "prepend", *, rows: int = 0, eos: Any = None, image: bool = True, **named: bool
) -> int:
    """A model and a tokenizer of `kind` with one token more than its embedding has rows, which is for images; or of
    `rows` rows. Returns the rows."""
    save_tokenizer(folder, kind, **named)
    file = str(folder / "tokenizer.json")
    made = Tokenizer.from_file(file)
    rows = rows or made.get_vocab_size()
    if image:
        made.add_special_tokens([AddedToken(IMAGE, special=True)])
    made.save(file)
    model = random_model("llama", vocab_size=rows, max_position_embeddings=512)
    model.generation_config.eos_token_id = eos
    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return rows


def conversation(folder: Path, draft: Path | None = None) -> Conversation:
    target = load_target(str(folder), dtype="fp32", device="cpu")
    tokenizer = ChatTokenizer(str(folder))
    template = read_template("auto", tokenizer)
    tokenizer.check(template, target.eos_ids)
    plan = tiny_plan(target=str(folder), draft=str(draft), drafters=("model",), draft_dtype="fp32")
    drafter = make_drafter(plan, target) if draft is not None else NgramDrafter()
    return Conversation(Engine(target, drafter, plan), tokenizer, History(tokenizer, template, target.eos_ids))


def reply(chat: Conversation, text: str, **settings: Any) -> ReplyEnd:
    last = list(chat.reply(text, GenerationSettings(**{"max_new_tokens": 8, **settings}), lambda: False))[-1]
    assert isinstance(last, ReplyEnd)
    return last


def test_a_token_without_a_row_becomes_the_unknown_one(tmp_path: Path) -> None:
    rows = save(tmp_path)
    tokenizer = ChatTokenizer(str(tmp_path))
    assert tokenizer.vocab_size == rows + 1
    ids = tokenizer.encode(f"the {IMAGE} in")
    assert UNK in ids
    assert max(ids) < rows
    chat = conversation(tmp_path)
    assert reply(chat, f"What is {IMAGE}?").stats.new_tokens == 8
    assert reply(chat, "And then?").stats.reused_tokens > 8


def test_where_the_tokenizer_knows_everything_it_is_refused_by_name(tmp_path: Path) -> None:
    rows = save(tmp_path, "byte level")
    chat = conversation(tmp_path)
    with pytest.raises(UsageError, match=rf"the token '{IMAGE}' \({rows}\), for which this model has no embedding"):
        reply(chat, f"What is {IMAGE}?")
    # And the conversation goes on.
    assert reply(chat, "the end").stats.new_tokens == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "chat_template.jinja").write_text(TEMPLATE + IMAGE), "the chat template writes"),
        (lambda folder: configure(folder, "generation_config.json", eos_token_id=9999), "a reply ends with"),
        (lambda folder: configure(folder, "generation_config.json", eos_token_id=[9999, 9998]), "a reply ends with"),
    ],
    ids=["template", "end", "ends"],
)
def test_what_every_conversation_needs_must_have_a_row(tmp_path: Path, change: Any, words: str) -> None:
    rows = save(tmp_path)
    change(tmp_path)
    with pytest.raises(ModelError, match=words) as caught:
        conversation(tmp_path)
    assert f"has {rows} rows" in caught.value.message


def configure(folder: Path, name: str, **values: Any) -> None:
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_one_end_token_of_several_is_enough(tmp_path: Path) -> None:
    save(tmp_path, eos=[2, 9999])
    assert reply(conversation(tmp_path), "the end").stats.new_tokens


def test_without_a_template_the_frame_must_have_rows(tmp_path: Path) -> None:
    save(tmp_path, rows=1, bos=True, image=False)
    with pytest.raises(ModelError, match="every text begins or ends with the token '<s>'"):
        ChatTokenizer(str(tmp_path)).check(None, frozenset())


@pytest.mark.parametrize("kind", ["prepend", "byte level"])
def test_rows_that_no_token_has_may_be_said(tmp_path: Path, kind: str) -> None:
    """A padded embedding: the likeliest token is always one that the tokenizer does not know."""
    save(tmp_path, kind, rows=400, image=False)
    chat = conversation(tmp_path)
    model: Any = chat.engine.target.model
    known = ChatTokenizer(str(tmp_path)).vocab_size
    with torch.no_grad():
        bias = torch.zeros(400).index_fill(0, torch.tensor([known, 399]), 100.0)
    model.lm_head.register_forward_hook(lambda _module, _given, out: out + bias)
    for settings in ({}, {"temperature": 1.0, "seed": 3, "repeat_penalty": 1.2}):
        last = reply(chat, "the end", **settings)
        assert last.stats.new_tokens == 8
        assert reply(chat, "And then?", **settings).stats.reused_tokens > 8
    assert max(chat.history.turns[0].reply_ids) >= known


def test_a_draft_with_fewer_rows_drafts(tmp_path: Path) -> None:
    target, draft = tmp_path / "target", tmp_path / "draft"
    save(target, rows=400)
    rows = save(draft)
    assert rows < 400
    plain, drafted = conversation(target), conversation(target, draft)
    for text in ("the end", f"{IMAGE} in the"):
        reply(plain, text)
        reply(drafted, text)
    assert [turn.reply_ids for turn in plain.history.turns] == [turn.reply_ids for turn in drafted.history.turns]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("chat_template", "{% if %}", "is broken, line 1"),
        ("chat_template", 5, "is no text: 5"),
        ("eos_token", 5, "cannot be read"),
        ("tokenizer.json", {"a": 1}, "cannot be read"),
        ("tokenizer.json", {"model": None}, "cannot be read"),
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}, "cannot be read"),
    ],
)
def test_a_tokenizer_that_is_json_and_none_is_named(tmp_path: Path, name: str, value: Any, words: str) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(POCKET / file, tmp_path)
    if name.endswith(".json"):
        values = value if "a" in value else {**json.loads((tmp_path / name).read_text()), **value}
        (tmp_path / name).write_text(json.dumps(values))
    else:
        configure(tmp_path, "tokenizer_config.json", **{name: value})
    with pytest.raises(ModelError, match=words):
        ChatTokenizer(str(tmp_path)).check(read_template("auto", ChatTokenizer(str(tmp_path))), frozenset())


def test_a_template_of_the_users_that_is_broken_is_a_usage_error(tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(str(POCKET))
    for text in ("{% if %}", "{{ messages + 1 }}"):
        with pytest.raises(UsageError) as caught:
            tokenizer.render([{"role": "user", "content": "x"}], text, reply=True)
        assert any(isinstance(remedy, Flag) for remedy in caught.value.remedies)
