"""The text is that of plain decoding whatever the controller does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.drafters.eagle import EagleDrafter
from specmemo_chat.drafters.eagle_head import load_head
from specmemo_chat.drafters.ngram import NgramDrafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.controller import Controller
from specmemo_chat.speculation.pace import LevelPace
from specmemo_chat.speculation.tree import DraftTree
from tests.heads import write_eagle
from tests.models import generate, prompts, target_of, tiny_plan

SETTINGS = [
    GenerationSettings(max_new_tokens=40),
    GenerationSettings(temperature=0.9, top_p=0.9, repeat_penalty=1.1, seed=11, max_new_tokens=40),
]


class Moody(Controller):
    """Decides by dice: any size, any number of levels, any time that it believes a step took."""

    def __init__(self, buckets: Sequence[int], seed: int) -> None:
        super().__init__(buckets)
        self.dice = random.Random(seed)
        pace = MoodyPace(self.buckets, self.costs, self.drafts, self._rates_of, self._curve_of)
        pace.dice = self.dice
        self.pace = pace

    def choose(self, trees: Sequence[DraftTree]) -> list[DraftTree]:
        for nodes in self.buckets:
            self.costs.learn(len(trees), nodes, self._context, [self.dice.uniform(0.001, 1.0)])
        chosen = super().choose(trees)
        return [DraftTree.root_only(tree.tokens[0]) if self.dice.random() < 0.2 else tree for tree in chosen]


class MoodyPace(LevelPace):
    dice: random.Random

    def enough(self, tree: DraftTree, source: str) -> bool:
        return self.dice.random() < 0.7

    def begin(self, source: str, rows: int) -> bool:
        return super().begin(source, rows) and self.dice.random() < 0.7

    def deeper(self, depth: int, pools: Any, frontiers: Any, left: int) -> int:
        return self.dice.randint(1, max(map(len, frontiers))) if self.dice.random() < 0.6 else 0


def texts(engine: Engine, given: list[list[int]], settings: GenerationSettings) -> list[list[int]]:
    sequences = [engine.open(text, settings, row=row) for row, text in enumerate(given)]
    while any(sequence.finished is None for sequence in sequences):
        engine.step(sequences)
        engine.arena.check_integrity()
    return [sequence.tokens[sequence.prompt_length :] for sequence in sequences]


@pytest.mark.parametrize("settings", SETTINGS, ids=["greedy", "sampled"])
@pytest.mark.parametrize("kind", ["ngram", "eagle"])
def test_the_text_does_not_depend_on_the_controller(
    llama: Any, tmp_path: Path, kind: str, settings: GenerationSettings
) -> None:
    target = target_of(llama)
    write_eagle(tmp_path)
    given = prompts(3, seed=21)
    plain = [generate(target, text, settings) for text in given]
    for seed in range(3):
        plan = tiny_plan(rows=3)
        drafter: Drafter = NgramDrafter()
        if kind == "eagle":
            drafter = EagleDrafter(load_head(tmp_path, target, "fp32"), target, plan)
        engine = Engine(target, drafter, plan, controller=Moody(plan.node_buckets, seed))
        assert texts(engine, given, settings) == plain
