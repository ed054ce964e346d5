"""Histograms of the latencies: a panel for each load and period, a line for each wait mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.jitter.sleepers import DEADLINE_SHARE, Run
from benchmarks.jitter.summary import Pair, groups
from shared.inspector.missing import require


def draw(pairs: list[Pair], path: Path) -> None:
    """Write a PNG. Raises PackageMissing (no matplotlib), OSError."""
    module = require("matplotlib.figure", "matplotlib", "plot")
    panels: dict[tuple[str, int], list[list[Pair]]] = {}
    for group in groups(pairs):
        panels.setdefault((group[0].load, group[0].period_us), []).append(group)
    figure = module.Figure(
        figsize=(14, 5 * ((len(panels) + 1) // 2)), dpi=100, layout="constrained"
    )
    axes = figure.subplots((len(panels) + 1) // 2, 2, squeeze=False).ravel()
    for axis, ((load, period_us), found) in zip(axes, panels.items(), strict=False):
        _panel(axis, found)
        deadline = DEADLINE_SHARE * period_us
        axis.axvline(deadline, color="#d62728", lw=1, ls="--", label=f"deadline {deadline:g} us")
        axis.set(
            xlabel="wake-up latency (us)",
            ylabel="share of wake-ups",
            title=f"{period_us} us, {load}",
        )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.legend(loc="upper right", fontsize="small")
        axis.grid(alpha=0.3)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.savefig(path, format="png")


def _panel(axis: Any, found: list[list[Pair]]) -> None:
    beside = [one.beside for group in found for one in group if isinstance(one.beside, Run)]
    lines = [(group[0].executive.who, [one.executive for one in group]) for group in found]
    edges = np.logspace(-2, 5, 141)
    for name, runs in [*lines, *([("cyclictest", beside)] if beside else [])]:
        late = np.concatenate([run.late_us for run in runs])
        counts, _ = np.histogram(np.clip(late, edges[0], edges[-1]), edges)
        style = {"color": "black", "ls": ":"} if name == "cyclictest" else {}
        axis.stairs(counts / len(late), edges, label=name, **style)
