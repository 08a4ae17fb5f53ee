"""Real small talk: exchanges of Synthetic-Persona-Chat (CC-BY 4.0) whose reply claims no human life."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tools.pocket.dialogues.base import Turn

# A program has no job, family, body or past: any other first person than these is a claim to one.
_ALLOWED = re.compile(
    r"\bI(?:'m| am) (?:glad|sorry|happy|sure)\b|\bI (?:hope|think|agree|see|understand|bet|wish you|can imagine)\b",
    re.IGNORECASE,
)
_CLAIM = re.compile(
    r"\b(?:I|I'm|I've|I'd|I'll|me|my|mine|myself|we|we're|our|us|too|same|either|both)\b", re.IGNORECASE
)
# What answers a question about a life that is not known here, or urges the user on to something not named in it:
# without the dialogue before it, the one is invention and the other dangerous.
_OUT_OF_PLACE = re.compile(
    r"^(?:So, wh|You should|You definitely|You have to|You won't|Do it|Go for it|Definitely|It was|It is[!.,]|They|He |She |"
    r"Their|His|Her |The best|Not much|Yes|Yeah|No[,.]|It has|It can|There |Nothing|Well, |Really\? That's great)",
    re.IGNORECASE,
)
_DISTRESS = re.compile(
    r"\b(?:die[ds]?|dying|dead|death|kill\w*|suicid\w*|hurt\w*|alone|lonely|sad|depress\w*|hate|end(?:ing|ed)?|sick|cancer|"
    r"los[et]|losing|divorc\w*|fired|cry\w*|scared|afraid|stress\w*|anxi\w*|pain\w*|wors\w*|terrible|awful|abus\w*|quit|"
    r"pills?|drunk|drugs?|thinking (?:of|about))\b",
    re.IGNORECASE,
)
_SAME_REPLY = 12
# Words that are no names, to be spelt: what stands once is often a slip.
_WORD = re.compile(r"\b[a-z]{3,12}\b")
_PLAIN = re.compile(r"[A-Za-z0-9 ,.!?'\-]+")


@dataclass(frozen=True)
class SmallTalk:
    """The exchanges kept of a file, the words of the whole file, and what the model card says about it."""

    turns: tuple[Turn, ...]
    words: tuple[str, ...]
    source: str
    sha256: str
    dialogues: int


def claims_a_life(reply: str) -> bool:
    """Whether `reply` speaks of the speaker as a person."""
    return bool(_CLAIM.search(_ALLOWED.sub("", reply)))


def _kept(user: str, reply: str) -> bool:
    return (
        len(user) <= 160
        and 8 <= len(reply) <= 110
        and reply.count("?") <= 1
        and len(re.findall(r"[.!?]+", reply)) <= 3
        and _PLAIN.fullmatch(reply) is not None
        and not claims_a_life(reply)
        and _OUT_OF_PLACE.match(reply) is None
        and _DISTRESS.search(user) is None
    )


def read_small_talk(file: Path) -> SmallTalk:
    """Read a gzipped JSONL file of {"messages": [{"role", "content"}]}; raises OSError or ValueError."""
    data = file.read_bytes()
    turns: list[Turn] = []
    seen: Counter[str] = Counter()
    words: Counter[str] = Counter()
    count = 0
    for line in gzip.decompress(data).decode("utf-8").splitlines():
        messages = json.loads(line)["messages"]
        count += 1
        words.update(word for message in messages for word in _WORD.findall(message["content"]))
        for first, second in pairwise(messages):
            user, reply = first["content"].strip(), second["content"].strip()
            if first["role"] == "user" and second["role"] == "assistant" and _kept(user, reply):
                seen[reply] += 1
                if seen[reply] <= _SAME_REPLY:
                    turns.append(Turn(user, reply))
    known = tuple(sorted(word for word, times in words.items() if times > 1))
    return SmallTalk(tuple(dict.fromkeys(turns)), known, file.name, hashlib.sha256(data).hexdigest(), count)
