"""The frontier: budget against throughput, its lower bound, and its picture."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specmemo_chat.catalog.aliases import load_catalog
from specmemo_chat.errors import UsageError
from specmemo_chat.memory.absent import described_device
from specmemo_chat.memory.drafts import DraftShape
from specmemo_chat.memory.footprint import total
from specmemo_chat.memory.frontier import KEPT, Frontier, frontier
from specmemo_chat.memory.plan import solve
from specmemo_chat.memory.report import frontier_json
from specmemo_chat.memory.request import PlanRequest, start
from specmemo_chat.memory.terms import Terms
from specmemo_chat.memory.throughput import device_speed, expect
from specmemo_chat.profiles import load_profiles
from specmemo_chat.sizes import GIB
from specmemo_chat.terminal import plan_plot
from specmemo_chat.terminal.plan_plot import check_plot, plot_frontier
from specmemo_chat.terminal.plan_render import bar, expected_lines, frontier_lines, generation_bytes

PROFILES = load_profiles()
DESCRIBED = sorted(name for name, profile in PROFILES.items() if profile.facts)
LLAMA = load_catalog()["llama-2-7b-chat"].spec()
HEAD = DraftShape(
    "eagle", replace(LLAMA, layers=1, location="a head"), "fp16", vocab=32000, target_hidden=4096, feature_count=1
)


def made(model: str, profile: str, request: PlanRequest) -> Frontier:
    policy = PROFILES[profile]
    assert policy.facts is not None
    device = described_device(policy.facts)
    speed = device_speed(device, policy)
    assert speed is not None
    return frontier(start(load_catalog()[model].spec(), device, policy, request), policy, request, speed)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([name for name in load_catalog() if name != "pocket"]),
    st.sampled_from(DESCRIBED),
    st.sampled_from(["auto", "none", "ngram"]),
    st.integers(1, 8),
)
def test_more_budget_buys_more_speed(model: str, profile: str, draft: str, rows: int) -> None:
    points = made(model, profile, PlanRequest(draft=draft, rows=rows)).points
    assert [point.budget for point in points] == sorted({point.budget for point in points})
    assert [point.relative for point in points] == sorted({point.relative for point in points})
    assert points[-1].relative == 1.0
    for point in points:
        assert total(point.shape) == point.budget
        assert (point.drafters == ()) == (point.shape.nodes == 1)


@pytest.mark.parametrize("profile", DESCRIBED)
def test_the_lower_bound_is_the_first_that_keeps_96_percent(profile: str) -> None:
    curve = made("llama-2-7b-chat", profile, PlanRequest())
    bound = curve.lower_bound
    assert bound.relative >= KEPT
    assert all(point.relative < KEPT for point in curve.points if point.budget < bound.budget)


def test_the_budget_of_a_point_makes_a_plan_that_fits() -> None:
    policy = PROFILES["titan-rtx-24gb"]
    assert policy.facts is not None
    for point in made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest()).points:
        if point.shape.nodes >= policy.tree_nodes_minimum:
            request = PlanRequest(max_memory=point.budget, context=point.shape.context)
            assert solve(LLAMA, described_device(policy.facts), policy, request).fits


def test_a_head_is_in_play_and_is_bought_last() -> None:
    points = made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest(head=HEAD)).points
    assert "eagle" not in points[0].drafters
    assert points[-1].drafters == ("ngram", "eagle")
    # Whether the budget is worth a head that the user named is what they ask.
    assert made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest(head=HEAD, draft="a head")).points == points


def test_a_precision_that_the_user_set_is_the_only_one() -> None:
    curve = made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest(dtype="fp32"))
    assert {point.shape.dtype for point in curve.points} == {"fp32"}


def test_the_object_for_scripts() -> None:
    curve = made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest())
    values = frontier_json(curve)
    keys = {"budget_bytes", "tree_nodes", "drafters", "expected_tokens_per_second", "relative_throughput"}
    assert all(keys <= set(point) for point in values["frontier"])
    assert values["lower_bound"] in values["frontier"]


def test_the_table_marks_the_lower_bound_and_the_cap() -> None:
    policy = PROFILES["titan-rtx-24gb"]
    assert policy.facts is not None
    curve = made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest())
    cap = curve.lower_bound.budget
    outcome = solve(LLAMA, described_device(policy.facts), policy, PlanRequest(max_memory=cap, context=4096))
    lines = list(frontier_lines(curve, outcome))
    assert len([line for line in lines if "lower bound (96%)" in line]) == 1
    assert len([line for line in lines if "above the cap" in line]) == sum(p.budget > cap for p in curve.points)
    assert "less generation memory than the fastest" in lines[-1]
    point = curve.points[0]
    assert 0 < generation_bytes(point) < point.budget - 13_476_831_232


def test_the_bar_never_overflows() -> None:
    whole = bar(Terms(target_weights=GIB, target_kv=GIB, runtime=1), 4 * GIB).plain
    assert whole == "[" + "W" * 16 + "K" * 16 + "." * 32 + "]"
    over = bar(Terms(target_weights=3 * GIB, runtime=GIB), 2 * GIB).plain
    assert over == "[" + "W" * 32 + "|" + "W" * 16 + "R" * 16 + "]"
    assert len(bar(Terms(), 0).plain) == 66
    colored = bar(Terms(target_weights=3 * GIB, runtime=GIB), 8 * GIB, color=True)
    assert colored.plain == "█" * 32 + "░" * 32
    assert [span.style for span in colored.spans] == ["blue", "white", "dim"]


def test_what_nobody_knows_is_said() -> None:
    (line,) = expected_lines(None, None, "cuda:0")
    assert line == "expected speed: not known, because nothing tells the memory bandwidth of cuda:0"


def test_an_expectation_is_labelled_an_estimate() -> None:
    policy = PROFILES["titan-rtx-24gb"]
    assert policy.facts is not None
    device = described_device(policy.facts)
    speed = device_speed(device, policy)
    assert speed is not None
    outcome = solve(LLAMA, device, policy)
    first, second = expected_lines(expect(outcome.shape, ("ngram",), 8, 8, speed), speed, "titan-rtx-24gb")
    assert first.startswith("expected: about ")
    assert "an estimate: roofline" in second


@pytest.mark.parametrize(("name", "words"), [("frontier.gif", "'.gif'"), ("frontier", "without a name")])
def test_a_format_that_is_not_known(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_plot(tmp_path / name)
    assert "frontier.png" in (caught.value.remedy or "")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        check_plot(tmp_path / "nowhere" / "frontier.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="no folder"):
        check_plot(tmp_path / "folder.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plan_plot.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError) as caught:
        check_plot(tmp_path / "frontier.png")
    assert caught.value.remedy == "pip install 'specmemo[plot]'"
    assert caught.value.exit_code == 2


class FakeAxes:
    """Records what is drawn."""

    def __init__(self, calls: list[tuple[str, Any]]) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self._calls.append((name, (arguments, options)))


def test_the_picture_marks_the_lower_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is drawn, with a stand-in for matplotlib's figure."""
    calls: list[tuple[str, Any]] = []

    class Figure:
        def __init__(self, **_: Any) -> None: ...

        def add_subplot(self) -> FakeAxes:
            return FakeAxes(calls)

        def savefig(self, path: Path) -> None:
            path.write_bytes(b"a picture")

    fake = type("figure", (), {"Figure": Figure})
    monkeypatch.setattr(plan_plot.importlib, "import_module", lambda _name: fake)
    curve = made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest(head=HEAD))
    plot_frontier(curve, "a title", curve.points[-1].budget, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").exists()
    drawn = dict(calls)
    assert drawn["axhline"][0] == (KEPT,)
    labels = [options.get("label", "") for _, (_, options) in calls]
    assert "lower bound" in labels
    assert "cap" in labels
    (points,) = [arguments for name, (arguments, _) in calls if name == "step"]
    assert points[1] == [point.relative for point in curve.points]
    with pytest.raises(UsageError, match="cannot be written"):
        plot_frontier(curve, "a title", 0, tmp_path / "nowhere" / "frontier.png")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the extra [plot] is not installed")
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_real_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"frontier{suffix}"
    check_plot(path)
    plot_frontier(made("llama-2-7b-chat", "titan-rtx-24gb", PlanRequest(head=HEAD)), "a title", 16 * GIB, path)
    assert path.stat().st_size > 1000
