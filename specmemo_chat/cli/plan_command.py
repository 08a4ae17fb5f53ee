"""`specmemo plan`: how every byte would be spent, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.setup.flags import MODEL_PANEL, OUTPUT_PANEL, Color, ModelChoice
from specmemo_chat.terminal.console import Screen

PlanDevice = Annotated[
    str,
    options.declared("device", help="auto, cpu, cuda, cuda:1, mps, or a profile's name for a device that is not here."),
]


BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size", min=1, help="Conversations at once, as `batch` runs them.", rich_help_panel=MODEL_PANEL
    ),
]
Frontier = Annotated[
    bool, typer.Option("--frontier", help="The budget against the expected speed.", rich_help_panel=OUTPUT_PANEL)
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", help="The frontier as a picture (.png, .svg, .pdf).",
        rich_help_panel=OUTPUT_PANEL,
    ),
]  # fmt: skip


@options.takes(
    "model", *options.MODEL, "gpus", "batch_size", "frontier", "plot", "trust_remote_code", "offline", "json", "color",
    "quiet", "debug",
)  # fmt: skip
def plan(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Alias, hub id, folder, GGUF file or config.json.")
    ] = None,
    model: options.Model = "pocket",
    device: PlanDevice = "auto",
    batch_size: BatchSize = 1,
    frontier: Frontier = False,
    plot: Plot = None,
    json: options.Json = False,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
) -> None:
    """Show how every byte would be spent; exit code 3 where it does not fit."""
    screen = Screen(color.value, quiet=quiet)
    choice = ModelChoice.of(context.params, model=name if name is not None else model, rows=batch_size)
    from specmemo_chat.reports.plan_table import show_plan

    show_plan(choice, screen, as_json=json, frontier=frontier, picture=plot)
