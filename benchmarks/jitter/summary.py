"""From runs to figures: per wait mode, period and load, with and without the noisy pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.jitter.sleepers import DEADLINE_SHARE, Run
from shared.bench.figures import Figure, median

COLUMNS: Final = {
    "load": "load",
    "period_us": "period us",
    "mode": "wait",
    "runs": "runs",
    "p50": "p50 us",
    "p99": "p99 us",
    "p999": "p99.9 us",
    "misses": "misses",
    "rate": "miss rate",
    "ratio": "p50 / cyclictest",
    "cpu": "CPU %",
}
_HYBRID_P99: Final = {"idle": 1.0, "awake": 1.0, "stress": 5.0}


@dataclass(frozen=True, slots=True)
class Pair:
    """A run of the executive and the one of cyclictest after it; beside: or why there is none.

    neighbours: real-time threads of other programs, before or after it.
    """

    load: str
    period_us: int
    executive: Run
    beside: Run | str
    round: int
    neighbours: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """cyclictest kept the deadline all the time, so the machine could."""
        if isinstance(self.beside, str):
            return False
        return float(self.beside.late_us.max()) <= DEADLINE_SHARE * self.period_us

    def document(self) -> dict[str, Any]:
        """As JSON."""
        other = self.beside if isinstance(self.beside, str) else self.beside.document()
        return {
            "load": self.load,
            "period_us": self.period_us,
            "round": self.round,
            "clean": self.clean,
            "other_real_time_threads": list(self.neighbours),
            "executive": self.executive.document(),
            "cyclictest": other,
        }


def groups(pairs: list[Pair]) -> list[list[Pair]]:
    """Pairs of one load, period and wait mode each, in the order in which they came."""
    found: dict[tuple[str, int, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.load, pair.period_us, pair.executive.who), []).append(pair)
    return list(found.values())


def row(group: list[Pair], title: str = "") -> dict[str, Any]:
    """A line of the table: latencies of all wake-ups together; CPU, ratio: median of the runs."""
    runs = [pair.executive for pair in group]
    late = np.concatenate([run.late_us for run in runs])
    p50, p99, p999 = np.percentile(late, (50, 99, 99.9))
    missed, slots = sum(run.missed for run in runs), sum(run.slots for run in runs)
    return {
        "load": group[0].load,
        "period_us": group[0].period_us,
        "mode": title or group[0].executive.who,
        "runs": len(group),
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "p999": round(float(p999), 2),
        "misses": missed,
        "rate": f"{missed / max(1, slots):.4%}",
        "ratio": _ratio(group),
        "cpu": round(median([run.cpu_percent for run in runs]), 1),
    }


def rows(pairs: list[Pair]) -> list[dict[str, Any]]:
    """The whole table: each group, and below it cyclictest in the same minutes."""
    table = []
    for group in groups(pairs):
        table.append(row(group))
        beside = [
            Pair(one.load, one.period_us, one.beside, one.beside, one.round)
            for one in group
            if isinstance(one.beside, Run)
        ]
        if beside:
            table.append(row(beside, "  cyclictest") | {"ratio": None})
    return table


def _ratio(group: list[Pair]) -> float | None:
    ratios = [
        median(pair.executive.late_us) / median(pair.beside.late_us)
        for pair in group
        if isinstance(pair.beside, Run)
    ]
    return round(median(ratios), 3) if ratios else None


def figures(pairs: list[Pair]) -> list[Figure]:
    """Those that have a goal."""
    found = []
    for group in groups(pairs):
        load, period_us, mode = group[0].load, group[0].period_us, group[0].executive.who
        line = row(group)
        where = f"{mode}, {period_us} us, {load}"
        key = f"{mode.replace(' ', '_')}.{period_us}.{load}"
        if mode.startswith("hybrid"):
            goal = _HYBRID_P99[load]
            found.append(Figure(f"p99.{key}", f"wake-up p99, {where}", line["p99"], "us", goal))
        elif mode == "sleep" and line["ratio"] is not None:
            title = f"wake-up p50 / cyclictest, {where}"
            found.append(Figure(f"ratio.{key}", title, line["ratio"], "", 1.1))
    return found


def isolation(
    without: list[Run], with_it: list[Run], kept_awake: list[Run], policy: str
) -> list[Figure]:
    """SC-002, and what SC-001 says of isolated cores; kept_awake: again, if the CPU never halts."""
    before, after = _mean_jitter(without), _mean_jitter(with_it)
    title = f"mean jitter with / without isolation, {policy}"
    found = [_halved(f"sc002.{policy}", title, before, after)]
    if policy == "SCHED_FIFO":
        found += _isolated("sc001", "isolated, under load", with_it)
    if kept_awake:
        title += ", the CPU never halts"
        found.append(_halved(f"sc002.{policy}.awake", title, before, _mean_jitter(kept_awake)))
        found += _isolated("sc001.awake", "isolated, under load, the CPU never halts", kept_awake)
    return found


def _mean_jitter(runs: list[Run]) -> float:
    return median([float(run.late_us.mean()) for run in runs])


def _halved(key: str, title: str, before: float, after: float) -> Figure:
    return Figure(key, title, after / before, "", 0.5, f"{after:.2f} against {before:.2f} us")


def _isolated(key: str, where: str, runs: list[Run]) -> list[Figure]:
    missed = sum(run.missed for run in runs) / max(1, sum(run.slots for run in runs))
    return [
        Figure(f"{key}.mean", f"mean jitter, {where}", _mean_jitter(runs), "us", 10.0),
        Figure(f"{key}.rate", f"miss rate, {where}", 100 * missed, "%", 0.01),
    ]
