"""The methods that are compared: each answers a prompt in blocks, so that they can take turns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import torch

from specmemo_chat.drafters.base import Drafter
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.sequence import Sequence
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models.target import Target
from specmemo_chat.settings import GenerationSettings


@dataclass(frozen=True)
class Reply:
    """One reply of one method: its tokens (the end token included), seconds to the first and of all after it.

    `decoded` tokens were made in `decode_s` by `steps` forwards.
    """

    tokens: tuple[int, ...]
    ttft_s: float
    decode_s: float
    decoded: int
    steps: int

    @property
    def rate(self) -> float:
        """Tokens per second after the first; 0 where nothing followed it."""
        return self.decoded / self.decode_s if self.decode_s > 0 else 0.0


class Method(Protocol):
    """`enter` comes before every block and is not timed; then `begin`, `run` until it says True, `end`."""

    name: str

    def enter(self) -> None: ...

    def begin(self, prompt: list[int], settings: GenerationSettings) -> None:
        """Read `prompt` and decide the first token."""
        ...

    def run(self, tokens: int) -> bool:
        """Go on until the reply has at least `tokens` tokens. Returns whether it is finished."""
        ...

    def end(self) -> Reply: ...


class EngineMethod:
    """specmemo's engine with a plan. Successive prompts reuse what they have in common, as in a chat."""

    def __init__(self, name: str, target: Target, drafter: Drafter | None, plan: Plan, *, adaptive: bool) -> None:
        self.name = name
        self.plan = plan
        self.engine = Engine(target, drafter, plan, adaptive=adaptive)
        self._cuda = target.device.type == "cuda"
        self._sequence: Sequence | None = None
        self._cached: list[int] = []
        self._ttft_s = self._decode_s = 0.0

    def enter(self) -> None:
        """Nothing to prepare."""

    def begin(self, prompt: list[int], settings: GenerationSettings) -> None:
        self._cached = self._cached[: common_prefix(self._cached, prompt)]
        self._decode_s = 0.0
        started = self._now()
        self._sequence = self.engine.open(prompt, settings, keep=len(self._cached))
        while not self._sequence.new_tokens:
            self.engine.step([self._sequence])
        self._ttft_s = self._now() - started

    def run(self, tokens: int) -> bool:
        sequence = self._open
        started = self._now()
        while sequence.finished is None and sequence.new_tokens < tokens:
            self.engine.step([sequence])
        self._decode_s += self._now() - started
        return sequence.finished is not None

    def end(self) -> Reply:
        sequence = self._open
        self._cached = self.engine.close(sequence)
        counts = sequence.statistics
        new = tuple(sequence.tokens[sequence.prompt_length :])
        return Reply(new, self._ttft_s, self._decode_s, len(new) - 1, counts.steps)

    @property
    def _open(self) -> Sequence:
        if self._sequence is None:
            raise RuntimeError("begin comes first")
        return self._sequence

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def common_prefix(left: list[int], right: list[int]) -> int:
    """How many leading ids are equal."""
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
