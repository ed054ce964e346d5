"""A sample of an instance as a table on a terminal, or as a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from shared.cli.monitor import Sample

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_STATE_STYLES = {
    "RUNNING": "bold green",
    "READY": "cyan",
    "PAUSED": "yellow",
    "SAFE_MODE": "bold yellow",
    "ERROR": "bold red",
}


_HINTS = {
    "READY": "`mxrc rt start` starts it",
    "PAUSED": "`mxrc rt resume` lets motion go on",
    "ERROR": "`mxrc rt reset` begins anew",
}


def line(sample: Sample) -> str:
    """One line, for logs and pipes."""
    positions = " ".join(f"{value:.3f}" for value in sample.positions) or "-"
    work = f"{sample.task}/{sample.action or sample.step}" if sample.task else "-"
    return (
        f"{sample.state} cycle {sample.cycle} "
        f"jitter_us p50 {number(sample.jitter_p50_us)} p99 {number(sample.jitter_p99_us)} "
        f"max {number(sample.jitter_max_us)} misses {sample.misses} task {work} "
        f"positions {positions}" + (f" ({hint})" if (hint := _hint(sample)) else "")
    )


def summary(sample: Sample) -> Text:
    """As `table`, in lines of about 80 columns and without the axes."""
    from rich.text import Text

    text = Text(f"mxrc {sample.instance}  ")
    text.append(sample.state, style=_STATE_STYLES.get(sample.state, "bold"))
    text.append(
        f"  {sample.role}, epoch {sample.epoch}  cycle {sample.cycle:,}  {sample.rate_hz:.1f} Hz"
    )
    if hint := _hint(sample):
        text.append(f"\n{hint}", style="yellow")
    text.append(
        f"\nlast second, us: jitter p50 {number(sample.jitter_p50_us)}  "
        f"p99 {number(sample.jitter_p99_us)}  max {number(sample.jitter_max_us)}  "
        f"cycle time max {number(sample.cycle_time_max_us)}"
    )
    text.append(
        f"\ndeadline misses {sample.misses:,}  +{sample.missed_lately} in the last second  "
        f"rate {sample.window_miss_rate:.4%}",
        style="red" if sample.missed_lately else "",
    )
    work = f"{sample.task}  step {sample.step} {sample.action}" if sample.task else "none"
    text.append(f"\ntask {work}  ({sample.active_tasks} active)")
    for reason in sample.degraded:
        text.append(f"\ndegraded: {reason}", style="yellow")
    return text


def table(sample: Sample) -> Table:
    """A table for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.ROUNDED, show_header=False, title=f"mxrc {sample.instance}", min_width=72)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    state = Text(sample.state, style=_STATE_STYLES.get(sample.state, "bold"))
    state.append(f"   {sample.role}, epoch {sample.epoch}", style="default")
    hint = _hint(sample)
    if hint:
        state.append(f"   {hint}", style="yellow")
    grid.add_row("state", state)
    grid.add_row("cycle", f"{sample.cycle:,}   {sample.rate_hz:.1f} Hz")
    grid.add_row(
        "wake-up jitter",
        f"p50 {number(sample.jitter_p50_us)}   p99 {number(sample.jitter_p99_us)}   "
        f"max {number(sample.jitter_max_us)} us, last second",
    )
    grid.add_row("cycle time", f"max {number(sample.cycle_time_max_us)} us, last second")
    misses = Text(f"{sample.misses:,}")
    misses.append(
        f"   {sample.missed_lately} in the last second, "
        f"rate {sample.window_miss_rate:.4%} of the last 10,000 cycles"
    )
    misses.stylize("red" if sample.missed_lately else "default")
    grid.add_row("deadline misses", misses)
    work = f"{sample.task}   step {sample.step} {sample.action}" if sample.task else "none"
    grid.add_row("task", Text(f"{work}   ({sample.active_tasks} active)"))
    for name, value in axis_rows(sample):
        grid.add_row(Text(name), Text(value))
    grid.add_row("rt_process", _process(sample.rt_pid, sample.rt_alive, sample.rt_restarts))
    nonrt = _process(sample.nonrt_pid, sample.nonrt_alive, sample.nonrt_restarts)
    nonrt.append(f"   heartbeat {number(sample.nonrt_age_ms)} ms ago")
    grid.add_row("nonrt_process", nonrt)
    for reason in sample.degraded:
        grid.add_row("degraded", Text(reason, style="yellow"))
    return grid


def axis_rows(sample: Sample) -> list[tuple[str, str]]:
    """Name of each axis; its position and set-point in its unit."""
    return [
        (name, f"{position:+9.4f} {unit}   set {setpoint:+9.4f}")
        for name, unit, position, setpoint in zip(
            sample.axes, sample.units, sample.positions, sample.setpoints, strict=False
        )
    ]


def _hint(sample: Sample) -> str:
    """What keeps the machine from moving, and what goes on from there; "" while it runs."""
    if sample.state == "SAFE_MODE":
        leave = "" if sample.safe_cause == "HEARTBEAT" else "; `mxrc rt safe-mode-exit` leaves it"
        return f"cause: {sample.safe_cause}{leave}"
    return _HINTS.get(sample.state, "")


def number(value: float) -> str:
    """One decimal; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def _process(pid: int, alive: bool, restarts: int) -> Text:
    from rich.text import Text

    if not pid:
        return Text("not started", style="dim")
    text = Text(f"pid {pid}")
    if not alive:
        text.append("   dead", style="bold red")
    if restarts:
        text.append(f"   {restarts} restarts", style="yellow")
    return text
