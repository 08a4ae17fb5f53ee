"""The result of `bench` as a picture, by matplotlib (extra `[plot]`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from specmemo_chat.sizes import MIB
from specmemo_chat.terminal.plan_plot import new_figure, save


def plot_bench(result: dict[str, Any], path: Path) -> None:
    """One panel for each part that was measured. Raises UsageError where the file cannot be written."""
    panels: list[Callable[[Any], None]] = []
    if result["methods"]:
        panels.append(lambda axes: _methods(axes, result))
    if "fixed" in result.get("sweep", {}):
        panels.append(lambda axes: _sweep(axes, result["sweep"]))
    if "memory" in result:
        panels.append(lambda axes: _memory(axes, result["memory"]))
    figure = new_figure(4 * max(1, len(panels)))
    place = result["environment"]
    label = ", acceptance replayed" if result["replayed"] else ""
    figure.suptitle(f"{place['model']} in {place['dtype']} on {place['device_name']}{label}", fontsize=10)
    for number, panel in enumerate(panels, start=1):
        panel(figure.add_subplot(len(panels), 1, number))
    save(figure, path)


def _methods(axes: Any, result: dict[str, Any]) -> None:
    measured = {name: values["speedup_vs_plain"] for name, values in result["methods"].items()}
    _bars(axes, {name: ratio for name, ratio in measured.items() if ratio is not None})
    axes.axvline(1.0, color="tab:gray", linestyle=":")
    control = result["control"]
    if control is not None:
        axes.axvspan(control["low"], control["high"], color="tab:gray", alpha=0.2, label="A/A control, 95 %")
        axes.legend(loc="lower right")
    axes.set_xlabel("speed of decoding to plain (median of the replies' ratios, 95 % interval)")


def _sweep(axes: Any, sweep: dict[str, Any]) -> None:
    values = {**sweep["fixed"], "adaptive": sweep["adaptive"]}
    _bars(axes, {name: own["speedup_vs_plain"] for name, own in values.items() if own["speedup_vs_plain"]})
    axes.axvline(1.0, color="tab:gray", linestyle=":")
    axes.set_xlabel(f"fixed trees against the controller ({sweep['drafter']}), speed to plain")


def _bars(axes: Any, ratios: dict[str, dict[str, float]]) -> None:
    names = list(ratios)[::-1]
    medians = [ratios[name]["median"] for name in names]
    errors = [
        [max(0.0, ratios[name]["median"] - ratios[name]["low"]) for name in names],
        [max(0.0, ratios[name]["high"] - ratios[name]["median"]) for name in names],
    ]
    axes.barh(names, medians, xerr=errors, color="tab:blue", capsize=3)
    axes.grid(axis="x", alpha=0.3)


def _memory(axes: Any, memory: dict[str, Any]) -> None:
    parts = {f"{context} tokens": part for context, part in memory["contexts"].items()}
    if "conversation" in memory:
        parts = {f"{memory['conversation']['tokens']} tokens (longest)": memory["conversation"], **parts}
    names = list(memory["methods"])
    width = 0.8 / max(1, len(names))
    for index, name in enumerate(names):
        places = [at + (index - (len(names) - 1) / 2) * width for at in range(len(parts))]
        axes.bar(places, [part["generation_bytes"][name] / MIB for part in parts.values()], width, label=name)
    axes.set_xticks(range(len(parts)), list(parts))
    axes.set_ylabel("generation memory (MiB)")
    if names:
        axes.legend(fontsize=8)
    axes.grid(axis="y", alpha=0.3)
