"""The ids of a conversation are those of one encoding of its whole text, but for replies, which stay as generated."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from specmemo_chat.chat.history import History, Turn
from specmemo_chat.chat.reply_writer import ReplyWriter
from specmemo_chat.models.tokenizer import ChatTokenizer
from tests.tokenizers import BOS, EOS, IM_END, KINDS, save_tokenizer

_MESSAGES = "{% for m in messages %}{% if m.role == 'user' %}"
_OPENING = "{% endif %}{% endfor %}{% if add_generation_prompt %}"
# Each with the blank that it writes before a reply.
TEMPLATES = {
    "alpaca": (
        _MESSAGES + "### Instruction:\n{{ m.content }}\n\n{% else %}### Response:\n{{ m.content }}\n\n"
        + _OPENING + "### Response:\n{% endif %}",
        "",
    ),
    "alpaca with eos": (
        _MESSAGES + "### Instruction:\n{{ m.content }}\n\n{% else %}### Response:\n{{ m.content }}{{ eos_token }}\n\n"
        + _OPENING + "### Response:\n{% endif %}",
        "",
    ),
    "llama 2": (
        _MESSAGES + "{{ bos_token }}[INST] {{ m.content | trim }} [/INST]"
        "{% else %} {{ m.content | trim }} {{ eos_token }}" + _OPENING + "{% endif %}",
        " ",
    ),
    "mistral": (
        "{{ bos_token }}" + _MESSAGES + "[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}{{ eos_token }}" + _OPENING + "{% endif %}",
        " ",
    ),
    "zephyr": (
        _MESSAGES + "<|user|>\n{{ m.content }}{{ eos_token }}\n"
        "{% else %}<|assistant|>\n{{ m.content }}{{ eos_token }}\n" + _OPENING + "<|assistant|>\n{% endif %}",
        "",
    ),
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        "",
    ),
    "plain": (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
        "",
    ),
}  # fmt: skip
# "n" and "user" stand in what templates write, too.
REPLIES = ("the answer is here", "n", "user", "a </s")
ENDINGS = ("eos", "length", "stop", "continued")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {kind: save_tokenizer(root / kind, kind) for kind in KINDS}


@cache
def loaded(folder: Path) -> tuple[ChatTokenizer, Tokenizer]:
    return ChatTokenizer(str(folder)), Tokenizer.from_file(str(folder / "tokenizer.json"))


def encoded(backend: Tokenizer, text: str, border: int) -> tuple[list[int], list[int]]:
    """The ids of one encoding of `text` up to the character `border` and behind it."""
    encoding: Any = backend.encode(text, add_special_tokens=False)
    starts = [start for start, _ in encoding.offsets]
    ends = [end for _, end in encoding.offsets]
    at = next((index for index, start in enumerate(starts) if start >= border), len(starts))
    assert all(end <= border for end in ends[:at]), "a token reaches over the border: the case says nothing"
    return encoding.ids[:at], encoding.ids[at:]


def write(
    tokenizer: ChatTokenizer, turn: Turn, ids: list[int], stops: tuple[str, ...] = (), before: tuple[int, ...] = ()
) -> str:
    """The reply that these ids become; returns what was shown of it now."""
    writer = ReplyWriter(tokenizer, stops, frozenset({EOS, IM_END}), before)
    events = [*writer.push(tuple(ids), (False,) * len(ids)), *writer.flush()]
    writer.settle(turn)
    return "".join(getattr(event, "text", "") for event in events)


def answer(
    tokenizer: ChatTokenizer, history: History, turn: Turn, ids: list[int], ending: str, end: int, cut: list[int]
) -> None:
    """The model's `ids` as the reply of `turn`, which ends so; `cut`: the tokens "##" and "?"."""
    if ending == "eos":
        write(tokenizer, turn, [*ids, end])
    elif ending == "length":
        write(tokenizer, turn, ids)
    elif ending == "stop":
        # A stop text that begins inside of a token, which is so cut in two.
        write(tokenizer, turn, [*ids, *cut], ("#?",))
        assert turn.leftover == "#"
    else:
        half = len(ids) // 2
        write(tokenizer, turn, ids[:half])
        before = history.reopen()
        assert before == ids[:half]
        write(tokenizer, turn, ids[half:], before=tuple(before))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_ids_are_those_of_one_encoding(folders: dict[str, Path], name: str, kind: str, ending: str) -> None:
    tokenizer, backend = loaded(folders[kind])
    template, blank = TEMPLATES[name]
    end = IM_END if name == "chatml" else EOS
    cut = [backend.token_to_id("##"), backend.token_to_id("?")]
    for reply in REPLIES:
        history = History(tokenizer, template, frozenset({EOS, IM_END}))
        for number in range(3):
            text = f"Tell me </s> {number}" if number == 1 else f"What is {number}?"
            asked = tokenizer.render([*history.messages(), {"role": "user", "content": text}], template, reply=True)
            prompt = history.prompt(text)
            assert not prompt.rewritten
            if history.turns:
                last = history.turns[-1]
                covered = (last.reply or "").removesuffix(last.leftover)
                head = tokenizer.render([*history.messages(history.turns[:-1]), {"role": "user", "content": last.user}],
                                        template, reply=True)  # fmt: skip
                border = len(head) + len(blank) + len(covered)
                ids = last.reply_ids
                if ids[-1] == end:
                    if "eos" in name or end == IM_END or name in ("llama 2", "mistral", "zephyr"):
                        border = asked.index(tokenizer.decode([end], special=True), border)
                        border += len(tokenizer.decode([end], special=True))
                    else:
                        ids = ids[:-1]
                assert prompt.tokens == last.prompt + ids + encoded(backend, asked, border)[1]
            else:
                assert prompt.tokens == backend.encode(asked, add_special_tokens=False).ids
            turn = prompt.turn(text)
            history.turns.append(turn)
            answer(tokenizer, history, turn, encoded(backend, asked + blank + reply, len(asked))[1], ending, end, cut)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_restored_reply_has_the_ids_of_one_encoding(folders: dict[str, Path], name: str, kind: str) -> None:
    tokenizer, backend = loaded(folders[kind])
    template, blank = TEMPLATES[name]
    for reply in REPLIES:
        history = History(tokenizer, template, frozenset({EOS, IM_END}))
        history.turns = [Turn("What?", "the one"), Turn("And then?", reply)]
        asked = [*history.messages(history.turns[:1]), {"role": "user", "content": "And then?"}]
        opened = tokenizer.render(asked, template, reply=True)
        whole = backend.encode(opened + blank + reply, add_special_tokens=False).ids
        ids = history.reopen()
        assert history.turns[-1].prompt + ids == whole
        assert not history.prompt("More").rewritten


def test_a_token_that_would_reach_over_the_reply_s_end_leaves_it_as_it_is(folders: dict[str, Path]) -> None:
    tokenizer, backend = loaded(folders["byte level"])
    history = History(tokenizer, TEMPLATES["alpaca"][0], frozenset({EOS}))
    turn = history.prompt("What?").turn("What?")
    history.turns.append(turn)
    write(tokenizer, turn, tokenizer.encode("the end."))
    tokens = history.prompt("And?").tokens
    assert tokens[: turn.end] == turn.prompt + turn.reply_ids
    assert backend.decode(tokens[turn.end :]) == "\n\n### Instruction:\nAnd?\n\n### Response:\n"
    assert [backend.id_to_token(token) for token in tokens[turn.end :]][:2] == ["ĊĊ", "##"]


def test_a_template_whose_history_differs_from_what_was_asked_is_encoded_anew(folders: dict[str, Path]) -> None:
    """A reasoning model's template opens a block that it does not write again before the reply."""
    tokenizer, _ = loaded(folders["prepend"])
    template = TEMPLATES["plain"][0].replace("[assistant]{% endif %}", "[assistant]<think>\n{% endif %}")
    history = History(tokenizer, template, frozenset({EOS}))
    turn = history.prompt("What?").turn("What?")
    history.turns.append(turn)
    write(tokenizer, turn, tokenizer.encode("the end"))
    prompt = history.prompt("And?")
    messages = [*history.messages(), {"role": "user", "content": "And?"}]
    assert prompt.rewritten
    assert prompt.tokens == tokenizer.encode(tokenizer.render(messages, template, reply=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bos", "eos"), [(True, False), (True, True), (False, True), (False, False)])
def test_a_raw_text_keeps_the_tokens_that_its_tokenizer_adds(tmp_path: Path, kind: str, bos: bool, eos: bool) -> None:
    folder = save_tokenizer(tmp_path, kind, bos=bos, eos=eos)
    tokenizer, backend = ChatTokenizer(str(folder)), Tokenizer.from_file(str(folder / "tokenizer.json"))
    transformers: Any = AutoTokenizer.from_pretrained(folder)
    history = History(tokenizer, None, frozenset({EOS}))
    assert history.prompt("Tell me the").tokens == transformers("Tell me the").input_ids
    # Never twice, whoever wrote it.
    framed = ("<s>" if bos else "") + "Hi" + ("</s>" if eos else "")
    assert history.prompt(framed).tokens == backend.encode(framed, add_special_tokens=False).ids
    # The conversation goes on as one text, with one beginning and one end.
    turn = history.prompt("Tell me the").turn("Tell me the")
    history.turns.append(turn)
    reply = encoded(backend, "Tell me theanswer", len("Tell me the"))[1]
    write(tokenizer, turn, [*reply, EOS])
    assert history.prompt(", please").tokens == transformers("Tell me theanswer, please").input_ids
    # From its text alone, too.
    restored = History(tokenizer, None, frozenset({EOS}))
    restored.turns = [Turn("Tell me the", "answer")]
    assert restored.prompt(", please").tokens == transformers("Tell me theanswer, please").input_ids
    # A template writes its own.
    chat = History(tokenizer, TEMPLATES["llama 2"][0], frozenset({EOS}))
    assert chat.prompt("Hi").tokens.count(BOS) == 1
    assert tokenizer.encode("Hi") == backend.encode("Hi", add_special_tokens=False).ids


def test_a_tokenizer_file_that_cuts_texts_cuts_no_prompt(tmp_path: Path) -> None:
    folder = save_tokenizer(tmp_path, "byte level")
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.enable_truncation(8)
    made.enable_padding(length=64)
    made.save(str(folder / "tokenizer.json"))
    assert len(ChatTokenizer(str(folder)).encode("What is the answer?")) == 15


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_said_the_ids_go_on_as_one_encoding(
    folders: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    tokenizer, backend = loaded(folders[kind])
    template, _ = TEMPLATES[data.draw(st.sampled_from(list(TEMPLATES)))]
    history = History(tokenizer, template, frozenset({EOS, IM_END}))
    messages = st.text("the a#.\n1€ü", min_size=1, max_size=8).filter(str.strip)
    replies = st.lists(st.integers(IM_END + 1, backend.get_vocab_size() - 1), max_size=6)
    for text in data.draw(st.lists(messages, min_size=3, max_size=3)):
        prompt = history.prompt(text)
        assert not prompt.rewritten
        if history.turns:
            last = history.turns[-1]
            asked = [*history.messages(), {"role": "user", "content": text}]
            whole: Any = backend.encode(tokenizer.render(asked, template, reply=True), add_special_tokens=False)
            own = last.prompt + last.reply_ids
            kept = len(own) if prompt.tokens[: len(own)] == own else len(own) - 1
            assert prompt.tokens[:kept] == own[:kept]
            rest = prompt.tokens[kept:]
            if whole.ids[-len(rest) :] != rest:
                # Only where a token reaches over the border.
                assert tokenizer.decode(whole.ids, special=True).endswith(tokenizer.decode(rest, special=True))
                assert not last.reply or kind == "byte level"
        turn = prompt.turn(text)
        history.turns.append(turn)
        ids, stops = data.draw(replies), data.draw(st.sampled_from([(), ("e", " a")]))
        write(tokenizer, turn, [*ids, *data.draw(st.sampled_from([(), (EOS,), (IM_END,)]))], stops)
