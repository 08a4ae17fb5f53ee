"""What a training run was asked for, and the bytes it takes. Needs no torch: the terminal decides with it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specmemo_chat.catalog.spec import ModelSpec
from specmemo_chat.drafters.eagle_config import read_config
from specmemo_chat.errors import PlanError, UsageError
from specmemo_chat.sizes import format_size

# Master weight, gradient and the two moments of AdamW, fp32 each.
_BYTES_PER_PARAMETER = 16
# Tokens of a row: training on longer texts than the head meets first costs attention and no insight.
ROW_TOKENS = 1024
_LARGEST_DRAFT_VOCAB = 32768


@dataclass(frozen=True)
class TrainingSettings:
    """The flags of `train-draft`. `steps` 0: as many as `epochs` need. `learning_rate` and `draft_vocab` 0: by the
    model's size. `depth`: how many tokens the head drafts on its own output while it is trained (training-time test).
    `batch_tokens` is one optimiser step, `micro_tokens` what is computed at once (set by `fit`). `start`: the folder of
    a head to begin with, instead of random weights."""

    data: str
    out: str
    steps: int = 0
    epochs: int = 3
    depth: int = 5
    batch_tokens: int = 8192
    micro_tokens: int = 0
    row_tokens: int = ROW_TOKENS
    learning_rate: float = 0.0
    draft_vocab: int = 0
    intermediate: int = 0
    feature_layers: tuple[int, ...] = ()
    start: str = ""
    keep_replies: bool = False
    temperature: float = 0.0
    max_new_tokens: int = 256
    seed: int = 0
    save_seconds: float = 120.0

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to go on: everything but where it lies, how long it runs and how often it
        saves."""
        values = dataclasses.asdict(self)
        for name in ("out", "save_seconds", "micro_tokens"):
            del values[name]
        return values | {"feature_layers": list(self.feature_layers)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingSettings:
        return cls(**(values | {"feature_layers": tuple(values["feature_layers"])}))


def check(spec: ModelSpec, settings: TrainingSettings) -> TrainingSettings:
    """The settings with what depends on the model, or on the head to begin with, filled in.

    Raises UsageError for what makes no sense for the model, ModelError for a head that cannot be read.
    """
    if settings.start:
        settings = _shaped_as(spec, settings)
    if settings.draft_vocab > spec.vocab:
        raise UsageError(
            f"--draft-vocab {settings.draft_vocab} is more than the {spec.vocab} tokens of {spec.name}",
            f"give --draft-vocab {spec.vocab} or less",
        )
    layers = settings.feature_layers or feature_layers(spec.layers)
    wrong = next((layer for layer in layers if not 0 <= layer <= spec.layers), None)
    if wrong is not None:
        raise UsageError(
            f"--feature-layers names hidden state {wrong}, and {spec.name} has 0 to {spec.layers}",
            f"leave it out: {','.join(map(str, feature_layers(spec.layers)))} is the default",
        )
    return dataclasses.replace(
        settings,
        draft_vocab=settings.draft_vocab or min(spec.vocab, _LARGEST_DRAFT_VOCAB),
        intermediate=settings.intermediate or spec.intermediate,
        feature_layers=layers,
        learning_rate=settings.learning_rate or max(5e-5, min(1e-3, 1e-3 * 256 / spec.hidden)),
        row_tokens=min(settings.row_tokens, spec.max_context),
    )


def _shaped_as(spec: ModelSpec, settings: TrainingSettings) -> TrainingSettings:
    """The settings with the shape of the head in `settings.start`. Raises UsageError where the flags ask for another
    one, or where it is no EAGLE-3 head for this model."""
    head = read_config(Path(settings.start))
    wanted = (spec.hidden, spec.hidden, spec.vocab, spec.heads, spec.kv_heads, spec.head_dim)
    if head.kind != "eagle3" or wanted != (
        head.hidden, head.target_hidden, head.vocab, head.heads, head.kv_heads, head.head_dim
    ):  # fmt: skip
        raise UsageError(
            f"the head in {settings.start} does not have the shape that train-draft gives one for {spec.name}",
            "leave out --start",
        )
    own: dict[str, Any] = {
        "draft_vocab": head.draft_vocab,
        "intermediate": head.intermediate,
        "feature_layers": head.feature_layers(spec.layers),
    }
    for name, value in own.items():
        if getattr(settings, name) not in (0, (), value):
            raise UsageError(
                f"--{name.replace('_', '-')} is not that of the head in {settings.start}, which has {value}",
                "leave it out, or leave out --start",
            )
    return dataclasses.replace(settings, **own)


def feature_layers(layers: int) -> tuple[int, int, int]:
    """Which hidden states an EAGLE-3 head reads: inputs of layers 2, n // 2 and n - 3, within `layers`."""
    return min(2, layers), max(1, layers // 2), max(1, layers - 3)


def head_parameters(spec: ModelSpec, settings: TrainingSettings) -> int:
    """Weights of the EAGLE-3 head, its own lm_head included (the embedding is the target's)."""
    h, q, kv = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    attention = (q + 2 * kv) * 2 * h + q * h
    return (
        attention
        + 3 * settings.intermediate * h
        + len(settings.feature_layers) * h * h
        + settings.draft_vocab * h
        + 4 * h
    )


def training_bytes(spec: ModelSpec, settings: TrainingSettings, micro_tokens: int) -> int:
    """An upper estimate of what training takes beside the target's weights: the head with its optimiser, what
    autograd keeps of every level for `micro_tokens`, and the logits of one level (they are computed again)."""
    h, q, kv = spec.hidden, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    wide = 12 * h + 4 * q + 6 * kv + 5 * settings.intermediate
    scores = 3 * spec.heads * settings.row_tokens
    levels = micro_tokens * settings.depth * (wide + scores)
    # The target's own forward (two layers' worth of activations at its height), its features and its probabilities.
    target = micro_tokens * ((len(settings.feature_layers) + 6) * h + 3 * spec.intermediate + 2 * q)
    logits = micro_tokens * (spec.vocab + 4 * settings.draft_vocab)
    return _BYTES_PER_PARAMETER * head_parameters(spec, settings) + 4 * (levels + target + logits)


def fit(spec: ModelSpec, settings: TrainingSettings, free_bytes: int) -> TrainingSettings:
    """The settings with the largest `micro_tokens` that `free_bytes` hold; shorter rows where even one does not fit.

    Raises PlanError where rows of 128 tokens do not fit either.
    """
    row = min(settings.row_tokens, settings.batch_tokens)
    while row >= min(128, settings.row_tokens):
        shaped = dataclasses.replace(settings, row_tokens=row)
        rows = max(1, settings.batch_tokens // row)
        while rows >= 1:
            if training_bytes(spec, shaped, rows * row) <= free_bytes:
                return dataclasses.replace(shaped, micro_tokens=rows * row)
            rows //= 2
        row //= 2
    least = training_bytes(spec, dataclasses.replace(settings, row_tokens=128), 128)
    raise PlanError(
        f"training a head for {spec.name} needs at least {format_size(least)} beside the model, and the cap leaves "
        f"{format_size(max(0, free_bytes))}",
        f"give --max-memory {format_size(least - free_bytes)} more, or a smaller --draft-vocab or --depth",
    )
