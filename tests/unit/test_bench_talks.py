"""The prompts of a benchmark: MT-Bench's form, the others, the shipped sets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.bench.measuring.talks import RANDOM_TALKS, find_talks, random_talks
from specmemo_chat.errors import UsageError


def written(folder: Path, *lines: Any) -> str:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return str(path)


def test_every_form_is_read(tmp_path: Path) -> None:
    talks = find_talks(
        written(
            tmp_path,
            {"question_id": 81, "category": "writing", "turns": ["Compose a post.", "Rewrite it."], "reference": ["a"]},
            "",
            {"prompt": "Hello!"},
            {
                "id": "m",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Hello"},
                    {"role": "user", "content": "Bye"},
                ],
            },
        )
    )
    assert [talk.id for talk in talks] == ["81", "3", "m"]
    assert [talk.turns for talk in talks] == [("Compose a post.", "Rewrite it."), ("Hello!",), ("Hi", "Bye")]
    assert [talk.system for talk in talks] == [None, None, "Be brief."]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], "line 1 is not JSON"),
        (["[1]"], "line 1 is not a JSON object"),
        ([{"prompt": "a"}, {"text": "b"}], "line 2: it has none of"),
        ([{"turns": []}], "no message of the user"),
        ([{"turns": ["a", " "]}], 'text 2 of "turns" is empty'),
        ([{"turns": "a"}], "no message of the user"),
        ([{"messages": [{"role": "tool", "content": "a"}]}], "'tool'"),
        ([{"messages": [{"role": "assistant", "content": "a"}]}], "no message of the user"),
        ([], "no conversation"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, lines: list[Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_talks(written(tmp_path, *lines))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        find_talks(str(tmp_path / "nowhere.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "caf\xe9"}')
    with pytest.raises(UsageError, match="not UTF-8"):
        find_talks(str(tmp_path / "latin.jsonl"))


def test_the_shipped_set_has_two_turns_each() -> None:
    talks = find_talks("pocket")
    assert len(talks) == 60
    assert all(len(talk.turns) == 2 for talk in talks)
    assert len({talk.id for talk in talks}) == 60
    assert len({text for talk in talks for text in talk.turns}) == 120


def test_the_random_set_is_the_seeds_and_repeats_nothing() -> None:
    talks = find_talks("random", seed=3)
    assert talks == random_talks(3)
    assert talks != random_talks(4)
    assert len(talks) == RANDOM_TALKS
    words = [word for talk in talks for text in talk.turns for word in text.split() if len(word) > 5]
    assert len(set(words)) == len(words)
