"""One text that grows: its tokens, its row in the arena, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from specmemo_chat.engine.loops import LoopWatch
from specmemo_chat.engine.reading import Reading
from specmemo_chat.events import FinishReason
from specmemo_chat.settings import GenerationSettings

NO_ROW = -1


@dataclass
class Counts:
    """What a sequence cost so far; `steps` are verify forwards after the prefill."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    new_tokens: int = 0
    steps: int = 0
    drafted: int = 0
    accepted: int = 0
    drafter: str = "none"


@dataclass(eq=False)
class Sequence:
    """`tokens` are the prompt and everything decided after it. Of these, all but the last (the *root* of the next
    tree) have keys and values in `row` of the arena once `goal` tokens are prefilled: the prompt, or, where the
    sequence was parked, all but the root.

    `prefilled` counts tokens that went into the arena that way. `reading`: how a parked text was read. `finished` is
    set once. `loop` watches the new tokens where loops end the text. A sequence without a row (NO_ROW) waits or is
    parked.
    """

    tokens: list[int]
    row: int
    settings: GenerationSettings
    eos_ids: frozenset[int]
    statistics: Counts
    prompt_length: int
    prefilled: int = 0
    goal: int = 0
    reading: Reading | None = None
    finished: FinishReason | None = None
    loop: LoopWatch | None = None
    closed: bool = field(default=False)

    @property
    def prefilling(self) -> bool:
        return self.prefilled < self.goal

    @property
    def new_tokens(self) -> int:
        return len(self.tokens) - self.prompt_length


@dataclass(frozen=True)
class Step:
    """What one engine step decided for one sequence: new tokens, which of them were drafted, and whether it ended.

    A prefill step may decide nothing. `note` is a sentence for the user.
    """

    tokens: tuple[int, ...] = ()
    from_draft: tuple[bool, ...] = ()
    finished: FinishReason | None = None
    note: str = ""
