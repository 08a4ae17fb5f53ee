"""transformers' own `generate`: plain, with prompt lookup, and with an assistant model."""

from __future__ import annotations

import time
from typing import Any

import torch

from specmemo_chat.bench.measuring.methods import Reply
from specmemo_chat.bench.measuring.replay import CERTAIN, Script
from specmemo_chat.settings import GenerationSettings

# The library's own example for prompt lookup.
LOOKUP_TOKENS = 10


class _Stamps:
    """A streamer that notes when tokens come, and how many."""

    def __init__(self, synchronise: bool) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []
        self._prompt = True
        self._synchronise = synchronise

    def put(self, value: torch.Tensor) -> None:
        if self._prompt:
            self._prompt = False
            return
        if self._synchronise:
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())
        self.counts.append(value.numel())

    def end(self) -> None:
        """Nothing is held back."""


class GenerateMethod:
    """`model.generate` with its own cache and attention. `model` is unmodified; one call is one reply and one block.

    `lookup` is the number of tokens that prompt lookup guesses (0: none), `assistant` a smaller model.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        eos_ids: frozenset[int],
        *,
        lookup: int = 0,
        assistant: Any = None,
        script: Script | None = None,
        context_tokens: int = 0,
    ) -> None:
        self.name = name
        self._model = model
        self._eos = sorted(eos_ids)
        self._lookup = lookup
        self._assistant = assistant
        self._script = script
        self._context = context_tokens
        self._prompt: list[int] = []
        self._settings = GenerationSettings()
        self._reply: Reply | None = None

    def enter(self) -> None:
        """The implementation of attention belongs to the model, which other methods may run with theirs."""
        if self._model.config._attn_implementation != "sdpa":
            self._model.set_attn_implementation("sdpa")

    def begin(self, prompt: list[int], settings: GenerationSettings) -> None:
        """Only noted: the call cannot stop after the first token."""
        self._prompt, self._settings, self._reply = prompt, settings, None

    def run(self, tokens: int) -> bool:
        """The whole reply."""
        device = self._model.device
        prompt = torch.tensor([self._prompt], device=device)
        stamps = _Stamps(device.type == "cuda")
        started = time.perf_counter()
        with torch.inference_mode():
            out = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                generation_config=self._config(),
                streamer=stamps,
                logits_processor=[_Steering(self._script)] if self._script is not None else None,
                **({"assistant_model": self._assistant} if self._assistant is not None else {}),
            )
        new = tuple(out[0, len(self._prompt) :].tolist())
        times, counts = stamps.times, stamps.counts
        self._reply = Reply(new, times[0] - started, times[-1] - times[0], sum(counts[1:]), len(times) - 1)
        return True

    def end(self) -> Reply:
        if self._reply is None:
            raise RuntimeError("run comes first")
        return self._reply

    def _config(self) -> Any:
        from transformers import GenerationConfig

        settings = self._settings
        room = self._context - len(self._prompt) if self._context else 0
        limit = min((size for size in (settings.max_new_tokens, room) if size > 0), default=room)
        sampling: dict[str, Any] = {"prompt_lookup_num_tokens": self._lookup} if self._lookup else {}
        if not settings.greedy:
            sampling |= {"temperature": settings.temperature, "top_k": settings.top_k, "top_p": settings.top_p}
            if settings.min_p:
                sampling["min_p"] = settings.min_p
        return GenerationConfig(
            max_new_tokens=limit,
            do_sample=not settings.greedy,
            repetition_penalty=settings.repeat_penalty,
            eos_token_id=self._eos or None,
            pad_token_id=self._eos[0] if self._eos else 0,
            **sampling,
        )


class _Steering:
    """The script of `replay.steer` as a logits processor of `generate`."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, self._script.token(input_ids.shape[1])] = CERTAIN
        return scores
