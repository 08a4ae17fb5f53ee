"""A plan for people: one bar of the whole cap, a table of its bytes, the workers, and the frontier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from specmemo_chat.device.info import DeviceInfo
from specmemo_chat.memory.faster import Faster
from specmemo_chat.memory.footprint import footprint
from specmemo_chat.memory.frontier import KEPT, Frontier, Point
from specmemo_chat.memory.plan import Outcome
from specmemo_chat.memory.terms import Terms
from specmemo_chat.memory.throughput import TURN_PROMPT, TURN_REPLY, DeviceSpeed, Expected
from specmemo_chat.sizes import MIB, counted, format_size
from specmemo_chat.terminal.gauge import EMPTY, FULL, bar_cells

BAR_CELLS = 64
# In fewer columns the table leaves out the exact bytes.
FULL_TABLE = 60

# Field of Terms -> its letter in the bar, its name, its colour.
TERMS = {
    "target_weights": ("W", "target weights", "blue"),
    "draft_weights": ("D", "draft weights", "cyan"),
    "target_kv": ("K", "target KV cache", "green"),
    "tree_slots": ("T", "tree slots", "yellow"),
    "draft_kv": ("k", "draft KV cache", "bright_green"),
    "prefill_activations": ("P", "prefill activations", "magenta"),
    "verify_activations": ("V", "verify activations", "bright_magenta"),
    "logits": ("L", "logits", "red"),
    "draft_features": ("F", "draft features", "bright_cyan"),
    "growth_transient": ("G", "growth transient", "bright_yellow"),
    "runtime": ("R", "runtime", "white"),
}
FREE = "."
# A term in a table that is coloured, as in the bar.
KEY = "■"


def plan_lines(
    outcome: Outcome, device: str, reason: str, width: int = 80, *, color: bool = False
) -> Iterator[Text | str]:
    """What was planned for, the bar, the table, and what was conceded, for a terminal of `width` columns."""
    exact = width >= FULL_TABLE
    plan = outcome.plan
    each = f", each of {plan.tp} workers" if plan.tp > 1 else ""
    yield Text.assemble((plan.model, "bold"), f" on {device} in {plan.dtype}{each}")
    yield f"profile {plan.profile}: {reason}"
    yield ""
    yield Text("  ") + bar(plan.terms, plan.cap_bytes, bar_cells(width, 4), color=color)
    yield ""
    for label, mark, size in term_rows(plan.terms, color=color):
        yield Text.assemble(f"  {label:<20}", mark, _amount(size, plan.cap_bytes, exact))
    yield Text(f"  {'total':<21}{_amount(plan.total_bytes, plan.cap_bytes, exact)}", "bold")
    yield f"  {'cap':<21}{_amount(plan.cap_bytes, plan.cap_bytes, exact)}"
    yield ""
    yield (
        f"context {plan.context_tokens} tokens, {counted(plan.rows, 'row')}, "
        f"draft {'+'.join(plan.drafters) or 'none'}, trees of {counted(plan.tree_nodes, 'node')}, "
        f"prefill in chunks of {plan.prefill_chunk}"
    )
    yield from (f"conceded: {sentence}" for sentence in plan.concessions)
    yield from (f"note: {sentence}" for sentence in outcome.notes)
    spare = plan.cap_bytes - plan.total_bytes
    if outcome.fits:
        yield Text(f"fits, {format_size(spare)} to spare", "green")
    else:
        yield Text(f"does not fit: {format_size(-spare)} too much", "bold red")


def term_rows(terms: Terms, *, color: bool) -> Iterator[tuple[str, Text, int]]:
    """(name, what stands for it in the bar, bytes) of each term that is not 0."""
    for name, size in terms:
        letter, label, style = TERMS[name]
        if size:
            yield label, Text(KEY if color else letter, style), size


def bar(terms: Terms, cap: int, width: int = BAR_CELLS, *, color: bool = False) -> Text:
    """The terms side by side in `width` cells, in the order of the table: coloured blocks, or without colours a letter
    for each and dots for free memory. Where they are more than the cap, `|` stands where the cap ends."""
    scale = max(cap, terms.total, 1)
    text, done, filled = Text(), 0, 0
    for name, size in terms:
        done += size
        # Cells up to the running sum: rounding never adds up to more than the bar.
        cells = done * width // scale - filled
        filled += cells
        text.append((FULL if color else TERMS[name][0]) * cells, TERMS[name][2])
    text.append((EMPTY if color else FREE) * (width - filled), "dim")
    if done > cap:
        place = cap * width // scale
        text = Text.assemble(text[:place], ("|", "bold red"), text[place:])
    return text if color else Text.assemble("[", text, "]")


def expected_lines(
    expected: Expected | None, speed: DeviceSpeed | None, device: str, faster: Sequence[Faster] = ()
) -> Iterator[str]:
    """The expected speed, as the estimate that it is, and what would be faster."""
    if expected is None or speed is None:
        yield f"expected speed: not known, because nothing tells the memory bandwidth of {device}"
        return
    if expected.nodes > 1:
        tree = f"{expected.tokens_per_step:.2f} tokens a step with trees of {expected.nodes} nodes"
        gain = f"plain {expected.plain:.1f}; {tree}"
    else:
        gain = "plain decoding; no tree is expected to be faster"
    yield (
        f"expected: about {expected.tokens_per_second:.1f} tokens/s ({gain}), "
        f"{expected.prefill_s:.2f} s to read {TURN_PROMPT} tokens"
    )
    left_out = "" if speed.times else "; host and network time left out"
    yield f"  an estimate: {speed.basis}; published acceptance{left_out}"
    yield from (f"faster: {other.sentence}" for other in faster)


def worker_lines(outcome: Outcome, devices: Sequence[DeviceInfo]) -> Iterator[str]:
    """One line for each worker's device."""
    plan, terms = outcome.plan, outcome.plan.terms
    columns = {
        "weights": terms.weights,
        "KV cache": terms.kv,
        "step": terms.generation - terms.kv,
        "runtime": terms.runtime,
        "total": terms.total,
        "cap": plan.cap_bytes,
    }
    yield "  rank  device    " + "".join(f"{name:>11}" for name in columns)
    row = "".join(f"{format_size(size):>11}" for size in columns.values())
    for rank, device in enumerate(devices):
        yield f"  {rank:<6}{device.torch_name:<10}{row}"


def frontier_lines(frontier: Frontier, outcome: Outcome) -> Iterator[str]:
    """The table of the frontier; the lower bound is marked."""
    bound, cap = frontier.lower_bound, outcome.plan.cap_bytes
    yield f"budget against throughput of a turn ({TURN_PROMPT} tokens in, {TURN_REPLY} out, prefill included)"
    yield f"  {'budget':>14}{'trees':>7}{'chunk':>7}  {'weights':<8}{'drafters':<14}{'tokens/s':>9}{'relative':>10}"
    for point in frontier.points:
        shape, marks = point.shape, []
        if point is bound:
            marks.append(f"lower bound ({KEPT:.0%})")
        if point.budget > cap:
            marks.append("above the cap")
        yield (
            f"  {mebibytes(point.budget):>14}{shape.nodes:>7}{shape.chunk:>7}  {shape.dtype:<8}"
            f"{'+'.join(point.drafters) or 'none':<14}{point.tokens_per_second:>9.1f}{point.relative:>9.1%}"
            + (f"  <- {', '.join(marks)}" if marks else "")
        ).rstrip()
    yield _bound_sentence(bound, frontier.points[-1])


def _bound_sentence(bound: Point, fastest: Point) -> str:
    saved = 1 - generation_bytes(bound) / generation_bytes(fastest)
    return (
        f"the smallest budget with {KEPT:.0%} of the speed: {mebibytes(bound.budget)}, "
        f"{saved:.0%} less generation memory than the fastest ({mebibytes(fastest.budget)})"
    )


def mebibytes(size: int) -> str:
    """Rounded up, so that the number works as a --max-memory: points may lie close together."""
    return f"{-(-size // MIB):,} MiB"


def generation_bytes(point: Point) -> int:
    """The budget without weights and runtime."""
    terms = footprint(point.shape)
    return point.budget - terms.weights - terms.runtime


def _amount(size: int, cap: int, exact: bool) -> str:
    share = f"{size / cap:>7.1%}" if cap else f"{'':>7}"
    return f"{format_size(size):>11}{share}{size:>17,} B" if exact else f"{format_size(size):>10}{share}"
