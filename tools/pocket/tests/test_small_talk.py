"""Real exchanges as small talk: which are kept, and how often they are drawn."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

from tools.pocket.dialogues.base import Turn
from tools.pocket.dialogues.mix import Mixer
from tools.pocket.dialogues.small_talk import claims_a_life, read_small_talk


def test_replies_that_claim_a_human_life_are_found() -> None:
    for reply in ("I have two dogs.", "My wife likes it.", "Me too!", "We went there, it was fun.", "I'm a nurse."):
        assert claims_a_life(reply), reply
    for reply in ("That sounds lovely!", "I'm glad to hear it.", "I hope it gets better.", "What do you like?"):
        assert not claims_a_life(reply), reply


def test_small_talk_keeps_short_exchanges_without_a_life(tmp_path: Path) -> None:
    def exchange(user: str, reply: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]

    kept = ("I bake bread.", "That sounds lovely! What kind?")
    lines = [
        [*exchange(*kept), *exchange("I run.", "I have a dog.")],
        exchange(*kept),
        exchange("x" * 161, "That sounds lovely!"),
        exchange("Hello.", "What? And why?"),
        exchange("Hello.", "One. Two. Three. Four times."),
        exchange("Hello.", "Ça va très bien, oui."),
        exchange("Hello.", "Hi."),
        exchange("I might do it tonight.", "You should! It's a great way to relax."),
        exchange("I've been thinking about ending it.", "That sounds lovely!"),
        exchange("My father died.", "That sounds great, enjoy it!"),
        exchange("Are they cute?", "They are, all three of them."),
        [{"role": "assistant", "content": "Hello."}, {"role": "assistant", "content": "That sounds lovely!"}],
    ]
    file = tmp_path / "talk.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps({"messages": line}) for line in lines).encode()))
    talk = read_small_talk(file)
    assert talk.turns == (Turn(*kept),)
    assert (talk.source, talk.dialogues) == ("talk.jsonl.gz", len(lines))
    assert talk.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_small_talk_takes_its_share() -> None:
    talk = tuple(Turn(f"small talk {number}", "Oh, really.") for number in range(50))
    mixer = Mixer(4, talk, small_talk_share=0.2)
    texts = [message["content"] for _ in range(400) for message in mixer.dialogue() if message["role"] == "user"]
    share = sum("small talk" in text.lower() for text in texts) / len(texts)
    assert 0.08 < share < 0.25
    assert not any("small talk" in message["content"] for message in Mixer(4).dialogue())


def test_no_reply_is_kept_more_than_a_dozen_times(tmp_path: Path) -> None:
    lines = [
        [
            {"role": "user", "content": f"I bake {number} loaves."},
            {"role": "assistant", "content": "That sounds lovely!"},
        ]
        for number in range(40)
    ]
    file = tmp_path / "talk.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps({"messages": line}) for line in lines).encode()))
    assert len(read_small_talk(file).turns) == 12
