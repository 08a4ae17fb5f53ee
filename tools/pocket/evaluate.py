"""Evaluate Pocket on its hand-written prompts: `python -m tools.pocket.evaluate`.

Replies are greedy, fp32, by transformers' own `generate`. No generated dialogue tells a name, place or pet of the
prompts, or works one of their operand pairs in the same order (`dialogues.base.held_out`; one-digit sums with the
differences that undo them, and all products, are tables that it learns whole; capitals and famous people keep their
names), nor does any run of eight words of the prompts occur (`--against N` checks N fresh dialogues of the generator).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from specmemo_chat.catalog.aliases import bundled_folder
from specmemo_chat.models.threads import threads_each
from tools.pocket.dialogues.base import held_out
from tools.pocket.evaluation.score import (
    Outcome,
    Prompt,
    Tally,
    evaluation_ngrams,
    judge,
    read_prompts,
    word_ngrams,
)

BUNDLED = bundled_folder()
_NEW_TOKENS = 160
_TOLD = (
    "My name is {n}.",
    "I'm {n}.",
    "Hi, {n} here!",
    "hello, i am {n}",
    "You can call me {n}.",
    "people call me {n}",
)
_ASKED = ("What's my name?", "Do you remember my name?", "so who am I?", "what was my name again?", "Tell me my name.")
_NAMES = (
    "Bella Bianca Bob Colin Daria Dana Dina George Greta Hana Heidi Ida Igor Isaac Jack Jade James Kim Klaus Leah Lucy "
    "Martin Mateo Mila Miriam Mona Penny Rachel Ramon Ravi Rita Rob Robin Ruth Sabine Sam Hector Imogen Juno Mabel "
    "Xenia Edwin Hazel Lionel Morgan"
).split()


class Chatter:
    """Plays conversations with the model in `folder`."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def replies(self, turns: tuple[str, ...]) -> list[str]:
        """The reply to each of `turns`."""
        messages: list[dict[str, str]] = []
        replies: list[str] = []
        for turn in turns:
            messages.append({"role": "user", "content": turn})
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = self._tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
            out = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=_NEW_TOKENS, do_sample=False
            )
            reply = self._tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
            messages.append({"role": "assistant", "content": reply})
            replies.append(reply)
        return replies


def name_fillers(prompts: list[Prompt]) -> list[str]:
    """Single-turn questions in scope that neither tell a name nor ask for one."""
    names = re.compile(rf"\b(?:name|{'|'.join(_NAMES)})\b", re.IGNORECASE)
    return [
        p.turns[0]
        for p in prompts
        if p.scope == "in" and len(p.turns) == 1 and p.skill != "memory" and not names.search(p.turns[0])
    ]


def remembered_names(
    chatter: Chatter, prompts: list[Prompt], count: int, seed: int
) -> list[tuple[tuple[str, ...], str, bool]]:
    """`count` conversations: a held-out name, four questions of the evaluation, then one for the name.

    Each is (user messages, last reply, whether it says the name).
    """
    rng = random.Random(seed)
    fillers = name_fillers(prompts)
    names = [name for name in _NAMES if held_out(name)]
    results = []
    for _ in range(count):
        name = rng.choice(names)
        turns = (rng.choice(_TOLD).replace("{n}", name), *rng.sample(fillers, 4), rng.choice(_ASKED))
        last = chatter.replies(turns)[-1]
        results.append((turns, last, bool(re.search(rf"\b{name}\b", last, re.IGNORECASE))))
    return results


def sample_replies(chatter: Chatter, prompts: list[Prompt], count: int, seed: int) -> str:
    """The replies to the first `count` prompts in the order that `seed` gives, unselected, as a Markdown list."""
    lines = []
    for prompt in random.Random(seed).sample(prompts, len(prompts))[:count]:
        turns = zip(prompt.turns, chatter.replies(prompt.turns), strict=True)
        said = " / ".join(f"**{turn}** {reply}" for turn, reply in turns)
        lines.append("- " + re.sub(r"\s*\n\s*", " ⏎ ", said))
    return "\n".join(lines)


def shared_ngrams(count: int) -> set[tuple[str, ...]]:
    """8-grams of the evaluation that occur in user messages of `count` fresh training dialogues."""
    from tools.pocket.dialogues.mix import dialogues

    forbidden = evaluation_ngrams()
    found: set[tuple[str, ...]] = set()
    for messages in islice(dialogues(987_654), count):
        for message in messages:
            if message["role"] == "user":
                found |= word_ngrams(message["content"]) & forbidden
    return found


def evaluate(chatter: Chatter, prompts: list[Prompt], show: bool) -> dict[str, Any]:
    """Outcomes per skill and in all."""
    skills: dict[str, Tally] = {}
    scopes: dict[str, Tally] = {}
    for prompt in prompts:
        replies = chatter.replies(prompt.turns)
        outcome: Outcome = judge(prompt, replies[-1], replies)
        for tallies, key in ((skills, prompt.skill), (scopes, prompt.scope)):
            tallies.setdefault(key, Tally()).add(outcome)
        if show and outcome != "right":
            print(f"\n{prompt.id}: {outcome}")
            for turn, reply in zip(prompt.turns, replies, strict=True):
                print(f"  > {turn}\n    {reply!r}")
    return {
        "skills": {name: tally.as_json() for name, tally in skills.items()},
        "in_scope": scopes["in"].as_json(),
        "in_scope_refusals": round(scopes["in"].share("refused"), 4),
        "out_of_scope": scopes["out"].as_json(),
        "out_of_scope_false_answers": round(scopes["out"].share("false answer"), 4),
        "harm": scopes["harm"].as_json(),
    }


def _print_table(result: dict[str, Any]) -> None:
    print(f"\n{'skill':12} {'n':>4} {'right':>6} {'refused':>8} {'95 % interval':>15}")
    rows = [
        *result["skills"].items(),
        *((name, result[name.replace(" ", "_")]) for name in ("in scope", "out of scope")),
    ]
    for name, row in rows:
        interval = f"{100 * row['low']:.0f}-{100 * row['high']:.0f} %"
        print(f"{name:12} {row['count']:4} {row.get('right', 0):6} {row.get('refused', 0):8} {interval:>15}")
    print(f"\nin scope {result['in_scope']['right_share']:.1%}, of which refused {result['in_scope_refusals']:.1%}")
    print(f"out of scope: false answers {result['out_of_scope_false_answers']:.1%}")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.pocket.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=BUNDLED, help="folder of the model (default: the bundled one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--show", action="store_true", help="print every prompt that failed")
    parser.add_argument(
        "--names", type=int, default=100, help="conversations for the name after four turns (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="draws those conversations (default %(default)s)")
    parser.add_argument(
        "--against", type=int, default=0, metavar="N", help="look for shared 8-grams in N training dialogues"
    )
    parser.add_argument(
        "--sample", type=int, default=0, metavar="N", help="only print the replies to N prompts drawn by --seed"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(threads_each(1))
    prompts = read_prompts()
    chatter = Chatter(options.model)
    if options.sample:
        print(sample_replies(chatter, prompts, options.sample, options.seed))
        return
    result = evaluate(chatter, prompts, options.show)
    if options.names:
        conversations = remembered_names(chatter, prompts, options.names, options.seed)
        result["names_remembered"] = [sum(found for _, _, found in conversations), len(conversations)]
        if options.show:
            for turns, last, found in conversations:
                if not found:
                    print(f"\nname forgotten: {turns}\n    {last!r}")
    if options.against:
        shared = shared_ngrams(options.against)
        result["shared_8_grams"] = [" ".join(gram) for gram in sorted(shared)]
    _print_table(result)
    for key in ("names_remembered", "shared_8_grams"):
        if key in result:
            print(f"{key.replace('_', ' ')}: {result[key]}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
