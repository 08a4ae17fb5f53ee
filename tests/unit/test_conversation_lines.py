"""The lines of conversations that `batch`, `bench` and `train-draft` read: every form, and what is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat import conversations
from specmemo_chat.batch.lines import Conversation, read_conversations
from specmemo_chat.bench.measuring.talks import find_talks
from specmemo_chat.conversations import BrokenLine, ChatLine
from specmemo_chat.distill.training.data import read_prompts
from specmemo_chat.errors import UsageError
from specmemo_chat.host.requests import AnswerAll, decode, encode
from specmemo_chat.settings import GenerationSettings

USER = {"role": "user", "content": "Hi"}
PARTS = [{"type": "text", "text": "What is"}, {"type": "input_text", "text": " it?"}]


def read(folder: Path, *lines: Any) -> list[ChatLine | BrokenLine]:
    return list(conversations.read_conversations(written(folder, *lines)))


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "in.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def asked(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A line of OpenAI's batch format."""
    return {"custom_id": "r1", "method": "POST", "url": "/v1/chat/completions", "body": body, **more}


def test_parts_and_the_role_developer_are_read(tmp_path: Path) -> None:
    line = {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": PARTS}]}
    path = written(tmp_path, line, {"turns": [PARTS, "more"]})
    first, second = read_conversations(path)
    assert isinstance(first, Conversation)
    assert isinstance(second, Conversation)
    assert (first.system, first.turns) == ("Be brief.", ["What is it?"])
    assert second.turns == ["What is it?", "more"]
    assert [(talk.system, talk.turns) for talk in find_talks(str(path))] == [
        ("Be brief.", ("What is it?",)),
        (None, ("What is it?", "more")),
    ]
    assert [(entry.system, entry.users) for entry in read_prompts(path, with_replies=False)] == [
        ("Be brief.", ("What is it?",)),
        (None, ("What is it?", "more")),
    ]


def test_a_request_of_the_batch_format_has_its_own_settings(tmp_path: Path) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief."}, USER],
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": "x",
        "seed": 7,
        "stream": False,
        "n": 1,
        "user": "me",
        "tools": [],
        "tool_choice": "auto",
        "frequency_penalty": 0.0,
        "response_format": {"type": "text"},
    }
    (entry,) = read_conversations(written(tmp_path, asked(body)))
    assert isinstance(entry, Conversation)
    assert entry.key == {"custom_id": "r1"}
    assert (entry.turns, entry.system, entry.seed) == (["Hi"], "Be brief.", 7)
    assert entry.sampling == {"temperature": 0.5, "top_p": 0.9, "max_new_tokens": 5, "stop": ("x",)}
    asked_for = AnswerAll((entry.task("other"),), GenerationSettings())
    received = decode(json.loads(json.dumps(encode(asked_for))))
    assert isinstance(received, AnswerAll)
    (task,) = received.tasks
    assert replace(task, sampling=entry.sampling) == entry.task("other")
    assert (task.system, task.seed, task.sampling["max_new_tokens"]) == ("Be brief.", 7, 5)


def test_a_body_beside_a_prompt_is_none_of_a_request(tmp_path: Path) -> None:
    (entry,) = read_conversations(written(tmp_path, {"prompt": "Answer this mail.", "body": "Dear all"}))
    assert isinstance(entry, Conversation)
    assert entry.turns == ["Answer this mail."]


REFUSED = [
    ({"messages": [{"role": "user", "content": None}]}, 'message 1 has no text in "content": "content" is null'),
    ({"messages": [{"role": "user"}]}, '"content" is missing'),
    ({"messages": [{"role": "user", "content": 5}]}, "it is 5"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, 'part 1 is .*"image_url"'),
    ({"messages": [{"role": "user", "content": [PARTS[0], {"type": "input_audio"}]}]}, 'part 2 is .*"input_audio"'),
    ({"messages": [{"role": "user", "content": ["Hi"]}]}, "part 1 is not an object with a type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 'part 1 has no text in "text"'),
    ({"messages": [USER, {"role": "tool", "content": "5"}]}, "message 2 is the result of a tool"),
    ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "message 2 calls a tool"),
    ({"messages": [{"role": "human", "content": "Hi"}]}, 'message 1 has the role "human", which is not known'),
    ({"messages": [{"content": "Hi"}]}, "message 1 has no role"),
    ({"messages": [{"role": ["user"], "content": "Hi"}]}, "message 1 has the role"),
    ({"messages": ["Hi"]}, "message 1 is not an object"),
    ({"messages": {"role": "user"}}, '"messages" is not a list'),
    ({"messages": []}, '"messages" is not a list'),
    ({"messages": [USER | {"content": "a\ud83d"}]}, "message 1 is no Unicode text"),
    ({"prompt": "a\ud83d"}, '"prompt" is no Unicode text'),
    ({"prompt": {"text": "Hi"}}, '"prompt" is not a text: {"text": "Hi"}'),
    ({"turns": "Hi"}, '"turns" is not a list'),
    ({"turns": ["Hi"], "seed": -1}, '"seed"'),
    ({"question": "Hi"}, "none of"),
    (asked({"input": "Hi"}), '"body" has no "messages"'),
    (asked({"messages": [USER]}, url="/v1/embeddings"), '"url" is "/v1/embeddings"'),
    (asked({"messages": [USER], "n": 2}), '"n" is 2'),
    (asked({"messages": [USER], "tools": [{"type": "function"}]}), 'asks for "tools"'),
    (asked({"messages": [USER], "response_format": {"type": "json_object"}}), 'asks for "response_format"'),
    (asked({"messages": [USER], "stream": True}), 'asks for "stream"'),
    (asked({"messages": [USER], "max_tokens": 0}), '"max_tokens" is 0'),
    (asked({"messages": [USER], "max_tokens": 1, "max_completion_tokens": 1}), "both given"),
    (asked({"messages": [USER], "temperature": "hot"}), '"temperature" is "hot"'),
    (asked({"messages": [USER], "stop": [5]}), '"stop" is'),
    ({"custom_id": "r1", "body": "Hi"}, '"body" is not a JSON object'),
    ('{"prompt": "Hi', "line 2 is not JSON: Unterminated string starting at column 12"),
    ("[" * 100_000, "not JSON that can be read"),
    ('{"id": ' + "1" * 5000 + "}", "not JSON that can be read"),
]


@pytest.mark.parametrize(("line", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_line_that_cannot_be_read_says_why_and_costs_no_other(tmp_path: Path, line: Any, words: str) -> None:
    good = {"prompt": "Hello"}
    before, broken, after = read(tmp_path, good, line, good)
    assert isinstance(before, ChatLine)
    assert isinstance(after, ChatLine)
    assert isinstance(broken, BrokenLine)
    assert broken.error.startswith("line 2")
    with pytest.raises(UsageError, match=words):
        raise UsageError(broken.error)
    for reader in (find_talks, lambda name: read_prompts(Path(name), with_replies=False)):
        with pytest.raises(UsageError, match="line 2"):
            reader(str(tmp_path / "in.jsonl"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"messages": [USER, {"role": "assistant", "content": "Yes?"}]}, "the last message is not the user's"),
        ({"messages": [USER, {"role": "system", "content": "Late."}, USER]}, "message 2 .*out of order"),
        ({"messages": [{"role": "user", "content": " "}]}, "the last message is empty"),
        (asked({"messages": [USER], "temperature": 1000}), "temperature is 1000"),
        (asked({"messages": [USER], "stop": ["a\ud83d"]}), "a stop text is no Unicode text"),
    ],
)
def test_what_cannot_be_answered_is_named(tmp_path: Path, line: Any, words: str) -> None:
    (broken,) = read_conversations(written(tmp_path, line))
    assert isinstance(broken, BrokenLine)
    with pytest.raises(UsageError, match=words):
        raise UsageError(broken.error)


def test_a_line_of_many_bytes_is_passed_over_unheld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "LARGEST", 1 << 10)
    long, broken, short = read(tmp_path, {"prompt": "x" * 900}, {"prompt": "x" * 5000}, {"prompt": "Hi"})
    assert isinstance(long, ChatLine)
    assert isinstance(broken, BrokenLine)
    assert broken.error == "line 2 has 4.9 KiB; 1.0 KiB is the most"
    assert isinstance(short, ChatLine)
    assert short.number == 3
