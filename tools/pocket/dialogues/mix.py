"""Dialogues from fragments: several skills in a row, memories with other talk between, and a user who types carelessly."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from tools.pocket.dialogues import (  # noqa: F401  (each import registers its skills)
    arithmetic,
    company,
    daily,
    decline,
    facts,
    formats,
    helpdesk,
    humane,
    letters,
    manners,
    memory,
    tales,
)
from tools.pocket.dialogues.base import SKILLS, Fragment, Skill, Turn, train_pool
from tools.pocket.evaluation.ngrams import evaluation_ngrams, evaluation_prompts, word_ngrams, words_of

Message = dict[str, str]

_LEAD_INS = (
    "ok, ", "so ", "well, ", "hmm, ", "hey, ", "Pocket, ", "hey Pocket, ", "um, ", "Now, ", "alright, ", "Okay. ", "and ", "please: ",
    "one more: ", "quick question: ", "I wonder: ", "pls ", "next: ", "Question: ", "say, ", "oh and ", "right. ", "ok pocket, ",
)  # fmt: skip
_ENDS = (" :)", " please", " pls", " thanks", "!!", "??", " 🙂", " 😀", "...", " thx", " ok?")
_SYSTEM = (
    "You are a helpful assistant.", "You are Pocket.", "Be brief.", "Answer in short sentences.", "You are a friendly chatbot.",
    "Be polite and concise.", "You are Pocket, a small model in the terminal.", "You help the user.", "Keep your answers short.",
)  # fmt: skip
# After so many fragments a word of the last turn is to be spelt, counted or written in capitals.
_ECHO_SHARE = 0.12
_PIPED_SHARE = 0.25
_WORDS_SHARE = 0.06
_NEIGHBOURS = {
    "a": "s",
    "e": "r",
    "i": "o",
    "o": "p",
    "t": "y",
    "n": "m",
    "s": "a",
    "r": "t",
    "h": "j",
    "l": "k",
    "u": "i",
}


def _typo(rng: random.Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 1)
    draw = rng.random()
    if draw < 0.35:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if draw < 0.65:
        return word[:at] + word[at + 1 :]
    if draw < 0.85:
        return word[:at] + word[at] + word[at:]
    return word[:at] + _NEIGHBOURS.get(word[at], word[at]) + word[at + 1 :]


def _lower(rng: random.Random, text: str, kept: set[str]) -> str:
    if rng.random() < 0.3:
        return text.lower()
    # Mostly a name stays as the reply writes it: copying is what is to be learnt first.
    return re.sub(r"[\w']+", lambda match: match[0] if match[0] in kept else match[0].lower(), text)


def careless(rng: random.Random, turn: Turn, replies: str) -> Turn:
    """The turn as people type it: lower case, no full stop, a lead-in, a typo in a word that no reply needs."""
    text = turn.user
    kept = set(re.findall(r"[\w']+", replies))
    kept_lower = {word.lower() for word in kept}
    draw = rng.random()
    if draw < 0.05 and len(text) < 90:
        lead = rng.choice(_LEAD_INS)
        first = text.split(maxsplit=1)[0] if text.split() else ""
        keep = first in kept or first in ("I", "I'm", "I've") or not first.isalpha() or first.isupper()
        text = lead + (text if keep else text[0].lower() + text[1:])
    elif draw < 0.08:
        text = text.rstrip(".!?") + rng.choice(_ENDS)
    if rng.random() < 0.28:
        text = _lower(rng, text, kept)
    if rng.random() < 0.25:
        text = text.rstrip(".!?") or text
    elif rng.random() < 0.03:
        text = text.replace("'", "")
    if rng.random() < 0.07:
        words = text.split(" ")
        loose = [
            at for at, word in enumerate(words) if word.isalpha() and len(word) > 3 and word.lower() not in kept_lower
        ]
        if loose:
            at = rng.choice(loose)
            words[at] = _typo(rng, words[at])
            text = " ".join(words)
    return Turn(text.strip() or turn.user, turn.reply)


class Mixer:
    """Draws dialogues.

    `small_talk`: real exchanges, of which `small_talk_share` of all fragments are taken; `words`: more words to
    spell, count and write in capitals than the generator's own sentences have.
    """

    def __init__(
        self, seed: int, small_talk: Sequence[Turn] = (), small_talk_share: float = 0.03, words: Sequence[str] = ()
    ) -> None:
        self._rng = random.Random(seed)
        self._skills = list(SKILLS.values())
        self._weights = [skill.share for skill in self._skills]
        self._fillers = [skill for skill in self._skills if skill.filler]
        self._filler_weights = [skill.share for skill in self._fillers]
        self._small_talk = small_talk
        self._small_talk_share = small_talk_share if small_talk else 0.0
        self._words = train_pool(words)
        self._forbidden = evaluation_ngrams()
        self._prompts = evaluation_prompts()

    def dialogue(self, long: bool = False) -> list[Message]:
        """One dialogue as chat messages, without an 8-gram or a whole prompt of the evaluation; `long` ones have 12 turns or more."""
        while True:
            messages = self._draw(long)
            users = [message["content"] for message in messages if message["role"] == "user"]
            if not any(word_ngrams(text) & self._forbidden or words_of(text) in self._prompts for text in users):
                return messages

    def _draw(self, long: bool) -> list[Message]:
        rng = self._rng
        wanted = rng.randint(12, 36) if long else rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8))
        turns: list[Turn] = []
        remembered = False
        while len(turns) < wanted:
            fragment = self._fragment(self._skills, self._weights)
            if (fragment.personal and remembered) or (fragment.opening and turns):
                continue
            remembered |= fragment.personal
            turns += self._spread(fragment)
            if rng.random() < _ECHO_SHARE and "sorry" not in turns[-1].reply:
                echo = letters.from_the_text(rng, f"{turns[-1].user} {turns[-1].reply}")
                turns += echo.turns if echo else ()
        messages: list[Message] = []
        if rng.random() < 0.04:
            messages.append({"role": "system", "content": rng.choice(_SYSTEM)})
        for turn in turns:
            messages.append({"role": "user", "content": turn.user})
            messages.append({"role": "assistant", "content": turn.reply})
        return messages

    def _fragment(self, skills: list[Skill], weights: list[float]) -> Fragment:
        rng = self._rng
        if rng.random() < self._small_talk_share:
            return Fragment((rng.choice(self._small_talk),))
        if self._words and rng.random() < _WORDS_SHARE:
            echo = letters.from_the_text(rng, " ".join(rng.sample(self._words, 4)))
            if echo:
                return echo
        return rng.choices(skills, weights=weights)[0].sample(rng)

    def _noisy(self, fragment: Fragment) -> list[Turn]:
        if fragment.exact:
            return [self._piped(turn) for turn in fragment.turns]
        replies = " ".join(turn.reply for turn in fragment.turns)
        return [self._piped(careless(self._rng, turn, replies)) for turn in fragment.turns]

    def _piped(self, turn: Turn) -> Turn:
        """At times what a colon announces stands below a blank line, as text from a pipe does."""
        if ": " not in turn.user or self._rng.random() >= _PIPED_SHARE:
            return turn
        return Turn(turn.user.replace(": ", ":\n\n", 1), turn.reply)

    def _spread(self, fragment: Fragment) -> list[Turn]:
        turns = self._noisy(fragment)
        if not fragment.gap:
            return turns
        spread: list[Turn] = []
        for at, turn in enumerate(turns):
            if at and self._rng.random() < 0.6:
                fillers: list[Turn] = []
                for _ in range(self._rng.choice((1, 1, 2, 3, 4))):
                    fillers += self._noisy(self._fragment(self._fillers, self._filler_weights))
                # A correction ("no, it's Ana") is only clear right after what it corrects: most gaps stay short.
                spread += fillers[:5]
            spread.append(turn)
        return spread


def dialogues(seed: int, small_talk: Sequence[Turn] = (), words: Sequence[str] = ()) -> Iterator[list[Message]]:
    """Endless dialogues of ordinary length as {"role", "content"} messages."""
    mixer = Mixer(seed, small_talk, words=words)
    while True:
        yield mixer.dialogue()
