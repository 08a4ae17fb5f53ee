"""The frontier as a picture, by matplotlib (extra `[plot]`)."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from specmemo_chat.errors import UsageError
from specmemo_chat.memory.frontier import KEPT, Frontier
from specmemo_chat.sizes import GIB, MIB

FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Raise UsageError where no picture could be written to `path`; nothing is drawn yet."""
    if path.suffix.lower() not in FORMATS:
        example = path.with_suffix(".png") if path.name else "frontier.png"
        raise UsageError(
            f"--plot {path}: the format {path.suffix or 'without a name'!r} is not known",
            f"give for example --plot {example} ({', '.join(FORMATS)})",
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.parent} to write a file into", "create it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib, which is not installed", "pip install 'specmemo[plot]'")


def plot_frontier(frontier: Frontier, title: str, cap: int, path: Path) -> None:
    """Budget per worker against relative throughput; the lower bound and the cap are marked. Raises UsageError where
    the file cannot be written."""
    figure = new_figure(5)
    axes = figure.add_subplot()
    spread = frontier.points[-1].budget - frontier.points[0].budget
    unit, name = (GIB, "GiB") if spread >= 4 * GIB else (MIB, "MiB")
    budgets = [point.budget / unit for point in frontier.points]
    relative = [point.relative for point in frontier.points]
    # A budget between two points buys what the cheaper one does.
    axes.step(budgets, relative, where="post", color="tab:blue")
    axes.plot(budgets, relative, "o", color="tab:blue", markersize=4, label="best for the budget")
    bound = frontier.lower_bound
    axes.axhline(KEPT, color="tab:gray", linestyle=":", label=f"{KEPT:.0%} of the unlimited throughput")
    axes.plot([bound.budget / unit], [bound.relative], "D", color="tab:red", label="lower bound")
    axes.annotate(
        f"{bound.budget / unit:,.1f} {name}",
        (bound.budget / unit, bound.relative),
        xytext=(6, -14),
        textcoords="offset points",
        color="tab:red",
    )
    margin = 0.25 * (budgets[-1] - budgets[0]) or 0.1 * budgets[0]
    if budgets[0] - margin <= cap / unit <= budgets[-1] + margin:
        axes.axvline(cap / unit, color="black", linestyle="--", label="cap")
    axes.set_xlim(budgets[0] - margin, budgets[-1] + margin)
    axes.set_xlabel(f"budget per worker ({name})")
    axes.set_ylabel("relative throughput of a turn (estimate)")
    axes.set_title(title)
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    save(figure, path)


def new_figure(height: float) -> Any:
    """A figure of matplotlib's, `height` inches high, that needs no display."""
    # By name: matplotlib is an extra, and the type checker need not have it.
    figures: Any = importlib.import_module("matplotlib.figure")
    return figures.Figure(figsize=(8, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write the picture. Raises UsageError where the file cannot be written."""
    try:
        figure.savefig(path)
    except OSError as error:
        raise UsageError(
            f"--plot {path} cannot be written: {error.strerror or error}", "choose another file"
        ) from error
