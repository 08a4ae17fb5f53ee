"""The first screen of a chat: what was found, chosen and why, and the next step."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from rich.text import Text

from specmemo_chat import __version__
from specmemo_chat.repl import advice
from specmemo_chat.setup.prepare import Prepared
from specmemo_chat.setup.speeds import faster_here
from specmemo_chat.sizes import format_size
from specmemo_chat.terminal.gauge import gauge

LABEL = 9
GAUGE_CELLS = 20


def banner(prepared: Prepared, width: int) -> Iterator[Text]:
    """Lines of at most `width` columns, where words allow."""
    plan, place = prepared.plan, prepared.place
    device = place.device
    yield Text.assemble((f"specmemo {__version__}", "bold"))
    found = f"{device.name} ({plan.device}), {format_size(device.free_bytes)} of {format_size(device.total_bytes)} free"
    yield from _row("found", found, width)
    yield from _row("profile", f"{place.profile.name}: {place.reason}", width)
    yield from _row("model", f"{plan.model} in {plan.dtype}, {plan.context_tokens} tokens of context", width, "bold")
    yield from _row(
        "memory", f"{format_size(plan.total_bytes)} planned of a cap of {format_size(plan.cap_bytes)}", width
    )
    cells = min(GAUGE_CELLS, width - LABEL - 12)
    if cells >= 8 and plan.cap_bytes:
        share = 100 * plan.total_bytes / plan.cap_bytes
        bar = gauge(plan.total_bytes, plan.cap_bytes, cells)
        yield Text.assemble(" " * LABEL, (bar, "blue"), f" {share:.0f} %" if share >= 1 else " under 1 %")
    yield from _row("draft", _draft(prepared), width)
    for other in faster_here(prepared.plan, prepared.outcome, place.device, place.profile):
        yield from _row("faster", other.sentence, width)
    step = advice.next_step(place, plan, prepared.choice.draft)
    if step is not None:
        yield from _row("next", step, width, "green")
    yield from _row("", "/help lists the commands, Ctrl-D leaves", width, "dim")


def _draft(prepared: Prepared) -> str:
    plan = prepared.plan
    names = "+".join(plan.drafters) or "none"
    if not plan.drafters:
        return f"{names}: plain decoding" + (", as you asked" if prepared.choice.draft == "none" else "")
    if plan.draft is None:
        return f"{names}: from the conversation's own text, trees of up to {plan.tree_nodes} nodes"
    return f"{names}: {advice.draft_name(plan.draft)}, trees of up to {plan.tree_nodes} nodes"


def _row(label: str, text: str, width: int, style: str = "") -> Iterator[Text]:
    lines = textwrap.wrap(text, max(16, width - LABEL), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield Text.assemble((f"{label if number == 0 else '':<{LABEL}}", "dim"), (line, style))
