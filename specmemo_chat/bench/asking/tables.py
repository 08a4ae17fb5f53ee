"""The tables of `bench`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from specmemo_chat.bench.asking import perplexity_job
from specmemo_chat.sizes import format_size
from specmemo_chat.terminal.console import Screen
from specmemo_chat.terminal.text import safe_line

MEMORY_NAMES = {
    "baseline-a": "A: usual EAGLE settings",
    "baseline-b": "B: A with SDPA, last-row logits",
    "baseline-c": "C: transformers' generate",
    "uncapped": "specmemo, uncapped",
    "capped": "specmemo, capped",
}


def tables(result: dict[str, Any], screen: Screen) -> None:
    """Print everything that was measured."""
    out = screen.out
    for part in _parts(result):
        out.print(part, markup=False) if isinstance(part, str) else out.print(part)


def _parts(result: dict[str, Any]) -> Iterator[Table | str]:
    if "perplexity" in result:
        yield from perplexity_job.lines(result)
        return
    place = result["environment"]
    yield (
        f"{safe_line(str(place['model']))} in {place['dtype']} on {place['device']} ({place['device_name']}), "
        f"{place['threads']} threads, torch {place['torch']}, transformers {place['transformers']}"
    )
    yield f"prompts: {safe_line(str(result['prompts']['source']))}, {result['prompts']['conversations']} conversations"
    if result["replayed"]:
        yield f"REPLAYED: random weights, scripted text; {place['acceptance']}"
    if result["methods"]:
        yield _methods(result)
        yield _control(result["control"])
    for name, reason in result["not_run"].items():
        yield f"not run: {name}: {safe_line(reason)}"
    if "sweep" in result:
        yield from _sweep(result["sweep"])
    if "steps" in result:
        yield _steps(result["steps"])
    if "memory" in result:
        yield from _memory(result["memory"])
    for note in result["notes"]:
        yield f"note: {safe_line(note)}"
    if result["interrupted"]:
        yield "interrupted: the figures are those of the replies until then"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _methods(result: dict[str, Any]) -> Table:
    title = "REPLAYED: eagle and adaptive" if result["replayed"] else ""
    table = _table(title, "method", "tok/s", "to plain", "acc.", "memory", "same")
    for name, values in result["methods"].items():
        same = values["identical_to_plain"]
        table.add_row(
            name,
            *_speed(values, "speedup_vs_plain"),
            _size(values["generation_bytes"]),
            f"{same[0]}/{same[1]}" if same else "-",
        )
    return table


def _speed(values: dict[str, Any], ratio: str) -> tuple[str, str, str]:
    """Tokens per second, the `ratio` and the acceptance length, as cells of a row."""
    length = f"{values['mean_acceptance_length']:.2f}"
    return f"{values['tokens_per_second']:.1f}", interval(values[ratio]), length


def _control(control: dict[str, Any] | None) -> str:
    if control is None:
        return "A/A control: none"
    return (
        f"A/A control, plain to plain: {interval(control)}, {control['pairs']} pairs\n"
        "to plain: median of the replies' ratios of decoding speed, 95 % interval; acc.: tokens a step;\n"
        "memory: peak bytes of generation, weights left out; same: replies with plain's text"
    )


def interval(ratio: dict[str, Any] | None) -> str:
    """1.83 [1.79 1.88]"""
    return "-" if ratio is None else f"{ratio['median']:.2f} [{ratio['low']:.2f} {ratio['high']:.2f}]"


def _size(size: int | None) -> str:
    return "-" if size is None else format_size(size)


def _sweep(sweep: dict[str, Any]) -> Iterator[Table | str]:
    if "fixed" not in sweep:
        return
    table = _table(f"\nfixed trees against the controller ({sweep['drafter']})", "tree", "tok/s", "to plain", "acc.")
    for name, values in (*sweep["fixed"].items(), ("adaptive", sweep["adaptive"])):
        table.add_row(name, *_speed(values, "speedup_vs_plain"))
    yield table
    yield f"adaptive to the best of them, {sweep['best_fixed']}: {interval(sweep['adaptive_vs_best_fixed'])}"


def _steps(steps: dict[str, Any]) -> Table:
    table = _table(
        f"\none step after {steps['context_tokens']} tokens, drafting left out", "nodes", "ms", "to one node"
    )
    for nodes, values in steps["nodes"].items():
        table.add_row(nodes, f"{1000 * values['seconds']:.2f}", interval(values["over_plain"]))
    return table


def _memory(memory: dict[str, Any]) -> Iterator[Table | str]:
    yield f"\ngeneration memory of {safe_line(memory['subject'])}"
    if memory["replayed"]:
        yield f"REPLAYED: random weights, scripted text; {memory['acceptance']}"
    table = _table("", "", "tok/s", "to uncapped", "acc.")
    for name, title in MEMORY_NAMES.items():
        values = memory["methods"].get(name)
        if values:
            table.add_row(title, *_speed(values, "relative_to_uncapped"))
    yield table
    parts = {f"{context}": part for context, part in memory["contexts"].items()}
    if "conversation" in memory:
        parts = {f"{memory['conversation']['tokens']} (longest)": memory["conversation"], **parts}
    if parts:
        yield _bytes("\nmeasured", parts)
    computed = memory["computed"]
    if computed:
        title = f"\ncomputed for {computed['model']} on {computed['device']} in {computed['dtype']}"
        parts = computed["contexts"]
        if "conversation" in computed:
            parts = {f"{computed['conversation']['tokens']} (median)": computed["conversation"], **parts}
        yield _bytes(title, parts)


def _bytes(title: str, parts: dict[str, dict[str, Any]]) -> Table:
    """Generation memory by tokens of the conversation, and what the cap saves of A and B."""
    table = _table(title, "tokens", "A", "B", "C", "uncapped", "capped", "of A", "of B")
    for tokens, part in parts.items():
        table.add_row(
            tokens,
            *(_size(part["generation_bytes"][name]) for name in MEMORY_NAMES),
            *(f"{-part['saved'][name]:+.0%}" for name in ("baseline-a", "baseline-b")),
        )
    return table
