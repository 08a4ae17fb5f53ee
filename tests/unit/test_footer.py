"""The line under the prompt at every width."""

from __future__ import annotations

from dataclasses import replace

import pytest

from specmemo_chat.events import Progress, Statistics
from specmemo_chat.memory.terms import Terms
from specmemo_chat.repl.footer import footer, loading, percent
from specmemo_chat.sizes import GIB, MIB
from tests.models import tiny_plan

PLAN = replace(
    tiny_plan(context_tokens=2048), model="llama-2-7b-chat", cap_bytes=24 * GIB, terms=Terms(target_weights=13 * GIB)
)
STATS = Statistics(
    prompt_tokens=700, new_tokens=101, decode_s=2.0, steps=40, drafter="ngram+eagle3", peak_bytes=12 * GIB + 512 * MIB
)


@pytest.mark.parametrize("width", range(8, 160, 4))
@pytest.mark.parametrize("stats", [None, STATS])
def test_it_never_is_wider_than_the_terminal(width: int, stats: Statistics | None) -> None:
    assert len(footer(PLAN, stats, width, attached_tokens=1234)) <= width
    assert len(loading(PLAN, Progress("load", 1, 3), 12.3, width)) <= width


def test_what_it_says_at_three_widths() -> None:
    assert footer(PLAN, STATS, 120, used_tokens=801) == (
        " plan 13.0G peak 12.5G of 24.0G · context 801/2048 · 50 tokens/s · acceptance 2.5 ngram+eagle3"
    )
    assert (
        footer(PLAN, STATS, 80, used_tokens=801)
        == " plan 13.0G peak 12.5G of 24.0G · context 801/2048 · 50 t/s · 2.5 ngram+eagle3"
    )
    assert footer(PLAN, STATS, 40, used_tokens=801) == " 13.0G/24.0G · context 801/2048 · 50 t/s"
    small = replace(PLAN, cap_bytes=600 * MIB, terms=Terms(target_weights=395 * MIB))
    assert footer(small, STATS, 40, used_tokens=801) == " 395M/600M · ctx 39% · 50 t/s · acc 2.5"
    assert footer(PLAN, replace(STATS, drafter="ngram"), 80, used_tokens=801) == (
        " plan 13.0G peak 12.5G of 24.0G · context 801/2048 · 50 tokens/s · acc 2.5 ngram"
    )
    assert loading(PLAN, Progress("load", 1, 2), 3.0, 40) == " loading 50% 3 s · type ahead"


def test_before_the_first_reply_it_tells_the_plan_and_the_drafter() -> None:
    assert footer(PLAN, None, 100, attached_tokens=50, used_tokens=0) == (
        " +50 tokens of files · plan 13.0G of 24.0G · context 0/2048 · draft ngram"
    )


def test_a_command_may_have_changed_what_the_context_holds() -> None:
    assert "context 0/2048" in footer(PLAN, STATS, 120, used_tokens=0)
    assert "context 20/2048" in footer(PLAN, STATS, 120, used_tokens=20)
    assert "context ?/2048" in footer(PLAN, STATS, 120)


def test_the_share_is_rounded_to_the_nearest() -> None:
    assert [percent(used, 1000) for used in (0, 4, 6, 394, 396, 1000)] == [0, 0, 1, 39, 40, 100]
    assert " ctx 40% " in footer(replace(PLAN, context_tokens=1000), None, 34, used_tokens=396)
