"""What memory, context and speculation do: /memory, /context, /stats, /compare."""

from __future__ import annotations

from dataclasses import asdict

from rich.text import Text

from specmemo_chat.errors import UsageError
from specmemo_chat.repl.attachments import gist
from specmemo_chat.repl.commands.registry import command
from specmemo_chat.repl.desk import Desk
from specmemo_chat.repl.footer import percent, small
from specmemo_chat.sizes import counted, format_size
from specmemo_chat.speculation.report import SpeculationReport
from specmemo_chat.terminal.gauge import bar_cells, gauge
from specmemo_chat.terminal.plan_render import bar, term_rows

# The newest turns, which /context lists; it sums up the rest.
LISTED_TURNS = 12
# In fewer columns /memory writes sizes in short.
FULL_SIZES = 46


@command("memory", "/memory", "Where the memory goes: planned against measured, the peak, the cap")
def _memory(repl: Desk, _argument: str) -> None:
    plan, report = repl.plan, repl.report()
    memory = report.memory
    color = repl.screen.color
    write, first, second = (format_size, 11, 11) if repl.width >= FULL_SIZES else (small, 8, 9)

    def row(label: str, mark: Text, planned: int | None, measured: int | None = None, style: str = "") -> None:
        left, right = ("" if size is None else write(size) for size in (planned, measured))
        cells = f"{left:>{first}}{right:>{second}}".rstrip()
        repl.say(Text.assemble((f"  {label:<20}", style), mark, (cells, style)))

    repl.say(Text(f"  {'':<21}{'planned':>{first}}{'measured':>{second}}", "dim"))
    for label, mark, size in term_rows(plan.terms, color=color):
        row(label, mark, size)
    none = Text(" ")
    row("in all, at the peak", none, plan.total_bytes, memory.peak_bytes, "bold")
    row("of it to generate", none, memory.planned_generation_bytes, memory.generation_bytes)
    row("now", none, None, report.rss_bytes)
    row("cap", none, plan.cap_bytes)
    repl.say("")
    brackets = 0 if color else 2
    cells = bar_cells(repl.width, 20 + brackets)
    repl.say(Text("  plan ") + bar(plan.terms, plan.total_bytes, cells, color=color) + Text(" 100 %"))
    for label, size in (("now", report.rss_bytes), ("peak", memory.peak_bytes)):
        _bar(repl, label, size, plan.total_bytes, cells + brackets, "of plan")
    _bar(repl, "cap", plan.total_bytes, plan.cap_bytes, cells + brackets, "planned")
    over = memory.peak_bytes - plan.total_bytes
    if over > 0:
        repl.say(Text(f"  the peak is {format_size(over)} above the plan", "bold red"))


def _bar(repl: Desk, label: str, size: int, total: int, cells: int, what: str) -> None:
    share = f"{100 * size / total:.0f} %" if total else "?"
    style = "blue" if size <= total else "red"
    repl.say(Text.assemble(f"  {label:<4} ", (gauge(size, total, cells), style), f" {share} {what}"))


@command("context", "/context", "What fills the context, and what will be dropped when it is full")
def _context(repl: Desk, _argument: str) -> None:
    context = repl.report().context
    sizes, drop = context.turn_tokens, context.next_drop
    total, used, room = context.context_tokens, context.used_tokens, context.reply_room
    cells = bar_cells(repl.width, 10)
    repl.say(Text.assemble("  ", (gauge(used, total, cells), "blue"), f" {percent(used, total)} %"))
    repl.say(f"  {used} of {total} tokens, {room} are kept free for a reply")
    turns, gone = repl.client.turns, len(repl.client.turns) - len(sizes)
    first = max(0, len(turns) - LISTED_TURNS)
    if first:
        older = sum(sizes[: max(0, first - gone)])
        repl.say(
            f"  turns 1 to {first}: {counted(older, 'token')}"
            + (f", {min(gone, first)} of them dropped" if gone else "")
        )
    for number, turn in enumerate(turns[first:], start=first + 1):
        at = number - 1 - gone
        state = "dropped" if at < 0 else f"{sizes[at]:>5}" + (" -" if at < drop else "  ")
        line = f"  {number:>3} {state:>7}  "
        repl.say(line + gist(turn.user)[: max(10, repl.width - len(line) - 1)])
    free = total - room - used
    if drop and free > 0:
        marked = counted(sum(sizes[:drop]), "token")
        repl.say(f"  after {counted(free, 'more token')} the turns marked - are dropped ({marked})")
    elif drop:
        repl.say(f"  the next message drops the turns marked - ({counted(sum(sizes[:drop]), 'token')})")
    else:
        repl.say(f"  nothing is dropped in the next {counted(max(0, free), 'token')}")


@command("stats", "/stats", "What the last reply cost, what this chat holds, and what speculation did since the load")
def _stats(repl: Desk, _argument: str) -> None:
    if repl.last_end is not None:
        stats = repl.last_end.stats
        repl.say(
            f"  last reply: {counted(stats.new_tokens, 'token')}, {stats.tokens_per_second:.1f} tokens/s, "
            f"first after {stats.ttft_s:.2f} s"
        )
        repl.say(
            f"    {counted(stats.steps, 'step')}, acceptance length {stats.mean_acceptance_length:.2f} "
            f"({stats.drafter}), seed {stats.seed}"
        )
        repl.say(f"    prompt: {counted(stats.prompt_tokens, 'token')}, {stats.reused_tokens} of them reused")
    report = repl.report()
    used, total = report.context.used_tokens, report.context.context_tokens
    repl.say(f"  this chat: {used} of {total} tokens of context, {counted(len(repl.client.turns), 'turn')}")
    memory = report.memory
    repl.say("  since the model was loaded, all replies together:")
    repl.say(
        f"     memory: {format_size(memory.peak_bytes)} at its peak, "
        f"planned {format_size(memory.planned_bytes)}, cap {format_size(memory.cap_bytes)}"
    )
    _speculation(repl, report.speculation)


def _speculation(repl: Desk, report: SpeculationReport) -> None:
    for nodes, count in report.steps.items():
        kind = "plain" if nodes == "1" else f"{nodes} nodes"
        took = 1000 * report.seconds.get(nodes, 0.0)
        repl.say(f"  {kind:>9}: {count:5} {'step ' if count == 1 else 'steps'} of {took:.1f} ms")
    if report.graphs is not None:
        repl.say(f"   CUDA graphs: {report.graphs.problem or report.graphs.captured}")
    repl.say(f"   drafting: {1000 * report.draft_seconds:.2f} ms a step")
    if report.depths:
        shares = [f"{depth.depth}: {100 * depth.accepted / depth.tried:.0f} %" for depth in report.depths]
        repl.say(f"   accepted: at depth {', '.join(shares)}")
    spent = asdict(report.time)
    total = sum(spent.values())
    if total:
        parts = [f"{100 * part / total:.0f} % {name}" for name, part in spent.items()]
        repl.say(f"       time: {', '.join(parts)}")
    if report.speedup and report.depths:
        plain = 1000 * report.plain_step_seconds
        repl.say(f"    speedup: {report.speedup:.2f}x against plain steps of {plain:.1f} ms, as measured")


@command("compare", "/compare", "Make the last reply with and without a draft: both times, and whether they are equal")
def _compare(repl: Desk, _argument: str) -> None:
    if not repl.client.turns:
        raise UsageError("there is no reply to compare", "send a message first")
    with repl.busy("answering twice: with a draft, then without"):
        result = repl.client.compare(repl.settings)
    for name, stats in (("speculative", result.speculative), ("plain", result.plain)):
        repl.say(
            f"  {name:<12}{stats.decode_s:6.2f} s {stats.tokens_per_second:7.1f} tokens/s  "
            f"{counted(stats.new_tokens, 'token')} in {counted(stats.steps, 'step')}"
        )
    plain, speculative = result.plain.decode_s, result.speculative.decode_s
    equal = "identical" if result.identical else "DIFFERENT"
    if speculative > 0 and plain > 0:
        repl.say(f"  {plain / speculative:.2f}x; the texts are {equal}")
    else:
        repl.say(f"  too short to time; the texts are {equal}")
