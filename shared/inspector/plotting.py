"""A picture of the wake-up latency: histogram and timeline, as users of cyclictest know them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.core import MxrcError
from shared.enums import CycleFlag
from shared.inspector.missing import require
from shared.inspector.records import read_cycles
from shared.inspector.rows import Reading, cycle_time_us, jitter_us
from shared.inspector.statistics import skipped_slots
from shared.layout import Records
from shared.segment import Segment

MAX_POINTS: Final = 4000
"""Columns of the timeline; with more cycles each column shows its minimum and maximum."""
_JITTER, _WORK, _BAD = "#1f77b4", "#2ca02c", "#d62728"


class NothingToPlot(MxrcError):
    """There are no cycles in the ring (or none since the time asked for)."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What was drawn. Latencies in us."""

    path: str
    instance: str
    cycles: int
    begin: str
    end: str
    min_us: float
    mean_us: float
    p99_us: float
    max_us: float
    missed: int
    skipped: int


def plot(
    instance: str,
    segment: Segment,
    path: Path,
    last: int | None = None,
    since_ns: int = 0,
    size: tuple[float, float] = (12.0, 8.0),
) -> Plot:
    """Draw the cycles in the ring (without warm-up) into a PNG; size in inches at 100 dpi.

    Raises:
        PackageMissing: no matplotlib.
        NothingToPlot
        OSError: the file cannot be written.
    """
    figure_module = require("matplotlib.figure", "matplotlib", "plot")
    cycles = read_cycles(segment, last, since_ns, warmup=False).records
    if not len(cycles):
        raise NothingToPlot(f"instance {instance} has no cycles to plot")
    reading = Reading(segment)
    jitter = jitter_us(cycles)
    missed = cycles[(cycles["flags"] & int(CycleFlag.DEADLINE_MISS)) != 0]
    drawn = Plot(
        path=str(path),
        instance=instance,
        cycles=len(cycles),
        begin=reading.time(int(cycles[0]["wake_ns"])),
        end=reading.time(int(cycles[-1]["wake_ns"])),
        min_us=float(jitter.min()),
        mean_us=float(jitter.mean()),
        p99_us=float(np.percentile(jitter, 99)),
        max_us=float(jitter.max()),
        missed=len(missed),
        skipped=skipped_slots(cycles),
    )
    figure = figure_module.Figure(figsize=size, dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(2, 3))
    figure.suptitle(
        f"mxrc {instance}: {len(cycles)} cycles of {int(segment.header.period_ns) / 1e3:g} us, "
        f"{drawn.begin[:19]} to {drawn.end[11:19]} UTC"
    )
    _histogram(upper, jitter, drawn)
    _timeline(lower, cycles, jitter, missed, segment)
    figure.savefig(path, format="png")
    return drawn


def _histogram(axes: Any, jitter: npt.NDArray[np.float64], drawn: Plot) -> None:
    # One microsecond a bin as cyclictest has it, wider ones when the worst case is far out.
    width = max(1.0, np.ceil(drawn.max_us / 2000))
    edges = np.arange(0.0, max(drawn.max_us, 1.0) + 2 * width, width)
    axes.hist(jitter, bins=edges, color=_JITTER, log=True)
    for value, name, style in (
        (drawn.mean_us, "mean", "-"),
        (drawn.p99_us, "p99", "--"),
        (drawn.max_us, "max", ":"),
    ):
        label = f"{name} {value:.1f} us"
        axes.axvline(value, color=_BAD if name == "max" else "black", ls=style, lw=1, label=label)
    axes.set(
        xlabel="wake-up latency (us)", ylabel="cycles", title=f"min {drawn.min_us:.1f} us", ylim=0.7
    )
    if drawn.max_us > 20 * max(drawn.p99_us, 1.0):
        axes.set_xscale("symlog", linthresh=max(1.0, drawn.p99_us))
    axes.set_xlim(left=0)
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)


def _timeline(
    axes: Any,
    cycles: Records,
    jitter: npt.NDArray[np.float64],
    missed: Records,
    segment: Segment,
) -> None:
    start = int(cycles[0]["wake_ns"])
    seconds = (cycles["wake_ns"] - np.uint64(start)).astype(np.float64) / 1e9
    for values, color, label in (
        (cycle_time_us(cycles), _WORK, "cycle time"),
        (jitter, _JITTER, "wake-up latency"),
    ):
        _envelope(axes, seconds, values, color, label)
    if len(missed):
        at = (missed["wake_ns"] - np.uint64(start)).astype(np.float64) / 1e9
        late = jitter_us(missed)
        axes.plot(at, late, "x", color=_BAD, label=f"deadline misses ({len(missed)})")
    skipped = cycles[(cycles["flags"] & int(CycleFlag.SKIPPED_BEFORE)) != 0]
    if len(skipped):
        at = (skipped["scheduled_ns"] - np.uint64(start)).astype(np.int64) / 1e9
        axes.plot(
            at, np.zeros(len(at)), "^", color=_BAD, label=f"slots skipped before ({len(skipped)})"
        )
    deadline = int(segment.rt_status.deadline_ns) / 1e3
    if jitter.max() > deadline / 3:
        axes.axhline(deadline, color=_BAD, lw=1, ls="--", label=f"deadline {deadline:g} us")
    axes.set(xlabel="time (s)", ylabel="us", ylim=0)
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)


def _envelope(
    axes: Any,
    seconds: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    color: str,
    label: str,
) -> None:
    """Every cycle, or the range of each column: a single late one stays visible."""
    if len(values) <= MAX_POINTS:
        axes.plot(seconds, values, ".", ms=2, color=color, label=label)
        return
    starts = np.linspace(0, len(values), MAX_POINTS, endpoint=False).astype(np.int64)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    axes.vlines(seconds[starts], low, high, color=color, lw=0.8, label=label)
    axes.plot(seconds[starts], high, ".", ms=1.5, color=color)
