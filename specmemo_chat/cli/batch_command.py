"""`specmemo batch`: the flags of batch/run.py."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.flags import Color, ModelChoice, SamplingChoice
from specmemo_chat.setup.prepare import lend_workers, prepare, start_client
from specmemo_chat.sizes import counted
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED

if TYPE_CHECKING:
    from specmemo_chat.batch.run import Totals


class Order(StrEnum):
    """The order of the output's lines."""

    input = "input"
    finish = "finish"


@options.takes(
    "model", *options.MODEL, "batch_size", *options.GROUP, *options.SAMPLING, "max_new_tokens", "stop", "system",
    "chat_template", "trust_remote_code", "offline", "json", "color", "quiet", "debug",
)  # fmt: skip
def batch(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN.jsonl", help='Lines with "turns", "prompt", "messages" or a "body".', show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.jsonl", help="Where replies go.", show_default=False)
    ],
    batch_size: options.BatchSize = 8,
    order: Annotated[
        Order, typer.Option("--order", help="Lines of the finished output: as in the input, or as they ended.")
    ] = Order.input,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
) -> None:
    """Answer every conversation of a JSONL file; run again to resume."""
    if not source.is_file():
        raise UsageError(f"{source} is no file", "give a JSONL file with one conversation a line")
    if output.exists() and output.samefile(source):
        raise UsageError("input and output are the same file", "give another file with -o")
    screen = Screen(color.value, quiet=quiet)
    choice = ModelChoice.of(context.params, rows=batch_size)
    from specmemo_chat.batch.run import Totals, run_batch

    totals = Totals()
    code = 0
    try:
        prepared = prepare(choice, SamplingChoice.of(context.params), screen)
        if prepared.nodes.rank > 0:
            lend_workers(prepared)
            return
        client = start_client(prepared)
        try:
            run_batch(client, source, output, prepared.settings, screen, totals, in_order=order is Order.input)
        finally:
            client.close()
    except KeyboardInterrupt:
        screen.note("interrupted; run the same command again to go on")
        code = INTERRUPTED
    if json:
        screen.print_json(totals.as_json())
    else:
        screen.note(_summary(totals))
    sys.exit(code or (1 if totals.failed else 0))


def _summary(totals: Totals) -> str:
    values = totals.as_json()
    skipped = f", {totals.skipped} done before" if totals.skipped else ""
    return (
        f"{counted(totals.conversations, 'conversation')}{skipped}, {totals.failed} failed, "
        f"{counted(totals.tokens, 'token')} in {totals.seconds:.1f} s ({values['tokens_per_second']:.1f} tokens/s)"
    )
