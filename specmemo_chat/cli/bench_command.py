"""`specmemo bench`: its flags."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specmemo_chat.cli import options
from specmemo_chat.cli.parsing import TextCommand
from specmemo_chat.errors import UsageError
from specmemo_chat.setup.flags import FLAGS, OUTPUT_PANEL, Color, ModelChoice, Precision, SamplingChoice
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.ending import INTERRUPTED

if TYPE_CHECKING:
    from specmemo_chat.bench.measuring.job import Job

BENCH_PANEL = "What is measured"
_measured = functools.partial(typer.Option, rich_help_panel=BENCH_PANEL)
STDOUT = "-"


class BenchCommand(TextCommand):
    """Lets `--json` stand without a value: then the object goes to standard output."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = []
        for index, argument in enumerate(args):
            given.append(argument)
            following = args[index + 1] if index + 1 < len(args) else "--"
            if argument == "--json" and following.startswith("-") and following != STDOUT:
                given.append(STDOUT)
        return super().parse_args(ctx, given)


Prompts = Annotated[
    str,
    _measured(
        "--prompts",
        metavar="FILE",
        help="JSONL with turns (MT-Bench's question.jsonl), prompts or messages; or `pocket` (ours, for the bundled "
        "model), or `random` (chosen against speculation).",
    ),
]
Methods = Annotated[
    str | None,
    _measured(
        "--methods",
        metavar="LIST",
        help="Of plain, ngram, eagle, chain, adaptive, transformers, transformers-prompt-lookup, "
        "transformers-assisted; with commas between them. All that can run where it is left out (none beside --memory "
        "or --sweep).",
    ),
]
Memory = Annotated[bool, _measured("--memory", help="Generation memory against three baselines.")]
Sweep = Annotated[bool, _measured("--sweep", help="Every fixed tree against the controller, and the time of a step.")]
Perplexity = Annotated[
    Path | None, _measured("--perplexity", metavar="FILE", help="How well the model predicts this text, at --dtype.")
]
Against = Annotated[
    Precision | None,
    _measured("--against", metavar=FLAGS["dtype"].metavar, help="For --perplexity: the same in this precision beside."),
]
Pairs = Annotated[int, _measured("--pairs", min=1, help="Replies to compare, of each method.")]
Threads = Annotated[int, options.declared("threads", rich_help_panel=BENCH_PANEL)]
Assistant = Annotated[
    str | None, _measured("--assistant", help="The smaller model for transformers' assisted generation.")
]
Shape = Annotated[
    str | None,
    _measured(
        "--shape", help="1.1b, 7b, an alias or a config.json in place of a model: random weights, acceptance replayed."
    ),
]
Acceptance = Annotated[
    str | None,
    _measured(
        "--acceptance",
        metavar="eagle|eagle3|P,P,...",
        help="For replays: published figures, or by depth how often the head's first choice is right.",
    ),
]
NewTokens = Annotated[
    int,
    options.declared(
        "max_new_tokens",
        help="Of each reply. 0: as many as the context holds.",
        envvar=None,
        rich_help_panel=BENCH_PANEL,
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="[FILE]",
        help="The result as JSON: into FILE beside the table, or without FILE on stdout in its place.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", help="The result as a picture (.png, .svg, .pdf).",
        rich_help_panel=OUTPUT_PANEL,
    ),
]  # fmt: skip


@options.takes(
    "model", *options.MODEL, *options.SAMPLING, "system", "chat_template", "trust_remote_code", "offline", "json",
    "plot", "color", "quiet", "debug",
)  # fmt: skip
def bench(
    context: typer.Context,
    prompts: Prompts = "pocket",
    methods: Methods = None,
    memory: Memory = False,
    sweep: Sweep = False,
    perplexity: Perplexity = None,
    against: Against = None,
    pairs: Pairs = 100,
    max_new_tokens: NewTokens = 256,
    threads: Threads = 0,
    assistant: Assistant = None,
    shape: Shape = None,
    acceptance: Acceptance = None,
    seed: options.Seed = None,
    json: JsonFile = None,
    plot: Plot = None,
    color: options.ColorWhen = Color.auto,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure speculation here: methods in turns on the same prompts, weights and seed."""
    screen = Screen(color.value, quiet=quiet)
    choice = ModelChoice.of(context.params)
    sampling = SamplingChoice.of(context.params, seed=seed or 0)
    from specmemo_chat.bench.asking.make_job import BenchChoice, make_job
    from specmemo_chat.bench.asking.output import check_outputs, show
    from specmemo_chat.bench.asking.perplexity_job import perplexity_job
    from specmemo_chat.bench.asking.run_job import run_job

    check_outputs(json, plot)
    if perplexity is not None or against is not None:
        if perplexity is None or plot is not None or methods is not None or memory or sweep or shape is not None:
            raise UsageError(
                "--perplexity stands by itself, with --against if you like",
                "leave out --plot, --methods, --memory, --sweep and --shape",
            )
        text = perplexity_job(perplexity, against.value if against else None, threads, choice, sampling, screen)
        result = run_job(text, screen, debug=debug)
        show(result, screen, json, None)
        sys.exit(INTERRUPTED if result["interrupted"] else 0)
    wanted = BenchChoice(prompts, methods, memory, sweep, pairs, threads, assistant, shape, acceptance)

    def run(job: Job) -> dict[str, Any]:
        return run_job(job, screen, debug=debug)

    result = run(make_job(wanted, choice, sampling, screen, run))
    show(result, screen, json, plot)
    sys.exit(INTERRUPTED if result["interrupted"] else 0)
