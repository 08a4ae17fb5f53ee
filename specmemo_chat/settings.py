"""How a reply is sampled and when it ends: the settings that travel with every message."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from specmemo_chat.errors import UsageError
from specmemo_chat.texts import check_unicode


class SettingError(UsageError):
    """A value that the setting `name` cannot have; `sentence` says why, with {name} for what it is called."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence.format(name=f"--{name.replace('_', '-')}"))
        self.name = name
        self.sentence = sentence


@dataclass(frozen=True)
class GenerationSettings:
    """Sampling parameters and stop conditions of one reply.

    `temperature` 0 is greedy. `top_k` 0, `top_p` 1, `min_p` 0 and `repeat_penalty` 1 are off. `max_new_tokens` 0: as
    many as the context holds. `stop`: strings that end the reply and are not shown. `speculate` False: plain decoding.
    `stop_loops`: a reply whose end only repeats itself is stopped. `exact` False: drafts that branch may change a
    text in bf16 and fp16 on a CPU.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    max_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    speculate: bool = True
    stop_loops: bool = False
    exact: bool = True

    def __post_init__(self) -> None:
        checks = (
            (0.0 <= self.temperature <= 100.0, "temperature", self.temperature, "0 to 100"),
            (self.top_k >= 0, "top_k", self.top_k, "0 (off) or more"),
            (0.0 < self.top_p <= 1.0, "top_p", self.top_p, "more than 0, at most 1 (off)"),
            (0.0 <= self.min_p <= 1.0, "min_p", self.min_p, "0 (off) to 1"),
            (
                0.0 < self.repeat_penalty <= 10.0,
                "repeat_penalty",
                self.repeat_penalty,
                "more than 0, at most 10; 1 is off",
            ),
            (0 <= self.seed < 2**63, "seed", self.seed, "0 to 2^63 - 1"),
            (self.max_new_tokens >= 0, "max_new_tokens", self.max_new_tokens, "0 (up to the context) or more"),
        )
        for valid, name, value, allowed in checks:
            if not valid:
                raise SettingError(name, f"{{name}} is {value}: allowed is {allowed}")
        if any(not text for text in self.stop):
            raise SettingError("stop", "a stop text is empty")
        for text in self.stop:
            check_unicode(text, "a stop text")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GenerationSettings:
        return cls(**{**values, "stop": tuple(values["stop"])})
