"""`mxrc shm stats`: percentiles and histograms of latencies, and the time of each action."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import typer

from shared.cli.segment import ConfigDir, Instance, Json, Last, Since

if TYPE_CHECKING:
    from shared.inspector.statistics import Distribution

_BAR: Final = 50
_COLUMNS: Final = {
    "name": "us",
    "source": "of",
    "count": "count",
    "min_us": "min",
    "mean_us": "mean",
    "p50_us": "p50",
    "p90_us": "p90",
    "p99_us": "p99",
    "p999_us": "p99.9",
    "max_us": "max",
}
_ENTRIES: Final = {
    "name": "entry",
    "period_us": "period us",
    "runs": "runs",
    "mean_us": "mean us",
    "p99_us": "p99 us",
    "max_us": "max us",
    "wcet_us": "declared us",
    "exceeded": "exceeded",
    "shed": "shed",
    "skipped": "skipped",
    "faults": "failed",
}
_ACTIONS: Final = {
    "task": "task",
    "action": "action",
    "count": "count",
    "failed": "failed",
    "mean_ms": "mean ms",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "max_ms": "max ms",
}


def register(app: typer.Typer) -> None:
    """Add `stats`."""

    @app.command()
    def stats(
        since: Since = None,
        last: Last = None,
        instance: Instance = None,
        config_dir: ConfigDir = None,
        as_json: Json = False,
    ) -> None:
        """Wake-up latency, cycle time, commit time and time per action: percentiles, histograms."""
        from shared.cli.output import print_model
        from shared.cli.segment import chosen_instance, open_segment, since_ns
        from shared.inspector.statistics import statistics

        name = chosen_instance(config_dir, instance)
        segment = open_segment(config_dir, name)
        found = statistics(name, segment, last, since_ns(segment, since))
        if as_json:
            print_model(found)
        else:
            _show(found)


def _show(found: Any) -> None:
    from shared.cli.output import print_rows
    from shared.inspector.rows import as_dicts

    share = found.generation_misses / found.generation_cycles if found.generation_cycles else 0.0
    typer.echo(
        f"{found.instance}: period {found.period_us:g} us, deadline {found.deadline_us:g} us\n"
        f"ring: {found.cycles} cycles in {found.window_s:.1f} s, {found.missed} deadline misses, "
        f"{found.skipped} slots skipped, {found.lost} records lost to this reader\n"
        f"generation: {found.generation_cycles} cycles, {found.generation_misses} deadline misses "
        f"({share:.4%})\n"
    )
    rows = [_rounded(row) for row in as_dicts([*found.ring, *found.whole])]
    print_rows(rows, _COLUMNS, title="latencies")
    chosen = {one.name: one for one in [*found.whole, *found.ring] if one.count}
    for name in ("wakeup_latency", "cycle_time"):
        if name in chosen:
            _histogram(chosen[name])
    typer.echo("")
    rows = [_rounded(dataclasses.asdict(one)) for one in found.entries]
    print_rows(rows, _ENTRIES, title="execution times of stages and schedule entries")
    if found.actions:
        typer.echo("")
        print_rows(
            [_rounded(row) for row in as_dicts(found.actions)], _ACTIONS, title="time per action"
        )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value:.2f}" if isinstance(value, float) else value for name, value in row.items()
    }


def _histogram(found: Distribution) -> None:
    """Bars on a logarithmic scale: one outlier in a million is what one looks for."""
    from math import log10

    typer.echo(f"\n{found.name} of {found.count} cycles of the {found.source}, bars logarithmic")
    most = max(bucket.count for bucket in found.buckets)
    for bucket in found.buckets:
        upper = "more" if bucket.upper_us is None else f"{bucket.upper_us:g}"
        bar = 0
        if bucket.count:
            bar = max(1, round(_BAR * log10(bucket.count + 1) / log10(most + 1)))
        typer.echo(f"{bucket.lower_us:>10g} .. {upper:>7} us {bucket.count:>10}  {'#' * bar}")
