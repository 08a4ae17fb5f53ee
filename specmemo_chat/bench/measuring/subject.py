"""What is measured: a loaded target, its unmodified twin for transformers' methods, and how texts become prompts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from specmemo_chat.bench.measuring.job import RandomShape
from specmemo_chat.bench.measuring.replay import ReplayDrafter, Script, steer
from specmemo_chat.bench.measuring.shapes import library_class, random_head, random_twin
from specmemo_chat.bench.measuring.talks import Talk
from specmemo_chat.catalog.aliases import bundled_folder
from specmemo_chat.catalog.config import read_config
from specmemo_chat.drafters import load_weights, make_drafter
from specmemo_chat.drafters.base import Drafter, FeatureDrafter
from specmemo_chat.drafters.eagle_config import parse
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import Plan
from specmemo_chat.models import attention
from specmemo_chat.models.llama.drawn import drawn_model
from specmemo_chat.models.loading import load_target
from specmemo_chat.models.matrices.choice import COMPUTED
from specmemo_chat.models.target import Target
from specmemo_chat.models.tokenizer import ChatTokenizer, read_template

# Tokens after which a script starts again.
SCRIPT_TOKENS = 1 << 15

Report = Callable[[int, int, str], None]


class Dialogue(Protocol):
    """One conversation as token ids: the same prompts for every method."""

    def prompt(self, text: str) -> list[int]: ...

    def answered(self, tokens: tuple[int, ...]) -> None:
        """The reply to the last prompt, by plain decoding."""
        ...


class Rendered:
    """A dialogue through the model's chat template (None: the texts as they are)."""

    def __init__(
        self, tokenizer: ChatTokenizer, template: str | None, eos_ids: frozenset[int], system: str | None
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._eos = eos_ids
        self._messages = [{"role": "system", "content": system}] if system else []

    def prompt(self, text: str) -> list[int]:
        self._messages.append({"role": "user", "content": text})
        if self._template is None:
            return self._tokenizer.encode("".join(m["content"] for m in self._messages), framed=True)
        return self._tokenizer.encode(self._tokenizer.render(self._messages, self._template, reply=True))

    def answered(self, tokens: tuple[int, ...]) -> None:
        text = self._tokenizer.decode([token for token in tokens if token not in self._eos])
        self._messages.append({"role": "assistant", "content": text.strip()})


class Spliced:
    """A dialogue of token ids alone: a scripted reply is no text that a tokenizer would give back."""

    def __init__(self, tokenizer: ChatTokenizer, vocab: int) -> None:
        self._tokenizer = tokenizer
        self._vocab = vocab
        self._ids: list[int] = []

    def prompt(self, text: str) -> list[int]:
        # Only the number of tokens matters; the tokenizer may have more of them than the shape.
        self._ids = self._ids + [token % self._vocab for token in self._tokenizer.encode(text + "\n")]
        return list(self._ids)

    def answered(self, tokens: tuple[int, ...]) -> None:
        self._ids = self._ids + list(tokens)


class Subject:
    """A target of real weights, or of a random shape with a script. Raises the errors of loading."""

    def __init__(
        self,
        plan: Plan,
        shape: RandomShape | None = None,
        *,
        draft_plan: Plan | None = None,
        assistant: str | None = None,
        system: str | None = None,
        chat_template: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        """`plan` names the target, its precision and its device; `draft_plan` the draft, where that is another."""
        self._plan = plan
        self._draft_plan = draft_plan or plan
        self._loaded: dict[str, Any] = {}
        self._assistant = assistant
        self._system = system
        self.shape = shape
        self.script: Script | None = None
        self._template: str | None = None
        if shape is not None:
            self.tokenizer = ChatTokenizer(str(bundled_folder()))
            self.script = Script(int(shape.config["vocab_size"]), SCRIPT_TOKENS, shape.seed)
            self.target: Target = Target(self._random(shape), frozenset())
            steer(self.target.model, self.script)
            return
        self.tokenizer = ChatTokenizer(plan.target, trust_remote_code=trust_remote_code)
        self._template = read_template(chat_template, self.tokenizer)
        self.target = load_target(
            plan.target,
            dtype=plan.dtype,
            compute=plan.kv_dtype,
            device=plan.device,
            trust_remote_code=trust_remote_code,
        )
        self.tokenizer.check(self._template, self.target.eos_ids)

    @property
    def replayed(self) -> bool:
        return self.shape is not None

    def dialogue(self, talk: Talk) -> Dialogue:
        """A new conversation."""
        if self.script is not None:
            return Spliced(self.tokenizer, self.script.vocab)
        return Rendered(self.tokenizer, self._template, self.target.eos_ids, talk.system or self._system)

    def drafter(self, plan: Plan) -> Drafter | None:
        """A new drafter for `plan`, over weights that all drafters share; for a random shape the replayed head."""
        drafter = make_drafter(plan, self.target, self._weights)
        if self.shape is not None and self.script is not None and isinstance(drafter, FeatureDrafter):
            return ReplayDrafter(drafter, self.script, self.shape.acceptance, self.shape.seed)
        return drafter

    def _weights(self, name: str) -> Any:
        """The weights of the drafter `name`, once for all methods. Raises the errors of loading them."""
        if name not in self._loaded:
            if self.shape is not None:
                head = parse(self.shape.head_config)
                loaded = random_head(head, self.target, self._draft_plan.draft_dtype, self.shape.seed + 1)
            else:
                loaded = load_weights(name, self._draft_plan, self.target)
            self._loaded[name] = loaded
        return self._loaded[name]

    @property
    def models(self) -> tuple[Any, ...]:
        """Every module whose weights were loaded so far: they are no generation memory."""
        loaded = [*self._loaded.values(), *(vars(self).get(name) for name in ("twin", "assistant"))]
        modules = [part.model if isinstance(part, Target) else part for part in loaded if part is not None]
        return (self.target.model, *modules)

    @cached_property
    def twin(self) -> Any:
        """The same weights in transformers' own, unmodified model: a second copy, loaded when it is first needed."""
        if self.shape is not None:
            model = random_twin(self.shape.config, self._plan.dtype, self._plan.device, self.shape.seed)
            if self.script is not None:
                steer(model, self.script)
        else:
            model = load_unmodified(self._plan.target, self._plan.dtype, self._plan.device)
        model.set_attn_implementation("sdpa")
        return model

    @cached_property
    def assistant(self) -> Any:
        """The assistant model of transformers' assisted generation."""
        return load_unmodified(self._assistant or "", self._plan.dtype, self._plan.device)

    def _random(self, shape: RandomShape) -> Any:
        plan = self._plan
        attention.prefer(plan.device)
        return drawn_model(shape.config, dtype=plan.dtype, compute=plan.kv_dtype, device=plan.device, seed=shape.seed)


def load_unmodified(folder: str, dtype: str, device: str) -> Any:
    """The model in `folder` as transformers loads it. Raises UsageError for a precision or an architecture that the
    comparison does not load."""
    if dtype not in COMPUTED:
        raise UsageError(
            f"transformers' methods are compared in {', '.join(COMPUTED)}, not {dtype}", "give --dtype bf16"
        )
    model_class = library_class(str(read_config(Path(folder)).get("model_type", "")))
    model = model_class.from_pretrained(
        folder, dtype=COMPUTED[dtype], attn_implementation="sdpa", local_files_only=True
    )
    return model.to(device).eval()
