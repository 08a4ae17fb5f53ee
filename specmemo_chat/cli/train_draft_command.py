"""`specmemo train-draft`: the flags of distill/asking.py."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.contract import QUANTISED
from specmemo_chat.setup.flags import Color, ModelChoice, SamplingChoice
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED

_training = functools.partial(typer.Option, rich_help_panel="Training")


@options.takes(
    "context", "data", "output", "model", *options.MODEL[1:], ..., "temperature", "seed", "max_new_tokens", "system",
    "chat_template", "trust_remote_code", "offline", "json", "color", "quiet", "debug",
)  # fmt: skip
def train_draft(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="CHATS.jsonl", help='Lines with "messages", "turns" or "prompt".', show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the head goes.", show_default=False)
    ],
    model: options.Model = "pocket",
    steps: Annotated[int, _training("--steps", min=0, help="0: as many as --epochs need.")] = 0,
    epochs: Annotated[int, _training("--epochs", min=1, help="Times through the data.")] = 3,
    depth: Annotated[int, _training("--depth", min=1, max=10, help="Levels of training-time test.")] = 5,
    batch_tokens: Annotated[int, _training("--batch-tokens", min=128, help="Tokens of one step.")] = 8192,
    row_tokens: Annotated[int, _training("--row-tokens", min=64, help="Longest text; longer ones are cut.")] = 1024,
    learning_rate: Annotated[float, _training("--learning-rate", min=0.0, help="0: by the model's width.")] = 0.0,
    draft_vocab: Annotated[
        int, _training("--draft-vocab", min=0, help="The head's own vocabulary; 0: up to 32768.")
    ] = 0,
    intermediate: Annotated[int, _training("--intermediate", min=0, help="Width of its MLP; 0: the model's.")] = 0,
    feature_layers: Annotated[str, _training("--feature-layers", help="Hidden states it reads, as 2,16,29.")] = "",
    start: Annotated[
        Path | None,
        _training(
            "--start", metavar="HEAD", help="Begin with this head, as after fine-tuning the model.", show_default=False
        ),
    ] = None,
    keep_replies: Annotated[
        bool, _training("--keep-replies", help="Train on the data's replies, not on the model's.")
    ] = False,
    rows: Annotated[int, _training("--batch-size", min=1, help="Replies made at once.")] = 4,
    save_every: Annotated[float, _training("--save-every", min=0.0, help="Seconds between checkpoints.")] = 120.0,
    temperature: options.Temperature = None,
    seed: options.Seed = None,
    max_new_tokens: options.MaxNewTokens = 256,
    trust_remote_code: options.TrustRemoteCode = False,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
) -> None:
    """Train an EAGLE-3 draft head for a model on its own replies; run again to resume."""
    if not data.is_file():
        raise UsageError(f"{data} is no file", "give a JSONL file with one conversation a line")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", "give a folder with -o")
    screen = Screen(color.value, quiet=quiet)
    from specmemo_chat.catalog.config import spec_from_folder
    from specmemo_chat.distill.asking import describe, summary, train
    from specmemo_chat.distill.training import settings as training
    from specmemo_chat.distill.training.data import read_prompts
    from specmemo_chat.setup.prepare import prepare

    asked = training.TrainingSettings(
        data=str(data.resolve()),
        out=str(output),
        steps=steps,
        epochs=epochs,
        depth=depth,
        batch_tokens=batch_tokens,
        row_tokens=row_tokens,
        learning_rate=learning_rate,
        draft_vocab=draft_vocab,
        intermediate=intermediate,
        feature_layers=_layers(feature_layers),
        start=str(start.resolve()) if start else "",
        keep_replies=keep_replies,
        max_new_tokens=max_new_tokens,
        seed=seed or 0,
        save_seconds=save_every,
    )
    read_prompts(data, with_replies=keep_replies)
    choice = ModelChoice.of(context.params, draft="ngram")
    prepared = prepare(choice, SamplingChoice(temperature=temperature, seed=seed), screen)
    plan = prepared.plan
    if plan.dtype in QUANTISED:
        raise UsageError(f"a head is not trained beside {plan.dtype} weights", "give --dtype bf16, fp16 or fp32")
    spec = spec_from_folder(plan.model, Path(plan.target), any_architecture=trust_remote_code)
    shaped = training.check(spec, replace(asked, temperature=prepared.settings.temperature))
    fixed = plan.terms.target_weights + plan.terms.runtime
    shaped = training.fit(spec, shaped, plan.cap_bytes - fixed)
    done = train(prepared.load, shaped, training.head_parameters(spec, shaped), screen)
    if done is None:
        sys.exit(INTERRUPTED)
    if json:
        screen.print_json(summary(done, shaped))
    else:
        screen.note(describe(done, shaped, model))


def _layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"--feature-layers {text!r} is no list of numbers", "give them as 2,16,29") from None
