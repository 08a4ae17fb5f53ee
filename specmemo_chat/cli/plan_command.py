"""`specmemo plan`: how every byte would be spent, before anything is loaded."""

from __future__ import annotations

from typing import Annotated

import typer

from specmemo_chat.cli import options
from specmemo_chat.cli.console import Screen

PlanDevice = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:1, mps, or a profile's name for a device that is not here.",
        envvar="SPECMEMO_DEVICE",
        rich_help_panel=options.MODEL_PANEL,
    ),
]


def plan(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Alias, hub id or local folder.")] = None,
    model: options.Model = "pocket",
    draft: options.Draft = "auto",
    max_memory: options.MaxMemory = None,
    ctx_size: options.ContextSize = None,
    profile: options.ProfileName = None,
    device: PlanDevice = "auto",
    dtype: options.Dtype = options.Precision.auto,
    gpus: options.Gpus = 1,
    trust_remote_code: options.TrustRemoteCode = False,
    offline: options.Offline = False,
    json: options.Json = False,
    color: options.ColorWhen = options.Color.auto,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show how every byte would be spent; exit code 3 where it does not fit."""
    screen = Screen(color.value, quiet=quiet)
    choice = options.ModelChoice(
        model=name if name is not None else model,
        draft=draft,
        max_memory=max_memory,
        ctx_size=ctx_size,
        profile=profile,
        device=device,
        dtype=dtype.value,
        gpus=gpus,
        trust_remote_code=trust_remote_code,
        offline=offline,
    )
    from specmemo_chat.cli.plan_table import show_plan

    show_plan(choice, screen, as_json=json)
