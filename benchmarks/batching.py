"""What batching brings: `python -m benchmarks.batching`.

Aggregate tokens per second of continuous batching with B rows, plain and speculative, against plain decoding of one
conversation at a time. Prefill and the turns' changes of hands are part of every block. All methods take short blocks
in random order; ratios are of blocks of the same round, with an A/A control beside them (plain against itself). Ctrl-C
ends the measuring and shows what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from specmemo_chat.bench.measuring.environment import environment
from specmemo_chat.bench.measuring.job import RandomShape
from specmemo_chat.bench.measuring.methods import common_prefix
from specmemo_chat.bench.measuring.schedule import rounds
from specmemo_chat.bench.measuring.statistics import Ratio, median_ratio
from specmemo_chat.bench.measuring.subject import Dialogue, Subject
from specmemo_chat.bench.measuring.talks import Talk, find_talks
from specmemo_chat.catalog.aliases import bundled_folder, load_catalog
from specmemo_chat.device.probe import probe_cpu
from specmemo_chat.drafters.eagle_config import draft_kind, parse
from specmemo_chat.engine import sequence as engine_sequence
from specmemo_chat.engine.calibration import CALIBRATION_S
from specmemo_chat.engine.calibration import measure as calibrate
from specmemo_chat.engine.engine import Engine
from specmemo_chat.engine.scheduler import Scheduler
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.acceptance import first_choice
from specmemo_chat.memory.contract import Dtype, Plan, buckets_of
from specmemo_chat.memory.drafts import head_shape
from specmemo_chat.memory.request import in_own_precision, nodes_of_a_row
from specmemo_chat.memory.terms import Terms
from specmemo_chat.models.threads import import_torch
from specmemo_chat.settings import GenerationSettings
from specmemo_chat.speculation.report import SpeculationReport

# Tokens of a block, of each row.
BLOCK = 20
SIZES = {"1.1b": "tinyllama-1.1b-chat", "7b": "llama-2-7b-chat"}
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class Stream:
    """An endless stream of conversations through an engine with `plan.rows` rows."""

    def __init__(self, subject: Subject, plan: Plan, talks: Sequence[Talk], settings: GenerationSettings) -> None:
        self._subject = subject
        self._engine = Engine(subject.target, subject.drafter(plan), plan)
        if self._engine.drafter is not None:
            # As a batch does when it loads: without, the first blocks try trees of every size.
            calibrate(self._engine, CALIBRATION_S)
        self._scheduler = Scheduler(self._engine)
        self._talks: Iterator[Talk] = cycle(talks)
        self._settings = settings
        self._rows = plan.rows
        self._running: dict[engine_sequence.Sequence, tuple[Dialogue, list[str]]] = {}

    def run(self, tokens: int) -> int:
        """Steps until there are `tokens` new ones; how many there are."""
        made = 0
        while made < tokens:
            while len(self._running) < self._rows:
                talk = next(self._talks)
                dialogue, texts = self._subject.dialogue(talk), list(talk.turns)
                sequence = self._engine.make(dialogue.prompt(texts.pop(0)), self._settings)
                self._running[sequence] = (dialogue, texts)
                self._scheduler.add(sequence)
            for sequence, step in self._scheduler.step():
                made += len(step.tokens)
                if sequence.finished is not None:
                    self._turn_over(sequence)
        return made

    def report(self) -> SpeculationReport:
        """The controller's view."""
        return self._engine.report()

    def _turn_over(self, sequence: engine_sequence.Sequence) -> None:
        dialogue, texts = self._running.pop(sequence)
        dialogue.answered(tuple(sequence.tokens[sequence.prompt_length :]))
        prompt = dialogue.prompt(texts.pop(0)) if texts else []
        if not prompt or len(prompt) >= self._engine.plan.context_tokens:
            self._scheduler.leave(sequence)
            return
        new = self._engine.make(prompt, self._settings)
        self._running[new] = (dialogue, texts)
        held = self._engine.close(sequence)
        self._scheduler.follow(new, sequence, common_prefix(held, prompt))


def measure(
    subject: Subject,
    plan: Plan,
    talks: Sequence[Talk],
    sizes: Sequence[int],
    pairs: int,
    clock: Callable[[], float],
    settings: GenerationSettings,
    block: int = BLOCK,
) -> dict[str, Any]:
    """Rates and ratios by batch size; `plan` is for one row and names the drafters. A method's turn lasts until every
    row made `block` tokens on average."""
    streams: dict[str, Stream] = {}
    for size in sizes:
        nodes = nodes_of_a_row(plan.tree_nodes, size, plan.device.partition(":")[0])
        batch = replace(plan, rows=size, node_buckets=buckets_of(nodes, plan.device))
        plain = replace(batch, drafters=(), node_buckets=(1,))
        for name, changed in (("plain", plain), ("again", plain), ("speculative", batch)):
            streams[f"{name} {size}"] = Stream(subject, changed, talks, settings)
    # The base of "batching against one at a time", whichever sizes were asked for.
    streams.setdefault("plain 1", Stream(subject, replace(plan, drafters=(), node_buckets=(1,)), talks, settings))
    rows = {name: int(name.split()[1]) for name in streams}
    for name, stream in streams.items():
        stream.run(2 * block * rows[name])  # warm: kernels, times of the controller, rows at different places
    rates: dict[str, list[float]] = {name: [] for name in streams}
    order = rounds(list(streams), seed=0)
    began_all = time.monotonic()
    with suppress(KeyboardInterrupt):
        for done in range(pairs):
            found: dict[str, float] = {}
            for name in next(order):
                began = clock()
                made = streams[name].run(block * rows[name])
                found[name] = made / (clock() - began)
            for name, rate in found.items():
                rates[name].append(rate)
            print(f"{done + 1} of {pairs} pairs, {time.monotonic() - began_all:.0f} s", file=sys.stderr)
    if not rates["plain 1"]:
        raise KeyboardInterrupt
    result: dict[str, Any] = {"schema": 1, "pairs": len(rates["plain 1"]), "rows": {}}
    for size in sizes:
        result["rows"][str(size)] = {
            "plain_tokens_per_second": _middle(rates[f"plain {size}"]),
            "speculative_tokens_per_second": _middle(rates[f"speculative {size}"]),
            "control": _ratio(rates[f"again {size}"], rates[f"plain {size}"]),
            "plain_vs_one_row": _ratio(rates[f"plain {size}"], rates["plain 1"]),
            "speculative_vs_plain": _ratio(rates[f"speculative {size}"], rates[f"plain {size}"]),
            "speculative_vs_one_row": _ratio(rates[f"speculative {size}"], rates["plain 1"]),
            "controller": streams[f"speculative {size}"].report().steps,
        }
    return result


def _middle(values: Sequence[float]) -> float:
    return round(sorted(values)[len(values) // 2], 2)


def _ratio(left: Sequence[float], right: Sequence[float]) -> dict[str, Any]:
    found = median_ratio([one / other for one, other in zip(left, right, strict=True)])
    return (found or Ratio(0.0, 0.0, 0.0, 0)).as_json()


def replayed_shape(name: str) -> RandomShape:
    """Random weights in the shape of the catalogue's model `name`, and a head of one layer that is right as often as
    published EAGLE heads are. Raises UsageError for a model that the catalogue does not know."""
    entry = load_catalog().get(SIZES.get(name, name))
    if entry is None or not entry.config:
        raise UsageError(f"--shape {name} is not known", f"give one of {', '.join((*SIZES, *load_catalog()))}")
    # Positions are only numbers: contexts may be longer than the model was trained for.
    config = {**entry.config, "max_position_embeddings": 8192}
    head = {**config, "model_type": "llama", "num_hidden_layers": 1, "bias": True}
    return RandomShape(name, config, head, (first_choice("eagle"),), "replayed: fitted to EAGLE-2 on MT-Bench")


def _draft_dtype(folder: str, dtype: Dtype, device: str) -> Dtype:
    """The precision that a chat would give the head in `folder` beside a target in `dtype`."""
    if device != "cpu" or not folder:
        return dtype
    values = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    if draft_kind(values) == "model":
        return dtype
    return in_own_precision(head_shape(parse(values), folder, dtype), probe_cpu()).dtype


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a model (default: the bundled one)")
    parser.add_argument("--random", type=Path, help="JSON file with the fields of bench.job.RandomShape, instead")
    parser.add_argument("--shape", help="1.1b, 7b or an alias: random weights, acceptance replayed, instead")
    parser.add_argument("--drafters", default="ngram", help="joined with + (default %(default)s; replayed: eagle)")
    parser.add_argument("--draft", help="folder of the draft's weights")
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-graphs", action="store_true", help="steps without CUDA graphs")
    parser.add_argument("--batch-sizes", default="1,2,5,10")
    parser.add_argument("--prompts", default="pocket", help="pocket, random or a JSONL file (default %(default)s)")
    parser.add_argument("--pairs", type=int, default=100, help="blocks of each method (default %(default)s)")
    parser.add_argument("--block", type=int, default=BLOCK, help="tokens a row of each block (default %(default)s)")
    parser.add_argument("--ctx-size", type=int, default=1024)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: this process's time, on a busy machine")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: the processors)")
    parser.add_argument("-n", type=int, default=120, help="new tokens a reply at most (default %(default)s)")
    parser.add_argument("--temp", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    import_torch()
    if options.threads:
        torch.set_num_threads(options.threads)
    shape = replayed_shape(options.shape) if options.shape else None
    if options.random:
        values = json.loads(options.random.read_text(encoding="utf-8"))
        shape = RandomShape(**{**values, "acceptance": tuple(values["acceptance"])})
    graphs = options.device.startswith("cuda") and not options.no_graphs
    draft_dtype = _draft_dtype(options.draft or "", options.dtype, options.device)
    plan = Plan(
        model=shape.name if shape else str(options.model or "pocket"),
        target=str(options.model or bundled_folder()),
        device=options.device,
        dtype=options.dtype,
        context_tokens=options.ctx_size,
        cap_bytes=0,
        terms=Terms(),
        draft=options.draft,
        draft_dtype=draft_dtype,
        kv_dtype=options.dtype,
        graphs=graphs,
        allocate_at_load=graphs,
        prefill_chunk=1024 if options.device.startswith("cuda") else 256,
        drafters=tuple(("eagle" if shape and options.drafters == "ngram" else options.drafters).split("+")),
    )
    settings = GenerationSettings(max_new_tokens=options.n, temperature=options.temp)
    sizes = [int(size) for size in options.batch_sizes.split(",")]
    talks = find_talks(options.prompts)
    clock = CLOCKS[options.clock]
    result = measure(Subject(plan, shape), plan, talks, sizes, options.pairs, clock, settings, options.block)
    result["block"] = options.block
    result |= {"model": plan.model, "drafters": "+".join(plan.drafters), "clock": options.clock, "dtype": plan.dtype}
    result |= {"draft_dtype": plan.draft_dtype, "graphs": plan.graphs, "environment": environment(plan.device)}
    result["replayed"] = shape is not None
    if options.json:
        print(json.dumps(result))
        return
    _print_table(result)


def _print_table(result: dict[str, Any]) -> None:
    def shown(ratio: dict[str, Any]) -> str:
        return f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"

    out = sys.stdout
    replayed = " REPLAYED," if result["replayed"] else ""
    out.write(f"{result['model']} ({result['dtype']}),{replayed} {result['drafters']}; {result['pairs']} pairs, ")
    out.write(f"{result['clock']} time; medians with 95 % intervals\n")
    out.write(f"{'rows':>4} {'plain/s':>8} {'spec/s':>8}  {'A/A':<19} {'plain / one row':<19} ")
    out.write(f"{'spec / plain':<19} {'spec / one row':<19}\n")
    for size, row in result["rows"].items():
        cells = [
            row[name] for name in ("control", "plain_vs_one_row", "speculative_vs_plain", "speculative_vs_one_row")
        ]
        out.write(f"{size:>4} {row['plain_tokens_per_second']:8.1f} {row['speculative_tokens_per_second']:8.1f}  ")
        out.write(" ".join(f"{shown(cell):<19}" for cell in cells).rstrip() + "\n")


if __name__ == "__main__":
    main()
